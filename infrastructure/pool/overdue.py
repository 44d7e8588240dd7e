"""Streams whose time is over while nobody reads them.

Owns the timer. Whoever waits for a chunk has the limits of its request; a caller that is busy with the last chunk, or
never comes back, waits for nothing, and would keep slot and server for as long as it likes. One timer for all of them,
which is set once for the earliest and looks when it fires: one for each call would cost more than it finds.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from infrastructure.pool.errand import by_deadline
from infrastructure.pool.errors import DeadlinePassed
from infrastructure.pool.states import CallState
from infrastructure.transport.errors import OllamaError, Phase, PhaseTimeout

if TYPE_CHECKING:
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.running import Running

LOOK_SECONDS = 0.05
"""When it is looked again at a call that is due and just being read: its request ends it, or it has a last chunk."""
_SENT = frozenset({CallState.CONNECTING, CallState.WAITING, CallState.STREAMING})


class Overdue:
    """Ends them."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._pool = dispatcher
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def watch(self, ends_at: float) -> None:
        """A stream has until then, by the pool's clock."""
        if ends_at < self._fires_at:
            self.stop()
            self._fires_at = ends_at
            seconds = max(0.0, ends_at - self._pool.clock())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fires_at = None, math.inf

    def _look(self) -> None:
        self.stop()
        pool, now, next_at = self._pool, self._pool.clock(), math.inf
        for run in list(pool.runs()):
            state = run.ticket.state
            if state not in _SENT:
                continue
            if run.ends_at <= now and state is CallState.STREAMING and not run.reading:
                pool.break_off(run, _error(run, pool, now))
            else:
                next_at = min(next_at, max(run.ends_at, now + LOOK_SECONDS))
        if next_at < math.inf:
            self.watch(next_at)


def _error(run: Running, pool: Dispatcher, now: float) -> OllamaError:
    if by_deadline(run.errand, pool):
        return DeadlinePassed(now - run.ticket.enqueued_at, run.partial)
    slot = run.ticket.slot
    late = PhaseTimeout(Phase.TOTAL, server="" if slot is None else pool.servers[slot.server].label)
    late.partial = run.partial
    return late
