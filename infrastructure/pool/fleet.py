"""The servers of a pool, while calls go on.

Owns how they are added, drained and removed, when they are looked at for a call's sake, and which calls no server can
take.
"""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING

from infrastructure.pool.errors import UnknownServer
from infrastructure.pool.placement import is_to_serve, may_serve
from infrastructure.pool.refusal import Found, reasons_of, refusal
from infrastructure.pool.states import CallState, Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.config.settings import ServerSettings
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.ticket import Ticket
    from infrastructure.transport.errors import OllamaError

SETTLE_SECONDS = 0.25
"""How long the first calls wait for slower servers, which may have the model loaded already."""


class Fleet:
    """The servers, by name."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._pool = dispatcher
        self._settle: asyncio.TimerHandle | None = None
        self._leaving: dict[str, asyncio.Task[None]] = {}

    # ------------------------------------------------------------------------------- they come and go
    def add(self, settings: ServerSettings) -> None:
        """A further server; it is looked at, and gets calls when it has answered.

        Raises:
            PoolClosed: there is no pool any more.
            ValueError: it is there already.
        """
        pool = self._pool
        pool.check_open()
        if settings.url in pool.servers:
            raise ValueError(f"server {settings.url} is there already")
        pool.servers[settings.url] = settings
        pool.scheduler.roster.add(settings.url, settings.slots, settings.max_loaded_models)
        pool.inventory.look(settings.url)

    def named(self, server: str) -> str:
        """The server of this label or address.

        Raises:
            UnknownServer: there is none.
        """
        servers = self._pool.servers
        for name, settings in servers.items():
            if server in (name, settings.label):
                return name
        raise UnknownServer(server, tuple(settings.label for settings in servers.values()))

    def set_draining(self, name: str, draining: bool, *, leaving: bool = False) -> None:
        """Give a server no new calls, or calls again; `leaving`: it is to be removed, and no call waits for it."""
        self._pool.scheduler.roster.set_draining(name, draining, leaving=leaving)
        self._pool.pump()

    def become(self, wanted: Mapping[str, ServerSettings]) -> None:
        """These are the servers from now on: see `OllamaConnectionPool.reconfigure`."""
        pool = self._pool
        for name, settings in wanted.items():
            if name not in pool.servers:
                self.add(settings)
            else:
                self._stay(name)
                self._change(name, settings)
        for name in pool.servers.keys() - wanted.keys():
            self._leave(name)
        first = {name: pool.servers[name] for name in wanted}
        others = {name: each for name, each in pool.servers.items() if name not in wanted}
        pool.servers.clear()
        pool.servers.update(first | others)
        pool.pump()

    def _change(self, name: str, settings: ServerSettings) -> None:
        """The same server, otherwise: its memory and what is known of it stay; connections only where they may."""
        pool, before = self._pool, self._pool.servers[name]
        pool.servers[name] = settings
        numbers = settings.slots, settings.max_loaded_models
        if numbers != (before.slots, before.max_loaded_models):
            pool.scheduler.roster.resize(name, *numbers)
        if _reached(settings) != _reached(before):
            pool.inventory.reconnect(name)

    def _leave(self, name: str) -> None:
        """It gets no new calls from this moment on, and is forgotten when those in flight are over."""
        if name in self._leaving:
            return
        self.set_draining(name, True, leaving=True)
        task = self._pool.background.start(self.remove(name), f"let {self._pool.servers[name].label} go")
        self._leaving[name] = task
        task.add_done_callback(lambda done: self._left(name, done))

    def _left(self, name: str, task: asyncio.Task[None]) -> None:
        if self._leaving.get(name) is task:
            del self._leaving[name]

    def _stay(self, name: str) -> None:
        """It was to leave, and is wanted again."""
        leaving = self._leaving.pop(name, None)
        if leaving is not None:
            leaving.cancel()
            self.set_draining(name, False)

    async def remove(self, name: str) -> None:
        """Give a server no new calls, wait until those in flight there are over, and forget it."""
        pool = self._pool
        self.set_draining(name, True, leaving=True)
        try:
            while name in pool.servers and pool.scheduler.servers[name].in_flight:
                await pool.slot_freed()
        except asyncio.CancelledError:
            if name in pool.servers and name not in self._leaving:  # it stays, and drained
                pool.scheduler.servers[name].leaving = False
            raise
        if name in pool.servers:
            del pool.servers[name]
            pool.scheduler.roster.remove(name)
            pool.inventory.forget(name)
            pool.pump()

    # ------------------------------------------------------------------------------ what they have
    def refresh(self) -> None:
        """A call is here: look at those that have not been looked at for long, wait a moment for those never seen."""
        pool, unknown = self._pool, False
        now = pool.clock()
        for name, server in pool.scheduler.servers.items():
            if pool.inventory.due(name, now):
                pool.inventory.look(name)
            unknown = unknown or server.health is Health.UNKNOWN
        if unknown and self._settle is None:
            pool.scheduler.roster.settling = True
            self._settle = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._settled)

    def looked(self) -> None:
        """A look at a server is over."""
        if self._pool.closed:
            return
        if not any(server.health is Health.UNKNOWN for server in self._pool.scheduler.servers.values()):
            self._pool.scheduler.roster.settling = False
        self._pool.pump()

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._settle is not None:
            self._settle.cancel()

    def _settled(self) -> None:
        self._pool.scheduler.roster.settling = False
        self._pool.pump()

    # ------------------------------------------------------------------------------- what they lack
    def lost(self) -> list[tuple[Ticket, OllamaError]]:
        """The calls that fit nowhere, taken out of the queue, each with its error.

        Only after each server that might take one was looked at once more: those are looked at now.
        """
        found: list[tuple[Ticket, OllamaError]] = []
        pool = self._pool
        if not pool.scheduler.doubtful:
            return found
        for line in pool.scheduler.stranded():
            might = {
                name: each
                for name, each in pool.scheduler.servers.items()
                if name not in line.excluded and not each.leaving
            }
            newest = line.newest.number
            if any(pool.inventory.looking(name) for name in might):
                seen = -1
            else:
                seen = min((server.looked_after for server in might.values()), default=newest)
            for ticket in list(takewhile(lambda ticket, seen=seen: ticket.number <= seen, line)):
                pool.scheduler.withdraw(ticket, CallState.FAILED)
                found.append((ticket, refusal(pool.asked_name(ticket), self.found())))
            for name, server in might.items():
                if server.looked_after < newest:
                    pool.inventory.look(name)
        return found

    def drained_for(self, ticket: Ticket) -> tuple[str, ...]:
        """The servers, by label, for which alone a call waits, and in vain as long as they are drained."""
        pool, servers = self._pool, self._pool.scheduler.servers
        if any(may_serve(server, ticket) for server in servers.values()):
            return ()
        return tuple(pool.servers[name].label for name, server in servers.items() if is_to_serve(server, ticket))

    def reasons(self) -> dict[str, str]:
        """What is wrong with each server that is not up, by label."""
        return reasons_of(self.found())

    def found(self) -> list[Found]:
        """What the last looks showed."""
        pool, found = self._pool, list[Found]()
        for name, settings in pool.servers.items():
            models = pool.inventory.holdings(name).models
            found.append(
                Found(
                    settings.label,
                    pool.scheduler.servers[name].health,
                    None if models is None else tuple(model.name for model in models),
                    pool.inventory.error(name),
                    draining=pool.scheduler.servers[name].draining,
                    leaving=pool.scheduler.servers[name].leaving,
                )
            )
        return found


def _reached(settings: ServerSettings) -> ServerSettings:
    """What connections are made from: all but the numbers."""
    return settings.model_copy(update={"slots": None, "max_loaded_models": None})
