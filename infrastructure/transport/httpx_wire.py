"""One server over whatever httpx can carry: HTTP/2, a proxy of the environment, a transport of a test.

Owns what httpx does not tell by itself: whether a connection was new, when the request went out, and how long the first
byte may take from there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httpx

from infrastructure.transport.errors import Phase
from infrastructure.transport.http2 import OPENED_SINCE
from infrastructure.transport.http2_stream import StreamFailed
from infrastructure.transport.wire import StaleConnection, to_the_end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from infrastructure.transport.wire import Ask


class HttpxWire:
    """Asks one server by an `httpx.AsyncClient`, which it closes."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client = client
        self._base = base_url

    async def ask(self, ask: Ask, told: Callable[[Phase], None], *, fresh: bool) -> HttpxReply:
        """See `wire.Wire.ask`; httpx's own transport cannot be made to use a new connection."""
        request = self._client.build_request(
            ask.method,
            self._base + ask.path,
            content=ask.body,
            headers={} if ask.body is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(None, connect=ask.connect),
        )
        sending = _Sending(ask, told)
        request.extensions = {**request.extensions, "trace": sending.trace}
        if fresh:
            request.extensions[OPENED_SINCE] = asyncio.get_running_loop().time()
        try:
            async with sending.timer:
                return HttpxReply(await self._client.send(request, stream=True))
        except StreamFailed:  # the connection lives, so this is no stale one
            raise
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if fresh or sending.connected or not sending.sent or self._client.is_closed:
                raise
            raise StaleConnection(str(error)) from error

    async def aclose(self) -> None:
        """See `wire.Wire.aclose`."""
        await to_the_end(self._client.aclose())


class _Sending:
    """One request on its way, by what the transport tells."""

    def __init__(self, ask: Ask, told: Callable[[Phase], None]) -> None:
        self._ask = ask
        self._told = told
        self._loop = asyncio.get_running_loop()
        # It starts as if connecting took all it may: transports without a trace never say "connected".
        self.timer = asyncio.timeout_at(self._until(ask.connect + ask.first_byte))
        self.connected = False
        self.sent = False

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        """A new connection was needed, or the request is going out."""
        if event == "connection.connect_tcp.started":
            self.connected = True
        elif event.endswith(".send_request_headers.started"):
            self.sent = True
            self._told(Phase.FIRST_BYTE)
            self.timer.reschedule(self._until(self._ask.first_byte))

    def _until(self, seconds: float) -> float:
        return min(self._loop.time() + seconds, self._ask.ends_at)


class HttpxReply:
    """httpx's response as a `wire.Reply`."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces = cast("AsyncGenerator[bytes]", response.aiter_raw())
        self._read = False

    @property
    def status(self) -> int:
        """Its status."""
        return self._response.status_code

    @property
    def ended(self) -> bool:
        """See `wire.Reply.ended`."""
        return self._response.is_closed

    def header(self, name: bytes) -> str:
        """See `wire.Reply.header`."""
        return self._response.headers.get(name.decode("ascii"), "")

    async def receive(self, until: float) -> bytes:
        """See `wire.Reply.receive`."""
        self._read = True
        try:
            async with asyncio.timeout_at(until):
                while (piece := await anext(self._pieces, None)) is not None:
                    if piece:
                        return piece
            return b""
        finally:
            self._read = False
            if self._response.is_closed:
                await self._pieces.aclose()

    async def aclose(self) -> None:
        """See `wire.Reply.aclose`."""
        await to_the_end(self._close())

    async def _close(self) -> None:
        # httpx's generator is closed by us: left to the garbage collector it would outlive the call. Not under another
        # task that reads, though: that one is woken by the closed response, and closes it then.
        if not self._read:
            await self._pieces.aclose()
        await self._response.aclose()
