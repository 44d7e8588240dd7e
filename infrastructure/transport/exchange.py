"""One request and its answer, each phase under its own time limit.

Owns sending, the one free retry, the reading of pieces, and the mapping of every error of the wire to ours. A limit
ends the call it belongs to and nothing else: no limit is set on the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

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
from infrastructure.transport.wire import Ask, StaleConnection

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from infrastructure.config.settings import PhaseLimits
    from infrastructure.transport.wire import Reply, Wire

ERROR_BYTES = 1 << 18
DRAIN_SECONDS = 0.25
"""How long the end of a finished answer is waited for, so that its connection can be used again."""
_REFUSED_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_EARLY = 0.002
"""Timers of some loops fire this much too soon."""


class UnderWay:
    """The exchanges of one client that have begun and not ended."""

    def __init__(self) -> None:
        self._exchanges: set[Exchange] = set()
        self._over: asyncio.Event | None = None

    def add(self, exchange: Exchange) -> None:
        """It begins."""
        self._exchanges.add(exchange)

    def discard(self, exchange: Exchange) -> None:
        """It is over, however it ended."""
        self._exchanges.discard(exchange)
        if self._over is not None and not self._exchanges:
            self._over.set()

    async def over(self) -> None:
        """Wait until there is none."""
        while self._exchanges:
            self._over = asyncio.Event()
            await self._over.wait()


class Exchange:
    """A request under way. Entering sends it, `piece` gives the bytes of the answer as they come."""

    def __init__(
        self,
        wire: Wire,
        method: str,
        path: str,
        body: bytes | None,
        limits: PhaseLimits,
        *,
        server: str,
        under_way: UnderWay,
        model: str = "",
        on_phase: Callable[[Phase], None] | None = None,
    ) -> None:
        self.server = server
        self._under_way = under_way
        self._wire = wire
        self._limits = limits
        self._model = model
        self._told = on_phase or _tell_nobody
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + limits.total
        self._ask = Ask(method, path, body, limits.connect, limits.first_byte, self._ends_at)
        self._reply: Reply | None = None

    async def __aenter__(self) -> Self:
        """Send, wait for the first byte, hand over the answer; leaving before its end stops the server.

        Raises:
            OllamaError: whatever went wrong, by name.
        """
        self._under_way.add(self)
        try:
            reply = self._reply = await self._first_byte()
            if not 200 <= reply.status < 300:
                try:
                    raise await self._failure(reply)
                finally:
                    await reply.aclose()
        except BaseException:
            self._under_way.discard(self)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._reply is not None:
                await self._reply.aclose()
        finally:
            self._under_way.discard(self)

    async def piece(self) -> bytes | None:
        """The next bytes, as the network cut them; None at the end of the answer.

        Raises:
            PhaseTimeout: nothing came for too long, or the whole call took too long.
            StreamBroken: the connection broke; the caller knows what had arrived.
        """
        assert self._reply is not None, "only within `async with`"
        now = self._loop.time()
        if now >= self._ends_at and not self._reply.ended:  # what has come by then whole is not thrown away
            raise PhaseTimeout(Phase.TOTAL, server=self.server)
        quiet_at = now + self._limits.between_tokens
        try:
            return await self._reply.receive(min(quiet_at, self._ends_at)) or None
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
        if self._reply is None or self._reply.ended:
            return
        self._ends_at = self._loop.time() + DRAIN_SECONDS
        try:
            while await self.piece() is not None:
                continue
        except OllamaError:  # the answer was complete: whatever its connection does now concerns nobody
            return

    async def _first_byte(self) -> Reply:
        self._told(Phase.CONNECT)
        try:
            try:
                reply = await self._wire.ask(self._ask, self._told, fresh=False)
            except StaleConnection:  # one that had been kept alive turns out dead, which no one could know: once more
                reply = await self._wire.ask(self._ask, self._told, fresh=True)
        except TimeoutError:
            raise self._late(Phase.FIRST_BYTE) from None
        except httpx.ConnectTimeout as error:
            raise self._late(Phase.CONNECT) from error
        except httpx.TransportError as error:
            raise _unreachable(error, self.server) from error
        self._told(Phase.BETWEEN_TOKENS)
        return reply

    def _late(self, phase: Phase) -> PhaseTimeout:
        over = self._loop.time() + _EARLY >= self._ends_at
        return PhaseTimeout(Phase.TOTAL if over else phase, server=self.server)

    async def _failure(self, reply: Reply) -> OllamaError:
        try:
            body = await self.whole(ERROR_BYTES)
        except OllamaError:  # the status alone says enough
            body = b""
        return failure(reply.status, body, model=self._model, server=self.server, location=reply.header(b"location"))


def _tell_nobody(phase: Phase) -> None:
    """Nobody asked to be told of phases."""


def _unreachable(error: httpx.TransportError, server: str) -> ServerUnreachable:
    words = _words(error)
    if _REFUSED_CERTIFICATE in words:
        return ServerUnreachable(words, server=server, hint="name its authority in ca_file of this server")
    if isinstance(error, httpx.ProxyError):
        return ServerUnreachable(words, server=server, hint="check HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
    return ServerUnreachable(words, server=server)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
