"""What a person was asked, and what they said."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class ApprovalAsked(Event):
    """The run waits for a yes or no; about behaviour, for one of `answers`, said as the reason of a yes."""

    kind: Literal["approval.asked"] = "approval.asked"
    approval: str
    gate: Literal["plan", "patch", "behaviour"]
    question: str
    answers: tuple[str, ...] = ()


class ApprovalGiven(Event):
    """A person answered."""

    kind: Literal["approval.given"] = "approval.given"
    approval: str
    approved: bool
    reason: str = ""
