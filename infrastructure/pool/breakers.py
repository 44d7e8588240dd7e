"""A model that keeps failing on a server gets no calls there for a while.

Owns the breaker of one lane on one server: closed until some calls in a row have failed, then open for a time that
doubles, then half open: one call may try. A server that cannot be reached at all has no need of it: it is down, and
looked at.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

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

    def shut(self) -> None:
        """Open, until somebody says otherwise."""
        self.state, self.opens_at = BreakerState.OPEN, math.inf

    def half_open(self, now: float) -> bool:
        """Let one call try if the time has come; whether it has."""
        if self.state is not BreakerState.OPEN or now < self.opens_at:
            return False
        self.state = BreakerState.HALF_OPEN
        return True


class Breakers:
    """Those of one server: of the lanes that have failed there lately."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of: dict[Lane, Breaker] = {}
        """By lane."""

    def get(self, lane: Lane) -> Breaker | None:
        """The lane's, if it has failed lately."""
        return self.of.get(lane)

    def admit(self, lane: Lane, in_flight: int) -> bool:
        """Whether a call of the lane may pass beside so many."""
        breaker = self.of.get(lane)
        return breaker is None or breaker.admits(in_flight)

    def failed(self, lane: Lane, now: float) -> float:
        """A call of the lane failed; when one may try again if it is left alone from now on, infinity if it is not."""
        breaker = self.of.setdefault(lane, Breaker())
        return breaker.opens_at if breaker.failed(now) else math.inf

    def shut(self, lane: Lane) -> None:
        """The lane gets no calls until it `succeeded`."""
        self.of.setdefault(lane, Breaker()).shut()

    def succeeded(self, lane: Lane) -> bool:
        """A call of the lane was answered; whether that ends some failures in a row."""
        return self.of.pop(lane, None) is not None

    def half_open(self, now: float) -> list[Lane]:
        """Let one call try each lane whose time has come; those lanes."""
        return [lane for lane, breaker in self.of.items() if breaker.half_open(now)]

    @property
    def opens_at(self) -> float:
        """When the next lane may be tried; infinity if none waits for that."""
        waiting = (each.opens_at for each in self.of.values() if each.state is BreakerState.OPEN)
        return min(waiting, default=math.inf)
