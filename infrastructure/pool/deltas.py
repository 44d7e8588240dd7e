"""What is told to whoever watches an answer grow.

Owns the three things that can happen to the text on the screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A further piece of the thinking before the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The answer broke off, or cannot be used, and is asked for again: drop all pieces so far."""

    reason: str


Delta: TypeAlias = TextDelta | ThinkingDelta | Restarted
OnDelta: TypeAlias = Callable[[Delta], None]
"""Told of each piece, from the event loop; must not block. An error it raises ends the call."""
