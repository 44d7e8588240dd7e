"""Turns of a session: one message of a person, and all that agents do until they are done with it."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class TurnEnded(Event):
    """A turn is over, also one that was stopped in the middle of an answer."""

    kind: Literal["turn.ended"] = "turn.ended"
    turn: str
    outcome: Literal["done", "failed", "cancelled"]
