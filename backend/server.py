"""The server: a socket, uvicorn over it, and an end in under five seconds.

Owns binding and the order of shutting down. uvicorn's own order cannot be used: it waits for open streams before it
tells anybody, so runs and streams are brought to rest first, and only then is it asked to stop.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

import uvicorn
from fastapi import FastAPI

from backend.api import OpenApplication, create_app
from backend.bootstrap import Application
from backend.connections import Limits, connections_for, open_files
from backend.looping import LAST_RESORT_SECONDS, loop_name
from backend.security.addresses import is_loopback_host
from backend.security.guard import BODY_BYTES, Guard
from backend.stopping import Stopping
from infrastructure.config.settings import ServeSettings
from infrastructure.engine import SHUT_DOWN
from infrastructure.storage.errors import StorageError

DRAIN_SECONDS = 2.5
"""For runs to come to rest at a step."""
QUIET_SECONDS = 0.5
"""For streams to send their last event."""
CUT_SECONDS = 1
"""For answers that are still being sent; then they are cut."""
PING_SECONDS = 20.0
"""A WebSocket is pinged as often, and cut off when it does not answer within as long."""
COLLECTED_AT = (5_000, 20, 20)
"""The collector's thresholds: new objects before it looks at them, and rounds before it looks at older ones."""
PORTS_TRIED = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_logger = logging.getLogger(__name__)


class NoPassword(Exception):
    """The door would be open to other machines without a password."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} can be reached from other machines, and no password is set")
        self.hint = "Set `serve.password` or give --password-file, or listen on 127.0.0.1."


class ToldToEnd(Exception):
    """The server was told to end before it had begun."""


@dataclass(frozen=True, slots=True)
class Door:
    """An open door. `address` is where this machine reaches it."""

    address: str


class AsyncServerCore:
    """Serves one application. Use it as an async context manager, or `start`, `run_main_loop`, `aclose` in turn."""

    def __init__(
        self,
        open_application: OpenApplication,
        settings: ServeSettings,
        *,
        listener: socket.socket,
        owns_runs: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """A server, not started yet.

        Args:
            open_application: Opens what is served, and is closed last.
            settings: Names and password.
            listener: A bound socket; it is closed at the end.
            owns_runs: Whether shutting down brings the engine's runs to rest; a door beside a command leaves them be.
            limits: What strangers may take; by default what the process can bear.

        Raises:
            NoPassword: the socket is open to other machines, and there is no password.
        """
        self._listener = listener
        host, port = cast("tuple[str, int]", listener.getsockname()[:2])
        secret = settings.password
        check_host(host, settings)
        self.address = address_of(host, port)
        self.stopping = Stopping()
        named = (*settings.hosts, settings.host, host)
        self._guard = Guard(port=port, hosts=named, password=None if secret is None else secret.get_secret_value())
        self._owns_runs = owns_runs
        self._app = create_app(open_application, guard=self._guard, stopping=self.stopping)
        limits = limits or Limits(connections_for(open_files()))
        self._server = uvicorn.Server(_configuration(self._app, limits))
        self._stack = AsyncExitStack()
        self._ending: asyncio.Task[None] | None = None
        self._opening: asyncio.Timeout | None = None
        """While it is being opened: it may wait for another engine as long as that takes, and can be told not to."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> Door:
        """Open the application, listen, and say in the engine's lock where.

        Raises:
            StorageError: the data directory cannot be used.
            ToldToEnd: `begin_shutdown` was called meanwhile, or before.
        """
        try:
            async with asyncio.timeout(0 if self.stopping.begun else None) as self._opening:
                await self._open()
        except BaseException as error:
            opening, self._opening = self._opening, None
            await self._stack.aclose()
            self._listener.close()
            if isinstance(error, TimeoutError) and opening is not None and opening.expired():
                raise ToldToEnd(ToldToEnd.__doc__) from None
            raise
        self._opening = None
        _logger.info("listening on %s, event loop: %s", self.address, loop_name())
        return Door(self.address)

    async def _open(self) -> None:
        await self._stack.enter_async_context(self._app.router.lifespan_context(self._app))
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup(sockets=[self._listener])
        application = self._application()
        await application.announce(self.address)
        self._stack.push_async_callback(application.announce, "")

    async def run_main_loop(self) -> None:
        """Serve until `handle_shutdown`."""
        await self._server.main_loop()

    def begin_shutdown(self) -> None:
        """Shut down from a callback; see `handle_shutdown`. Idempotent. While it is opened, that is given up."""
        begun = self.stopping.begun
        self.stopping.begin()
        if self._opening is not None:
            if not begun:
                self._opening.reschedule(asyncio.get_running_loop().time())
        elif self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self.handle_shutdown(), name="shut down")

    async def handle_shutdown(self) -> None:
        """Refuse new work, bring runs to rest, end the streams, and let the main loop return."""
        try:
            self.stopping.begin()
            await self._take_back_address()
            if self._owns_runs:
                await self._bring_runs_to_rest()
            self.stopping.settle()
            await self.stopping.quiet(QUIET_SECONDS)
        finally:
            self.stopping.settle()
            self._server.should_exit = True

    async def aclose(self) -> None:
        """Shut down if that was not done, stop listening, and close the application. Idempotent."""
        self.begin_shutdown()
        try:
            if self._ending is not None:
                await self._ending
            if self._server.started:
                self._server.started = False
                await self._server.shutdown(sockets=[self._listener])
        finally:
            await self._stack.aclose()

    @contextmanager
    def signals(self) -> Generator[None]:
        """Let the first SIGINT or SIGTERM shut down, and the second, or too long a wait, end the process at once.

        Only in the main thread.
        """
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        last_resort: list[asyncio.TimerHandle] = []

        def handle(number: signal.Signals) -> None:
            if last_resort:
                _die(number)
            last_resort.append(loop.call_later(LAST_RESORT_SECONDS, _die, number))
            self.begin_shutdown()

        for number in _SIGNALS:
            loop.add_signal_handler(number, handle, number)
        try:
            yield
        finally:
            for timer in last_resort:
                timer.cancel()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])

    async def _take_back_address(self) -> None:
        """Send nobody here any more: who looks for a server now waits for the next one, or becomes it."""
        try:
            await self._application().announce("")
        except StorageError as error:
            _logger.warning("others still see the address of this server, which ends: %s", error)

    async def _bring_runs_to_rest(self) -> None:
        draining = asyncio.ensure_future(self._application().engine.drain(SHUT_DOWN))
        await asyncio.wait([draining], timeout=DRAIN_SECONDS)
        if draining.done():
            draining.result()
        else:
            _logger.warning("runs did not come to rest in %s s; they go on from their last step", DRAIN_SECONDS)
            draining.cancel()

    def _application(self) -> Application:
        return self._app.state.application


