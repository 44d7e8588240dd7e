"""The pool's public face: one object in front of all Ollama servers.

Owns what callers see beside their questions (`infrastructure.pool.questions`): models, servers, a snapshot, an orderly
end; and the one pool of the process. What is decided is in `infrastructure.pool`.
"""

from __future__ import annotations

import asyncio
import copy
import time
from typing import TYPE_CHECKING, Self

from infrastructure.config.settings import LaneSettings, PoolSettings, ServerSettings, Settings
from infrastructure.pool.background import outlast
from infrastructure.pool.calls import Call, CallUpdate, Reply
from infrastructure.pool.coalescing import Flights
from infrastructure.pool.dispatcher import Dispatcher
from infrastructure.pool.expectations import Expectations
from infrastructure.pool.lanes import LaneBook
from infrastructure.pool.models import Catalogue
from infrastructure.pool.process import ProcessWide
from infrastructure.pool.questions import Questions
from infrastructure.pool.renewing import Renewing
from infrastructure.pool.rooms import ModelRoom, Rooms
from infrastructure.pool.servers import by_url, servers_of
from infrastructure.pool.snapshot import PoolModel, PoolSnapshot
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.stream import ChunkStream
from infrastructure.pool.view import take_snapshot
from infrastructure.pool.warming import Warming
from infrastructure.pool.windows import Outgrown, widen

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from infrastructure.pool.observing import CallObserver, ServerObserver
    from infrastructure.pool.plan import Plan
    from infrastructure.transport.messages import ModelInfo, PullProgress

__all__ = [
    "Band",
    "Call",
    "CallState",
    "CallUpdate",
    "ChunkStream",
    "OllamaConnectionPool",
    "Outgrown",
    "PoolModel",
    "PoolSnapshot",
    "Reply",
    "close_ollama_pool",
    "configure_ollama_pool",
    "get_ollama_pool",
    "new_ollama_pool",
]


