"""The person at the terminal, as the chat needs them: asked for a message, a key, a line, a text to change.

Owns the seam. A terminal is one; tests have another.
"""

from __future__ import annotations

from typing import Protocol


class GivenUp(Exception):
    """Ctrl-C while something was typed: that is given up, and nothing else."""


class Person(Protocol):
    """Who is asked. Cancelling any of these leaves the terminal as it was, and what was not read unread."""

    async def message(self, prompt: str) -> str | None:
        """What they want to say next, several lines perhaps; None where they leave."""
        ...

    async def key(self, prompt: str) -> str | None:
        """One key, in lower case, pressed after it was asked for; None for Ctrl-D."""
        ...

    async def line(self, prompt: str, default: str = "") -> str:
        """A line, which begins as `default`.

        Raises:
            GivenUp: Ctrl-C, or Ctrl-D.
        """
        ...

    async def edit(self, text: str) -> str:
        """The text as they changed it: in their editor where they named one, else in place.

        Raises:
            GivenUp: Ctrl-C, or Ctrl-D.
        """
        ...
