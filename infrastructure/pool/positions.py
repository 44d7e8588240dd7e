"""How many calls go before one that waits, told to those who watch.

Owns the timer. What a watcher does is its own: one that fails takes nothing from those behind it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.running import Running

_log = logging.getLogger(__name__)

POSITION_SECONDS = 0.25
"""How often those who watch a waiting call are told its place, at most."""


class Positions:
    """Of the calls in the queue; `runs` by number."""

    def __init__(self, queue: CallQueue, runs: Mapping[int, Running]) -> None:
        self._queue = queue
        self._runs = runs
        self._timer: asyncio.TimerHandle | None = None

    def announce(self) -> None:
        """Calls wait: tell of their places soon, and for as long as some do."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(POSITION_SECONDS, self._tell)

    def stop(self) -> None:
        """Tell nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        for position, ticket in enumerate(list(self._queue.in_order())):
            run = self._runs.get(ticket.number)
            if run is None:  # it has left meanwhile, by what a watcher did
                continue
            try:
                run.tell_position(position)
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 - anything may go wrong in what is not ours
                _log.exception("whoever watches a waiting call failed when told its place")
        if len(self._queue):
            self.announce()
