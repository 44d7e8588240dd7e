"""Models that stay in memory between calls.

Owns the renewal: a server unloads a model some minutes after its last call (`OLLAMA_KEEP_ALIVE`), also where the next
one comes a minute later. Before that, a load-only call starts its timer anew: it takes no slot, is answered in
milliseconds, and says nothing of `keep_alive`, so that how long stays the server's choice, and no model that has to go
is kept. Only while the lane is wanted: its last call was not long ago, or the settings pin it; and only where no call
waits for that server to load something else. Nothing runs while nothing is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from infrastructure.pool.lanes import lane_of
from infrastructure.pool.placement import may_serve
from infrastructure.transport.errors import OllamaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.expectations import Expectations
    from infrastructure.pool.lanes import Lane, LaneBook
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.transport.messages import LoadedModel

ROUND_SECONDS = 20.0
"""How often servers are gone round."""
LEFT_SECONDS = 60.0
"""A model that has less to live is renewed. Where `keep_alive` is shorter than a round, it may go all the same."""
WANTED_SECONDS = 900.0
"""A lane is wanted for so long after its last call."""
ANSWER_SECONDS = 2.0
"""A load-only call that takes longer loads something, or stands in line for that: leaving it ends that."""
_log = logging.getLogger(__name__)


class Renewing:
    """Goes round while there is something to keep."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        lanes: LaneBook,
        expectations: Expectations,
        pinned: tuple[str, ...],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Over one pool's servers.

        Args:
            dispatcher: the pool.
            lanes: what names stand for.
            expectations: which lanes there are to pin.
            pinned: lanes or models that stay for as long as the pool is open.
            wall: seconds since the epoch, as servers tell when a model goes.
        """
        self._pool = dispatcher
        self._lanes = lanes
        self._expectations = expectations
        self.pinned = pinned
        """As given; others may be set at any time."""
        self._wall = wall
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """A call is here, or a model is loaded: there may be something to keep."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ROUND_SECONDS, self._round)

    def stop(self) -> None:
        """Go round no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _round(self) -> None:
        self._timer = None
        pool, wanted = self._pool, False
        if pool.closed or pool.draining:
            return
        for name, server in pool.scheduler.servers.items():
            for lane in self._kept(server):
                wanted = True
                listed = self._listed(name, lane)
                if listed is None or expires_soon(listed, self._wall()):
                    pool.background.start(self._renew(name, lane), f"keep {lane} on {pool.servers[name].label}")
        if wanted or pool.busy:
            self.wake()

    def _kept(self, server: ServerState) -> Iterator[Lane]:
        """The lanes that are to stay on the server now."""
        now = self._pool.clock()
        pinned = {lane_of(each, {}) for each in self._expectations.local(self.pinned).values()}
        for lane in server.resident().values():
            if lane is None or not may_be_kept(server, lane, self._pool.scheduler.queue):
                continue
            if lane in pinned or (_is_recent(server, lane, now) and not self._lanes.lasts(lane.model)):
                yield lane

    async def _renew(self, name: str, lane: Lane) -> None:
        """Ask the server what it has, and start the timer anew if the lane is still to be kept, and there."""
        pool = self._pool
        if name not in pool.servers:  # removed before this began
            return
        label = pool.servers[name].label
        await asyncio.wait([pool.inventory.look(name)])
        server, listed = pool.scheduler.servers.get(name), self._listed(name, lane)
        if pool.closed or server is None or listed is None or lane not in self._kept(server):
            return
        if not expires_soon(listed, self._wall()):
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await pool.inventory.client(name).load(lane.model, lane.options, shift=lane.shift)
        except (OllamaError, TimeoutError) as error:
            _log.info("%s is not kept on %s: %s", lane, label, error)

    def _listed(self, name: str, lane: Lane) -> LoadedModel | None:
        inventory = self._pool.inventory
        loaded = inventory.holdings(name).loaded
        return next((each for each in loaded if inventory.name_of(each) == lane.model), None)


def may_be_kept(server: ServerState, lane: Lane, queue: CallQueue) -> bool:
    """Whether the lane is idle on the server, and no call waits that might go there for another model."""
    if not server.serving or server.move is not None or server.busy({lane.model}):
        return False
    return not any(line.lane.model != lane.model and may_serve(server, line.head) for line in queue.lines())


def expires_soon(model: LoadedModel, wall: float) -> bool:
    """Whether a model is unloaded within the minute; one that is past its time is busy, or on its way out."""
    return model.expires_at is not None and 0 < model.expires_at.timestamp() - wall < LEFT_SECONDS


def _is_recent(server: ServerState, lane: Lane, now: float) -> bool:
    berth = server.berths.get(lane)
    return berth is not None and now - berth.used_at < WANTED_SECONDS
