"""When a call is late with its first byte, and what is done about it.

Owns the timer of one call, its twin on a second server, and the step from one server to the other, in which the call
belongs to neither.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from infrastructure.pool.hedging import Hedge

if TYPE_CHECKING:
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.ticket import Slot, Ticket

LATE_SECONDS = 0.05
"""A call is not called late before."""


class Waiting(Protocol):
    """The call, as it stands with its own server."""

    ticket: Ticket
    errand: Errand

    @property
    def waits(self) -> bool:
        """Whether it has been sent, has had no byte, and is still this server's to answer."""
        ...

    def leave(self) -> None:
        """Leave this server, whose slot is cancelling: the other one has answered."""
        ...


class Lateness:
    """Of one call."""

    def __init__(self, call: Waiting, pool: Dispatcher) -> None:
        self._call = call
        self._pool = pool
        self._timer: asyncio.TimerHandle | None = None
        self._hedge: Hedge | None = None
        self._going_over = False

    @property
    def going_over(self) -> bool:
        """Whether the call is between the two servers."""
        return self._going_over

    def watch(self) -> None:
        """The call was sent: ask a second server when it is late, again and again until one has a slot free."""
        self._stop_watching()
        if len(self._pool.servers) < 2 or self._hedge is not None:
            return
        seconds = self._pool.scheduler.estimates.late(self._call.errand.lane)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(seconds, LATE_SECONDS), self._ask_another)

    def end(self) -> None:
        """The first byte is here, or the call is over: nobody else is to answer."""
        self._stop_watching()
        if self._hedge is not None:
            self._hedge.give_up()
            self._hedge = None

    def arrive(self) -> Hedge:
        """The call is the second server's from now on; what has come there."""
        assert self._hedge is not None, "only while it is going over"
        self._going_over = False
        return self._hedge

    def release(self, slot: Slot) -> None:
        """The second server's slot was taken before the call got there."""
        assert self._hedge is not None, "only while it is going over"
        self._going_over = False
        self._pool.background.start(self._hedge.release(slot), "close a second server's answer")

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask_another(self) -> None:
        self._timer = None
        if not self._call.waits:
            return
        twin = self._pool.twin(self._call.ticket)
        if twin is None:  # none is free at this moment
            self.watch()
        else:
            self._hedge = Hedge(self._call.errand, self._pool, twin, self._won)

    def _won(self) -> None:
        """The second server was faster."""
        if self._hedge is None or not self._call.waits:
            self.end()
            return
        self._pool.counts["hedges_won"] += 1
        self._hedge.adopt(self._call.ticket)
        self._going_over = True
        self._call.leave()
