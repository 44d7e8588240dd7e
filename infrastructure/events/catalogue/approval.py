"""What a person was asked, and what they said."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class ApprovalAsked(Event):
    """The run waits for a yes or no; about behaviour, for one of `answers`, said as the reason of a yes."""

    kind: Literal["approval.asked"] = "approval.asked"
    approval: str
    gate: Literal["plan", "patch", "behaviour", "tool"]
    question: str
    answers: tuple[str, ...] = ()
    id: str = ""
    """By which it is answered whoever waits; `approval` is its name there, which for a tool is the same."""


class ApprovalGiven(Event):
    """A person answered."""

    kind: Literal["approval.given"] = "approval.given"
    approval: str
    approved: bool
    reason: str = ""


class ApprovalDecided(Event):
    """An approval got its answer: of a person, a rule that one made before, the sandbox, or as nobody came in time."""

    kind: Literal["approval.decided"] = "approval.decided"
    approval: str
    decision: Literal["approve", "edit", "reject", "respond", "expired"]
    scope: Literal["once", "run", "project", "always"] = "once"
    by: str = ""
    """Who: the name of the door or client, `rule`, `time`, or `sandbox:` with the level that holds the call."""
    rule: str = ""
    reason: str = ""
    id: str = ""
