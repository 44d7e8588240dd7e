"""Owns the simulated server: its socket, its routes, its life."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Self

from infrastructure.simulator.brains.reading import read_tasks
from infrastructure.simulator.catalogue import default_models
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.http import Connection
from infrastructure.simulator.http2 import Http2Connection
from infrastructure.simulator.models import ModelStore
from infrastructure.simulator.routes import handle
from infrastructure.simulator.settings import Http2Settings, SimulatorSettings
from infrastructure.simulator.toxics import Fault, Toxic
from infrastructure.simulator.truth import Truth
from infrastructure.simulator.world import Clock, World, make_world

_LAST_TURNS = 5
"""Of the loop, in which a connection that was accepted while the server went down is made, broken off and closed."""
_SIMULATED = (("X-Corral-Simulated", "1"),)


class Simulator:
    """An Ollama server that needs no GPU. `async with Simulator(settings) as sim: sim.url`.

    On leaving, connections break off as they do when the real server is stopped. Safe to stop twice.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self._world: World | None = None
        self._server: asyncio.Server | None = None
        self._http2_server: asyncio.Server | None = None
        self._port = 0
        self._http2_port: int | None = None
        self._http2 = self.settings.http2 or Http2Settings()
        self._queue: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection | Http2Connection] = set()

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
        clock = Clock(asyncio.get_running_loop())
        specs = default_models() if self.settings.models is None else self.settings.models
        tasks = await asyncio.to_thread(read_tasks, self.settings.tasks) if self.settings.tasks else ()
        self._world = make_world(self.settings, ModelStore(specs, clock.now()), clock, tasks)
        self._port, self._http2_port = self.settings.port, self.settings.http2_port
        await self.come_up()

    async def stop(self) -> None:
        """Go down for good. Safe to do twice."""
        await self.go_down()

    async def come_up(self) -> None:
        """Listen again, on the same ports, with no model loaded; nothing where it listens.

        Raises:
            OSError: a port was taken meanwhile.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        host = self.settings.host
        self._server = await loop.create_server(self._connection, host, self._port)
        self._port = _port_of(self._server)
        if self._http2_port is not None:
            try:
                self._http2_server = await loop.create_server(self._http2_connection, host, self._http2_port)
            except OSError:
                self._server.close()
                self._server = None
                raise
            self._http2_port = _port_of(self._http2_server)
        self._queue = loop.create_task(self.world.scheduler.run())

    async def go_down(self) -> None:
        """As when the process is killed: no socket, every connection broken off, every call and model lost."""
        servers = [server for server in (self._server, self._http2_server) if server is not None]
        self._server = self._http2_server = None
        if not servers:
            return
        for connection in list(self._connections):
            connection.abort()
        tasks = [*self._tasks, *([self._queue] if self._queue else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.world.scheduler.close()
        await _stop_accepting(servers)
        for server in servers:
            server.close()
            await server.wait_closed()
        for _ in range(_LAST_TURNS):
            await asyncio.sleep(0)

    async def restart(self) -> None:
        """Go down and come up."""
        await self.go_down()
        await self.come_up()

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
        return _port_of(self._server)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{self.settings.host}:{self.port}"

    @property
    def http2_url(self) -> str:
        """Where clients find its HTTP/2 face.

        Raises:
            RuntimeError: it has none, or is not running.
        """
        if self._http2_server is None:
            raise RuntimeError("the simulator has no HTTP/2 face, or is not running")
        return f"h2c://{self.settings.host}:{_port_of(self._http2_server)}"

    def set_http2(self, settings: Http2Settings) -> None:
        """Let the HTTP/2 face treat its connections otherwise, those that are open too."""
        self._http2 = settings
        for connection in self._http2_connections():
            connection.change(settings)

    def go_away(self, *, abrupt: bool = False) -> None:
        """Send GOAWAY on every HTTP/2 connection: what was taken is answered, or broken off at once."""
        for connection in self._http2_connections():
            connection.go_away(abrupt=abrupt)

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

    def add_toxic(self, toxic: Toxic, name: str | None = None) -> str:
        """Let a toxic strike from the next request on; one of the same name goes.

        Args:
            toxic: what happens.
            name: to remove it by, and with the seed what decides whom it hits; its kind when None.

        Returns:
            The name.
        """
        name = name or str(toxic.kind)
        self.world.toxics.add(toxic, name)
        return name

    def remove_toxic(self, name: str) -> None:
        """Take a toxic away; requests that it has hit stay hit.

        Raises:
            LookupError: there is none of that name.
        """
        self.world.toxics.remove(name)

    def clear_toxics(self) -> None:
        """Take all toxics away."""
        self.world.toxics.clear()

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
        tasks, idle = self._tasks, self.settings.idle_seconds
        return Connection(self._answer, _SIMULATED, tasks, self._changed, idle)

    def _http2_connection(self) -> Http2Connection:
        return Http2Connection(self._answer, _SIMULATED, self._tasks, self._changed, self._http2)

    def _answer(self, exchange: Exchange) -> Coroutine[None, None, None] | None:
        return handle(self.world, exchange)

    def _changed(self, connection: Connection | Http2Connection, opened: bool) -> None:
        truth = self.truth
        if opened:
            truth.connections += 1
            truth.open_connections += 1
            self._connections.add(connection)
            if self._server is None:
                connection.abort()
        else:
            truth.open_connections -= 1
            self._connections.discard(connection)
        truth.noted()

    def _http2_connections(self) -> list[Http2Connection]:
        return [connection for connection in self._connections if isinstance(connection, Http2Connection)]


async def _stop_accepting(servers: Sequence[asyncio.Server]) -> None:
    """Take no further connection, and let those be made that were accepted already.

    asyncio (3.11) leaves a socket open for ever, and says nothing, if its server is closed in between.
    """
    loop = asyncio.get_running_loop()
    for server in servers:
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)


def _port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]


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