@asynccontextmanager
async def open_door(application: Application, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[Door]:
    """Serve an application that is open already, in this event loop, beside what it does.

    Signals are left alone. Leaving it ends the streams with their last event, in under a second; runs go on.
    """
    core = AsyncServerCore(
        lambda: nullcontext(application), application.settings.serve, listener=listen(host, port), owns_runs=False
    )
    async with core:
        serving = asyncio.ensure_future(core.run_main_loop())
        try:
            yield Door(core.address)
        finally:
            await core.handle_shutdown()
            await serving


def check_host(host: str, settings: ServeSettings) -> None:
    """Let a host pass that is loopback, or guarded by a password.

    Raises:
        NoPassword: it is neither.
    """
    if settings.password is None and not is_loopback_host(host):
        raise NoPassword(host)


def listen(host: str, port: int, *, tries: int = PORTS_TRIED) -> socket.socket:
    """A socket on this address, or on the next free port above.

    Args:
        host: Name or address.
        port: The first port that is tried; 0 is any free one.
        tries: How many ports may be tried.

    Raises:
        OSError: none of them can be had.
    """
    last = port if port == 0 else min(port + tries - 1, 65535)
    for tried in range(port, last + 1):
        family, kind, protocol, _, address = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # another program may have bound the same port, and only this tells
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or tried == last:
                raise
        else:
            return listener
    raise AssertionError("the last port raises or returns")


def address_of(host: str, port: int) -> str:
    """The URL by which this machine reaches a socket."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def spare_collector() -> None:
    """Spare the collector of cycles what is there for good once a server listens, and some of its rounds.

    A full collection of the program's half a million objects halts everything for a fifth of a second, and with
    hundreds of turns a minute one comes every few seconds (`python -m benchmarks.turn`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AT)


def _configuration(app: FastAPI, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=limits.protocol(),
        lifespan="off",  # entered here, so that what goes wrong in it is raised to whoever started the server
        log_config=None,
        access_log=False,  # it would hold one-time codes
        proxy_headers=False,  # nobody's word is taken for who asks
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=BODY_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # who is on this machine has no use for it
        timeout_graceful_shutdown=CUT_SECONDS,
    )


def _die(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
