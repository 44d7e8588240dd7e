"""Owns the simulated server: its socket, its routes, its life."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Self

from infrastructure.simulator import listing
from infrastructure.simulator.brains.tasks import read_tasks
from infrastructure.simulator.calls import JSON
from infrastructure.simulator.catalogue import default_models
from infrastructure.simulator.completion import complete
from infrastructure.simulator.embedding import embed, embeddings
from infrastructure.simulator.gate import turned_away
from infrastructure.simulator.golang import dump
from infrastructure.simulator.http import Connection, Exchange
from infrastructure.simulator.models import ModelStore
from infrastructure.simulator.pulling import pull
from infrastructure.simulator.reading import WireError
from infrastructure.simulator.settings import Fault, SimulatorSettings
from infrastructure.simulator.truth import Truth
from infrastructure.simulator.world import Clock, World, make_world

_SIMULATED = (("X-Corral-Simulated", "1"),)
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


class Simulator:
    """An Ollama server that needs no GPU. `async with Simulator(settings) as sim: sim.url`.

    On leaving, connections break off as they do when the real server is stopped. Safe to stop twice.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self._world: World | None = None
        self._server: asyncio.Server | None = None
        self._queue: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the socket and begin to serve.

        Raises:
            OSError: the address is taken, or the tasks cannot be read.
            pydantic.ValidationError: a line of the tasks is none.
        """
        loop = asyncio.get_running_loop()
        clock = Clock(loop)
        specs = default_models() if self.settings.models is None else self.settings.models
        tasks = await asyncio.to_thread(read_tasks, self.settings.tasks) if self.settings.tasks else ()
        self._world = make_world(self.settings, ModelStore(specs, clock.now()), clock, tasks)
        self._server = await loop.create_server(self._connection, self.settings.host, self.settings.port)
        self._queue = loop.create_task(self._world.scheduler.run())

    async def stop(self) -> None:
        """Close the socket, break off every connection, and end every task."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._connections):
            connection.abort()
        tasks = [*self._tasks, *([self._queue] if self._queue else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.world.scheduler.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # the broken connections' last callbacks

    async def run_forever(self) -> None:
        """Serve until cancelled."""
        await asyncio.get_running_loop().create_future()

    @property
    def world(self) -> World:
        """The server's inside: models, scheduler, faults.

        Raises:
            RuntimeError: it was not started.
        """
        if self._world is None:
            raise RuntimeError("the simulator was not started")
        return self._world

    @property
    def truth(self) -> Truth:
        """What really happened."""
        return self.world.truth

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: it is not running.
        """
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{self.settings.host}:{self.port}"

    def set_fault(self, model: str, fault: Fault | None) -> None:
        """Let a model misbehave from the next request on, or behave again.

        Raises:
            LookupError: no such model.
        """
        for known in self.world.models:
            if known.name.shortest in (model, f"{model}:latest"):
                self.world.faults.set(known.name.key, fault)
                return
        raise LookupError(model)

    def hold(self, text: str) -> None:
        """Stop answers to prompts with this text after their first tokens, until `release`."""
        self.world.holds.texts.add(text)

    def release(self, text: str) -> None:
        """Let the answers go on that `hold` stopped."""
        self.world.holds.texts.discard(text)
        for loaded in self.world.scheduler.loaded.values():
            loaded.runner.go_on()

    # ---------------------------------------------------------------------------- requests

    def _connection(self) -> Connection:
        truth = self.truth
        connection: Connection

        def changed(step: int) -> None:
            truth.open_connections += step
            if step > 0:
                truth.connections += 1
                self._connections.add(connection)
            else:
                self._connections.discard(connection)
            truth.noted()

        connection = Connection(self._handle, _SIMULATED, self._tasks, changed)
        return connection

    def _handle(self, exchange: Exchange) -> Coroutine[None, None, None] | None:
        """Answer what needs no model at once; the rest is work that a leaving client cancels."""
        path = exchange.request.path
        if turned_away(exchange, self.settings.host):
            return None
        if path == "/":
            exchange.answer(200, _PLAIN, b"Ollama is running")
        elif path in _AT_ONCE:
            exchange.answer(200, JSON, _AT_ONCE[path](self.world))
        else:
            return self._work(exchange)
        return None

    async def _work(self, exchange: Exchange) -> None:
        try:
            await _WORK[exchange.request.path](self.world, exchange)
        except WireError as error:
            if exchange.begun:
                raise
            exchange.answer(error.status, JSON, dump({"error": error.text}))


def _version(world: World) -> bytes:
    return dump({"version": world.version.number, "simulated": True})


def _status(_: World) -> bytes:
    return dump({"cloud": {"disabled": False, "source": "none"}})


async def _show(world: World, exchange: Exchange) -> None:
    exchange.answer(200, JSON, listing.show(world, exchange.request.body))


_AT_ONCE: Mapping[str, Callable[[World], bytes]] = {
    "/api/version": _version,
    "/api/status": _status,
    "/api/tags": listing.tags,
    "/api/ps": listing.ps,
}
_WORK: Mapping[str, Callable[[World, Exchange], Coroutine[None, None, None]]] = {
    "/api/chat": partial(complete, chat=True),
    "/api/generate": partial(complete, chat=False),
    "/api/embed": embed,
    "/api/embeddings": embeddings,
    "/api/pull": pull,
    "/api/show": _show,
}


async def run_simulator(settings: SimulatorSettings, *, ready: Callable[[Simulator], None] | None = None) -> None:
    """Run a simulator until SIGTERM or SIGINT.

    Args:
        settings: what it is.
        ready: told once it listens, for instance to print its address.

    Raises:
        OSError: the address is taken.
    """
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, asked_to_stop.set)
    try:
        async with Simulator(settings) as simulator:
            if ready is not None:
                ready(simulator)
            await asked_to_stop.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
