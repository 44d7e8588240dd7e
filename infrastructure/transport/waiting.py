"""Waiting for the next bytes of an answer, until a time.

Owns the two halves of that: who waits for what, and one timer for all that wait on a connection. A timer for each token
would cost about as much as the token, so this one is not moved: it looks whether time is up when it fires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_EARLY = 0.001
"""Timers of some loops fire this much too soon."""


class Alarm:
    """The timer of one connection. `look` wakes whoever waited in vain; it returns when the next one's time is up."""

    __slots__ = ("_armed_for", "_look", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, look: Callable[[float], float | None]) -> None:
        self._loop = loop
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def watch(self, until: float) -> None:
        """Somebody waits until then."""
        if self._timer is None or self._armed_for > until:
            self.stop()
            self._armed_for = until
            self._timer = self._loop.call_at(until, self._tick)

    def stop(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        """Time may be up; the wait that the timer was set for is long over, as a rule."""
        self._timer = None
        until = self._look(self._loop.time())
        if until is not None:
            self.watch(until)


class Awaited:
    """What one task waits for."""

    __slots__ = ("_alarm", "_loop", "_until", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, alarm: Alarm) -> None:
        self._loop = loop
        self._alarm = alarm
        self._waiter: asyncio.Future[None] | None = None
        self._until: float | None = None

    def changed(self, until: float | None) -> asyncio.Future[None]:
        """Done when something is new; fails with TimeoutError when nothing was until then."""
        self._waiter = waiter = self._loop.create_future()
        self._until = until
        if until is not None:
            self._alarm.watch(until)
        return waiter

    def wake(self) -> None:
        """Let the task that waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def overdue_at(self, now: float) -> float | None:
        """Until when somebody waits, if anybody does with a limit; who waited in vain is told."""
        if self._waiter is None or self._waiter.done() or self._until is None:
            return None
        if self._until - now > _EARLY:
            return self._until
        self._waiter.set_exception(TimeoutError())
        return None
