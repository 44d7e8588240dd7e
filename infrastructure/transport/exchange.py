"""One request and its answer, each phase under its own time limit.

Owns sending, the one free retry, the reading of pieces, and the mapping of every error of the HTTP client to ours.
A limit ends the call it belongs to and nothing else: no limit is set on the connection.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, cast

import httpx

from infrastructure.transport.errors import (
    OllamaError,
    Phase,
    PhaseTimeout,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
)
from infrastructure.transport.failures import failure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping

    from infrastructure.config.settings import PhaseLimits

ERROR_BYTES = 1 << 18
DRAIN_SECONDS = 0.25
"""How long the end of a finished answer is waited for, so that its connection can be used again."""
_REFUSED_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


class Exchange:
    """A request under way. `pieces` are the bytes of the answer as they come."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        limits: PhaseLimits,
        *,
        server: str,
        model: str = "",
        on_phase: Callable[[Phase], None] | None = None,
    ) -> None:
        self.server = server
        self._http = http
        self._limits = limits
        self._model = model
        self._on_phase = on_phase
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + limits.total
        self._timer = asyncio.timeout(None)
        self._connected = False
        self._sent = False
        self._pieces: AsyncGenerator[bytes] | None = None

    @asynccontextmanager
    async def send(self, request: httpx.Request) -> AsyncGenerator[Exchange]:
        """Send, wait for the first byte, hand over the answer; leaving before its end stops the server.

        Raises:
            OllamaError: whatever went wrong, by name.
        """
        response = await self._first_byte(request)
        try:
            # httpx's generator is closed by us: left to the garbage collector it would outlive the call.
            async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as pieces:
                self._pieces = pieces
                if not response.is_success:
                    raise await self._failure(response)
                yield self
        finally:
            if not response.is_closed:
                await to_the_end(response.aclose())

    async def piece(self) -> bytes | None:
        """The next bytes, as the network cut them; None at the end of the answer.

        Raises:
            PhaseTimeout: nothing came for too long, or the whole call took too long.
            StreamBroken: the connection broke; the caller knows what had arrived.
        """
        assert self._pieces is not None, "only within `send`"
        quiet_at = self._loop.time() + self._limits.between_tokens
        try:
            async with asyncio.timeout_at(min(quiet_at, self._ends_at)):
                return await anext(self._pieces, None)
        except TimeoutError:
            phase = Phase.BETWEEN_TOKENS if quiet_at <= self._ends_at else Phase.TOTAL
            raise PhaseTimeout(phase, server=self.server) from None
        except (httpx.TransportError, httpx.StreamError) as error:
            raise StreamBroken(message=_words(error), server=self.server) from error

    async def whole(self, limit: int) -> bytes:
        """The rest of the answer at once.

        Raises:
            UnreadableAnswer: it is longer than `limit` bytes.
        """
        found = bytearray()
        while (piece := await self.piece()) is not None:
            found += piece
            if len(found) > limit:
                raise UnreadableAnswer(f"longer than {limit} bytes", server=self.server)
        return bytes(found)

    async def drain(self) -> None:
        """Read past the end of a finished answer, so that its connection can serve the next call."""
        self._ends_at = self._loop.time() + DRAIN_SECONDS
        try:
            while await self.piece() is not None:
                continue
        except OllamaError:  # the answer was complete: whatever its connection does now concerns nobody
            return

    async def _first_byte(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._trace}
        self._enter(Phase.CONNECT)
        try:
            # The timer starts as if connecting took all it may: transports without a trace never say "connected".
            async with asyncio.timeout(None) as self._timer:
                self._limit(self._limits.connect + self._limits.first_byte)
                response = await self._send_twice(request)
        except TimeoutError:
            phase = Phase.TOTAL if self._loop.time() >= self._ends_at else Phase.FIRST_BYTE
            raise PhaseTimeout(phase, server=self.server) from None
        except httpx.ConnectTimeout as error:
            raise PhaseTimeout(Phase.CONNECT, server=self.server) from error
        except httpx.TransportError as error:
            raise _unreachable(error, self.server) from error
        self._enter(Phase.BETWEEN_TOKENS)
        return response

    async def _send_twice(self, request: httpx.Request) -> httpx.Response:
        """Send; once more when a connection that had been kept alive turns out dead, which no one could know."""
        try:
            return await self._http.send(request, stream=True)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if self._connected or not self._sent or self._http.is_closed:
                raise
        return await self._http.send(request, stream=True)

    async def _trace(self, event: str, info: Mapping[str, object]) -> None:
        """What the transport tells: a new connection was needed, or the request is going out."""
        if event == "connection.connect_tcp.started":
            self._connected = True
        elif event.endswith(".send_request_headers.started"):
            self._sent = True
            self._enter(Phase.FIRST_BYTE)
            self._limit(self._limits.first_byte)

    def _limit(self, seconds: float) -> None:
        self._timer.reschedule(min(self._loop.time() + seconds, self._ends_at))

    def _enter(self, phase: Phase) -> None:
        if self._on_phase is not None:
            self._on_phase(phase)

    async def _failure(self, response: httpx.Response) -> OllamaError:
        try:
            body = await self.whole(ERROR_BYTES)
        except OllamaError:  # the status alone says enough
            body = b""
        return failure(
            response.status_code,
            body,
            model=self._model,
            server=self.server,
            location=response.headers.get("location", ""),
        )


async def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Do all of it, even when the task that waits is cancelled meanwhile: a stream half closed goes on generating."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _unreachable(error: httpx.TransportError, server: str) -> ServerUnreachable:
    words = _words(error)
    if _REFUSED_CERTIFICATE in words:
        return ServerUnreachable(words, server=server, hint="name its authority in ca_file of this server")
    if isinstance(error, httpx.ProxyError):
        return ServerUnreachable(words, server=server, hint="check HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
    return ServerUnreachable(words, server=server)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