class OllamaConnectionPool(Questions):
    """Asks models on any number of Ollama servers; each call waits its turn and goes where there is room.

    Making a pool does no I/O, and every server may be down: a server is contacted when a call first needs one. All
    methods belong to the event loop in which the pool is first used: in another one a call raises `OtherLoop`, and only
    `aclose` does its work. Errors of calls are `OllamaError`s; what is no prompt, message, tool or load-time option is
    refused before it is one, as `BadMessage` or `BadOption`.
    """

    def __init__(
        self,
        servers: Sequence[str | ServerSettings] = (),
        *,
        lanes: Mapping[str, LaneSettings] | None = None,
        settings: PoolSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A pool over these servers.

        Args:
            servers: addresses or settings; none means that every call fails with `NoServerAvailable`.
            lanes: by the name people give them; a model without a lane is used as the server has it.
            settings: limits.
            clock: seconds from any fixed moment, never going back.

        Raises:
            BadAddress: an address cannot be read.
            ValueError: a server is named twice.
        """
        settings = settings or PoolSettings()
        super().__init__(LaneBook(lanes or {}), Dispatcher(by_url(servers), settings, clock))
        self._catalogue = Catalogue(self._dispatcher)
        self._rooms = Rooms(self._dispatcher, self._lanes, self._catalogue)
        self._expectations = Expectations(self._dispatcher, self._lanes)
        self._warming = Warming(self._dispatcher, self._expectations)
        self._renewing = Renewing(self._dispatcher, self._lanes, self._expectations, settings.preload or ())
        self._dispatcher.on_call = self._renewing.wake
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ---------------------------------------------------------------------------------------- models
    async def models(self) -> tuple[PoolModel, ...]:
        """All models of all servers that can be reached, by name.

        Raises:
            NoServerAvailable: none can.
        """
        self._dispatcher.check_open()
        return await self._catalogue.models()

    async def show(self, model: str, *, server: str | None = None) -> ModelInfo:
        """What a server knows of a model: `server` by label or URL, else any that holds it.

        Raises:
            ModelNotFound: no server has it.
        """
        self._dispatcher.check_open()
        return await self._catalogue.show(self._lanes.settings(model).model, server)

    def pull(self, model: str, *, server: str | None = None) -> AsyncGenerator[PullProgress, None]:
        """Have a server download a model: `server` by label or URL, else the first that can be reached.

        Raises:
            PullFailed: it could not. The download goes on there if it is left early by all who wait for it.
        """
        self._dispatcher.check_open()
        return self._catalogue.pull(self._lanes.settings(model).model, server)

    def plan(self, models: Iterable[str]) -> Plan:
        """Which server has a place in memory for which of these (lanes or models), which will be asked by turns.

        As far as is known of the servers that were reached. Those that have no place are told in the log, once.
        """
        return self._expectations.plan(models)

    def preload(self, models: Iterable[str]) -> asyncio.Task[None]:
        """Begin to load these (lanes or models), each on one server where nothing has to go for it.

        Calls go first: a load gives way at once to one that needs its server for another model. What could not be
        loaded is told in the log. The task ends when all are there or given up, and never fails.
        """
        self._dispatcher.check_open()
        self._dispatcher.home.check()
        return self._warming.begin(models)

    async def widen(self, model: str, outgrown: Outgrown) -> bool:
        """Use a larger window of the model from now on, where neither its lane nor its Modelfile sets one.

        For whoever was told, by `ContextExceeded` or `WindowOverrun`, that the one its server gives it is too small.
        Servers load the model anew for it; the log says so, once. False where asking again would not help.
        """
        self._dispatcher.check_open()
        return await widen(self._lanes, self._catalogue, model, outgrown)

    async def room(self, model: str) -> ModelRoom:
        """How large the window of a lane or model is, and how its tokens are counted, as far as is known now.

        Never fails: without a server that answers it is the safe assumption.
        """
        self._dispatcher.check_open()
        return await self._rooms.of(model)

    # ---------------------------------------------------------------------------------------- servers
    def add_server(self, server: str | ServerSettings) -> None:
        """A further server, while calls go on; it gets some as soon as it has said what it holds.

        Raises:
            BadAddress: the address cannot be read.
            ValueError: it is there already.
        """
        for settings in by_url([server]).values():
            self._dispatcher.fleet.add(settings)

    def drain_server(self, server: str, *, draining: bool = True) -> None:
        """Give a server (label or URL) no new calls, or calls again; those in flight there go on.

        Raises:
            UnknownServer: there is none of that name.
        """
        self._dispatcher.fleet.set_draining(self._dispatcher.fleet.named(server), draining)

    async def remove_server(self, server: str) -> None:
        """Drain a server (label or URL), wait until its calls are over, and forget it. No call is lost.

        Raises:
            UnknownServer: there is none of that name.
        """
        self._dispatcher.home.check()
        await self._dispatcher.fleet.remove(self._dispatcher.fleet.named(server))

    def reconfigure(
        self,
        servers: Sequence[str | ServerSettings],
        *,
        lanes: Mapping[str, LaneSettings],
        settings: PoolSettings,
    ) -> None:
        """Other settings from now on, while calls go on; none of them fails by it.

        A server that is no longer named gets no new calls and is forgotten when those it has are over; one that is
        named again before that stays. One of the same address keeps what it holds: its numbers of slots and models hold
        at once, what its connections are made from for the calls that are sent later. Limits and what lane names mean
        hold for calls that begin later.

        Raises:
            BadAddress: an address cannot be read; nothing is changed.
            ValueError: a server is named twice; nothing is changed.
            PoolClosed: there is no pool any more.
        """
        wanted = by_url(servers)
        self._dispatcher.check_open()
        if self._lanes.replace(lanes):
            self._flights = Flights()  # an equal question under way may be asked of what a name meant before
        self._dispatcher.limit(settings)
        self._renewing.pinned = settings.preload or ()
        self._rooms.forget()
        self._dispatcher.fleet.become(wanted)

    def with_lanes(self, lanes: Mapping[str, LaneSettings]) -> OllamaConnectionPool:
        """This pool, in which lane names mean these from now on, whatever `reconfigure` says: for one piece of work.

        All but the names is shared, closing included.
        """
        same = copy.copy(self)
        same._lanes = LaneBook(lanes, like=self._lanes)
        same._rooms = Rooms(self._dispatcher, same._lanes, self._catalogue)
        same._expectations = self._expectations.with_lanes(same._lanes)
        same._flights = Flights()
        return same

    # ------------------------------------------------------------------------------------------ state
    def snapshot(self) -> PoolSnapshot:
        """Servers, health, models, slots, queue and rates at this moment; asks no server."""
        return take_snapshot(self._dispatcher)

    def changes(self) -> AsyncGenerator[PoolSnapshot, None]:
        """A snapshot now and after changes, four a second at most; ends with the pool. Nothing runs while idle."""
        return self._dispatcher.changes.follow(self.snapshot)

    def observe(self, observer: CallObserver) -> None:
        """Tell this one of every call that ends from now on."""
        self._dispatcher.observers.append(observer)

    def observe_servers(self, observer: ServerObserver) -> None:
        """Tell this one of every server that stops or begins to get calls from now on."""
        servers = self._dispatcher.servers

        def told(name: str, why: str) -> None:
            settings = servers.get(name)
            label = name if settings is None else settings.label  # one that is being removed is out of the list
            if why:
                observer.ejected(label, why)
            else:
                observer.returned(label)

        self._dispatcher.scheduler.attendance.listeners.append(told)

    async def drain(self) -> None:
        """Refuse new calls with `PoolDraining`, and wait until those in hand are over."""
        self._dispatcher.home.check()
        self._warming.stop()
        self._renewing.stop()
        await self._dispatcher.drain()

    async def aclose(self) -> None:
        """Fail every call with `PoolClosed`, close every connection. Safe to repeat; finishes even when cancelled.

        In another loop than the pool's it is done in that one; where that one runs no more, the pool is let go.
        """
        if not await self._dispatcher.home.end(self._close):
            self._dispatcher.closed = True

    async def _close(self) -> None:
        if self._closing is None:
            self._renewing.stop()
            self._closing = asyncio.get_running_loop().create_task(self._dispatcher.aclose(), name="close the pool")
        await outlast(self._closing)


# ------------------------------------------------------------------------------------ the process-wide pool
def configure_ollama_pool(settings: Settings | None) -> None:
    """Say with which settings the process-wide pool is made; without servers in them, OLLAMA_HOST is asked.

    Raises:
        RuntimeError: it is made already.
    """
    _process.configure(settings)


def new_ollama_pool() -> OllamaConnectionPool:
    """A pool as the process-wide one is made, for whoever needs one of his own.

    Without configured servers it is over the one that OLLAMA_HOST names at this moment, else loopback.
    """
    return _process.new()


async def get_ollama_pool() -> OllamaConnectionPool:
    """The pool of this process, made by `new_ollama_pool` on first use; it connects when it is asked something."""
    return _process.get()


async def close_ollama_pool() -> None:
    """Close the pool of this process, if there is one; the next `get_ollama_pool` makes a new one."""
    await _process.aclose()


def _pool_of(settings: Settings) -> OllamaConnectionPool:
    return OllamaConnectionPool(servers_of(settings), lanes=settings.lanes, settings=settings.pool)


_process = ProcessWide(_pool_of, OllamaConnectionPool.aclose)
