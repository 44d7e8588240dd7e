"""Finds out that a server is gone, or back, when no call tells.

Owns the probes. A server that has calls in flight and says nothing for a moment is asked for its version; if it says
nothing to that either, it is down, and calls that have had no byte of an answer yet go elsewhere. A server that is down
is asked again, so that it is used again soon after it is back. Nothing is asked while there is nothing to do, and no
server is probed whose calls have nowhere else to go. A model that hangs while its server answers is `hung`'s to find.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from infrastructure.pool.failures import is_silent
from infrastructure.pool.hung import HungLanes
from infrastructure.pool.states import Health
from infrastructure.transport.errors import OllamaError

if TYPE_CHECKING:
    from infrastructure.pool.dispatcher import Dispatcher

ROUND_SECONDS = 0.5
"""How often servers are gone round."""
PROBE_SECONDS = 1.0
"""How long the answer to a probe may take."""
LATE_SECONDS = 0.25
"""A round that begins so much later than it should."""
RECENT_SECONDS = 60.0
"""So long after the last call servers that are down, and models that hang, are still looked after."""


class Watchman:
    """Goes round while there is something to watch."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._pool = dispatcher
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late_at = float("-inf")
        """When a round was late."""
        self._probing: set[str] = set()
        self._active_at = float("-inf")
        self._hung = HungLanes(dispatcher)

    def wake(self) -> None:
        """A call is here."""
        self._active_at = self._pool.clock()
        if self._timer is None:
            self._again()

    def stop(self) -> None:
        """Go round no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._due = self._pool.clock() + ROUND_SECONDS
        self._timer = asyncio.get_running_loop().call_later(ROUND_SECONDS, self._round)

    def _round(self) -> None:
        self._timer = None
        pool = self._pool
        if pool.closed:
            return
        servers = pool.scheduler.servers
        now = pool.clock()
        if self._is_late(now):
            self._late_at = now
        self._hung.go_round(now)
        for name, server in servers.items():
            heard = any(berth.heard for berth in server.berths.values())
            if server.health is Health.DOWN:
                if now - server.looked_at >= ROUND_SECONDS:
                    pool.inventory.look(name)
            elif (
                server.in_flight
                and not heard
                and now > self._late_at
                and len(servers) > 1
                and name not in self._probing
            ):
                self._probing.add(name)
                pool.background.start(self._probe(name), f"probe {pool.servers[name].label}")
            for berth in server.berths.values():
                berth.heard = False
        if pool.busy or ((self._hung or self._any_down()) and now - self._active_at < RECENT_SECONDS):
            self._again()

    def _is_late(self, now: float) -> bool:
        """Whether this loop has been held up: then an answer may lie unread, and silence says nothing."""
        return now - self._due > LATE_SECONDS

    def _any_down(self) -> bool:
        return any(server.health is Health.DOWN for server in self._pool.scheduler.servers.values())

    async def _probe(self, name: str) -> None:
        """Ask a silent server whether it is there; if nothing comes back, take its calls back."""
        asked_at = self._pool.clock()
        try:
            if name not in self._pool.servers:  # removed before the probe began
                return
            await self._pool.inventory.client(name).version(seconds=PROBE_SECONDS)
        except OllamaError as error:
            late = self._late_at >= asked_at or self._is_late(self._pool.clock())
            if not late and is_silent(error) and name in self._pool.scheduler.servers and not self._pool.closed:
                self._pool.lost(name, error)
        finally:
            self._probing.discard(name)
