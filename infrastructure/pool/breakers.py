"""A model that keeps failing on a server gets no calls there for a while.

Owns the breaker of one lane on one server: closed until some calls in a row have failed, then open for a time that
doubles, then half open: one call may try. A server that cannot be reached at all has no need of it: it is down, and
looked at.
"""

from __future__ import annotations

from enum import StrEnum

FAILURES = 3
"""In a row, until it opens."""
OPEN_SECONDS = (1.0, 30.0)
"""How long it stays open, the first time and at most."""


class BreakerState(StrEnum):
    """Whether calls may pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """Counts failures of a lane on a server."""

    __slots__ = ("_seconds", "failures", "opens_at", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.failures = 0
        self.opens_at = 0.0
        """When one call may try again, while it is open."""
        self._seconds = OPEN_SECONDS[0]

    def admits(self, in_flight: int) -> bool:
        """Whether a call may pass beside so many."""
        if self.state is BreakerState.CLOSED:
            return True
        return self.state is BreakerState.HALF_OPEN and not in_flight

    def failed(self, now: float) -> bool:
        """A call failed by the server's fault; whether the breaker opens for it."""
        self.failures += 1
        if self.state is BreakerState.CLOSED and self.failures < FAILURES:
            return False
        if self.state is BreakerState.HALF_OPEN:
            self._seconds = min(2 * self._seconds, OPEN_SECONDS[1])
        if self.state is not BreakerState.OPEN:
            self.opens_at = now + self._seconds
        self.state = BreakerState.OPEN
        return True

    def half_open(self, now: float) -> bool:
        """Let one call try if the time has come; whether it has."""
        if self.state is not BreakerState.OPEN or now < self.opens_at:
            return False
        self.state = BreakerState.HALF_OPEN
        return True
