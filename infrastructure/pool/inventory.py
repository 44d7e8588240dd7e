"""What each server holds and has loaded, as it says itself.

Owns the looks: `/api/tags` and `/api/ps` of a server together, one look at a time for everybody who waits for it, and
the windows they show. Clients are made here, at the first contact with a server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from infrastructure.pool.aliases import Aliases
from infrastructure.pool.cautions import Cautions
from infrastructure.pool.lanes import Lane, canonical
from infrastructure.pool.states import Health
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError, RequestRefused, ServerBusy, ServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from infrastructure.config.settings import PoolSettings, ServerSettings
    from infrastructure.pool.background import Background
    from infrastructure.pool.scheduler import Scheduler
    from infrastructure.transport.messages import LoadedModel, LocalModel

LOOK_AGAIN_SECONDS = 5.0
"""How long a look is good for; only calls make the pool look again."""
LOADED_SECONDS = 0.25
"""How much longer than for the list of models the list of loaded ones is waited for, before calls go on without."""
_LANES_KEPT = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server said at its last look; `models` is None where it would not say."""

    models: tuple[LocalModel, ...] | None = None
    loaded: tuple[LoadedModel, ...] = ()


class Inventory:
    """The servers' own word, and the clients to ask them."""

    def __init__(
        self,
        servers: Mapping[str, ServerSettings],
        settings: PoolSettings,
        scheduler: Scheduler,
        background: Background,
        clock: Callable[[], float],
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._scheduler = scheduler
        self._background = background
        self._clock = clock
        self._clients: dict[str, OllamaClient] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._stale: set[str] = set()
        self._holdings: dict[str, Holdings] = {}
        self._windows: dict[tuple[str, Lane], int] = {}
        self._seen_windows: dict[tuple[str, Lane], int] = {}
        self._asked: set[tuple[str, Lane]] = set()
        self._errors: dict[str, OllamaError] = {}
        self._cautions = Cautions()
        self.aliases = Aliases()
        self.on_look: Callable[[], None] = _ignore
        """Called after every look, when the scheduler knows its result."""

    def client(self, server: str) -> OllamaClient:
        """The client of a server; making it connects to nothing."""
        client = self._clients.get(server)
        if client is None:
            client = self._clients[server] = OllamaClient(
                self._servers[server],
                limits=self._settings.phases,
                line_bytes=self._settings.line_bytes,
                allow_cloud=self._settings.allow_cloud,
            )
        return client

    def look(self, server: str) -> asyncio.Task[None]:
        """Ask a server what it has; whoever asks meanwhile shares the answer. The task itself never fails."""
        task = self._looks.get(server)
        if task is None:
            task = self._background.start(self._look(server), f"look at {self._servers[server].label}")
            self._looks[server] = task
        return task

    def look_soon(self, server: str) -> None:
        """Ask a server what it has now, after this moment: a look that is under way may have seen what was before."""
        if server in self._looks:
            self._stale.add(server)
        else:
            self.look(server)

    def looking(self, server: str) -> bool:
        """Whether a look is under way."""
        return server in self._looks

    def due(self, server: str, now: float) -> bool:
        """Whether the next call should make the pool look: never seen, seen long ago, or down for long enough."""
        if server in self._looks:
            return False
        state = self._scheduler.servers[server]
        good_for = LOOK_AGAIN_SECONDS if state.health is Health.UP else self._settings.retry_down_seconds
        return now - state.looked_at >= good_for

    def holdings(self, server: str) -> Holdings:
        """What the server said last."""
        return self._holdings.get(server, _NOTHING)

    def name_of(self, model: LoadedModel) -> str:
        """The name that lanes have of a model in memory, whichever of its names loaded it."""
        return self.aliases.one_name(canonical(model.name))

    def window(self, server: str, lane: Lane) -> int | None:
        """The window of the lane on the server, in tokens, as far as it is known for sure."""
        return lane.num_ctx or self._windows.get((server, lane))

    def seen_windows(self, lane: Lane) -> tuple[int, ...]:
        """The windows that servers have shown of the lane, when it was last in memory there by a call of ours."""
        return tuple(
            window for (server, of), window in self._seen_windows.items() if of is lane and server in self._servers
        )

    def learn_window(self, server: str, lane: Lane) -> None:
        """A call of the lane is being answered there: look once what window it has, if that is not known."""
        if lane.num_ctx or (server, lane) in self._windows or (server, lane) in self._asked or self.looking(server):
            return
        if len(self._asked) >= _LANES_KEPT:
            self._asked.clear()
            self._windows.clear()
        self._asked.add((server, lane))
        self.look(server)

    def failed(self, server: str, error: OllamaError, *, by_call: bool = True) -> None:
        """A server could not be reached by a call, or by a look."""
        self._errors[server] = error
        self._scheduler.roster.down(server, str(error), self._clock(), by_call=by_call)

    def error(self, server: str) -> OllamaError | None:
        """Why a server is down."""
        return self._errors.get(server)

    def forget(self, server: str) -> None:
        """The server is not ours any more. Its connections are closed when nothing is under way on them."""
        look = self._looks.pop(server, None)
        if look is not None:
            look.cancel()
        self._holdings.pop(server, None)
        self.aliases.forget(server)
        self._errors.pop(server, None)
        self._stale.discard(server)
        for known in (self._windows, self._seen_windows):
            for place in [place for place in known if place[0] == server]:
                del known[place]
        self._asked = {place for place in self._asked if place[0] != server}
        self._let_go(server, None)

    def reconnect(self, server: str) -> None:
        """The server is reached otherwise from now on. What is under way ends as it began."""
        self._let_go(server, self._looks.get(server))
        self.look_soon(server)

    def limit(self, settings: PoolSettings) -> None:
        """Other limits hold from now on."""
        before, self._settings = self._settings, settings
        if _of_clients(before) != _of_clients(settings):
            for server in list(self._clients):
                self.reconnect(server)

    async def aclose(self) -> None:
        """Close the clients."""
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(client.aclose() for client in clients))

    def _let_go(self, server: str, look: asyncio.Task[None] | None) -> None:
        """Use the client no more, and close it when nothing needs it: a look asks it twice, and waits between."""
        client = self._clients.pop(server, None)
        if client is not None:
            self._background.start(_retire(client, look), f"let go of {client.server.label}")

    async def _look(self, server: str) -> None:
        self._scheduler.roster.look_begins(server)
        loads = self._scheduler.servers[server].loads
        client = self.client(server)
        seconds = self._settings.phases.connect
        known, task = False, asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                holds = group.create_task(_outcome(partial(client.tags, seconds=seconds)))
                has_loaded = group.create_task(_outcome(partial(client.ps, seconds=seconds)))
                models = await holds
                # `/api/ps` stalls while a runner is sick: the calls do not wait for it.
                await asyncio.wait([has_loaded], timeout=LOADED_SECONDS)
                if not has_loaded.done():
                    self._seen(server, models, None, loads)
                    self.on_look()
            self._seen(server, models, has_loaded.result(), loads)
            known = True
        finally:
            if self._looks.get(server) is task:  # else the server was removed meanwhile
                if not known:  # closed, or a defect of ours: nobody may wait for this look for ever
                    self._scheduler.roster.down(server, "the look at it failed", self._clock())
                del self._looks[server]
                if server in self._stale:
                    self._stale.discard(server)
                    if known:
                        self.look(server)
            self.on_look()

    def _seen(
        self,
        server: str,
        models: tuple[LocalModel, ...] | OllamaError,
        loaded: tuple[LoadedModel, ...] | OllamaError | None,
        loads: int,
    ) -> None:
        # A proxy that lets only calls through, or a server too busy to list its models, may well answer a call.
        if isinstance(models, OllamaError) and not isinstance(models, RequestRefused | ServerBusy):
            self.failed(server, models, by_call=False)
            return
        held = None if isinstance(models, OllamaError) else models
        in_memory = None if isinstance(loaded, OllamaError) else loaded
        self._errors.pop(server, None)
        self._holdings[server] = Holdings(held, in_memory or ())
        if held is not None:
            self.aliases.see(server, held)
        for model in held or ():
            self._scheduler.estimates.size(canonical(model.name), model.size)
        state = self._scheduler.servers[server]
        believed = loads == state.loads  # else it was asked before it loaded something
        self._scheduler.roster.up(
            server,
            models=None if held is None else (canonical(model.name) for model in held),
            loaded=None if in_memory is None else (self.name_of(model) for model in in_memory),
            now=self._clock(),
            fresh=server not in self._stale,
            loads=loads,
        )
        for resident in (in_memory or ()) if believed else ():
            # Only a lane that a call of ours has loaded is known to be the one whose window is shown.
            lane = state.resident().get(self.name_of(resident))
            self._cautions.see(self._servers[server].label, resident, lane)
            if lane is not None and resident.context_length:
                self.see_window(server, lane, resident.context_length)

    def see_window(self, server: str, lane: Lane, window: int) -> None:
        """A server has shown the window of a lane that a call of ours has loaded, in its list or by a refusal."""
        if lane.num_ctx is None:
            self._windows[server, lane] = window
        if len(self._seen_windows) >= _LANES_KEPT:
            self._seen_windows.clear()
        self._seen_windows[server, lane] = window


_NOTHING = Holdings()


def _of_clients(settings: PoolSettings) -> tuple[object, ...]:
    """What a client is made with."""
    return settings.phases, settings.line_bytes, settings.allow_cloud


async def _retire(client: OllamaClient, look: asyncio.Task[None] | None) -> None:
    """Close a client when the look and all else that uses it is over; at once when cancelled."""
    try:
        if look is not None:
            await asyncio.wait([look])
    finally:
        await client.retire()


async def _outcome(asking: Callable[[], Coroutine[object, object, T]]) -> T | OllamaError:
    """The answer, or the error as a value, so that one failing question does not end the other.

    It is asked in here: a task that is cancelled before its first step would leave a coroutine that nobody awaits. Once
    more where the connection broke, which over HTTP/2 others may have broken: every waiting call depends on the answer.
    """
    try:
        try:
            return await asking()
        except ServerUnreachable:
            return await asking()
    except OllamaError as error:
        return error


def _ignore() -> None:
    pass
