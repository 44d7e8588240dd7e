"""One server over our own HTTP/2, without a request object in between.

Owns the head of every request, which is made once for each path, and the way to HTTP/1.1 where the server chooses that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
from h2.exceptions import ProtocolError

from infrastructure.transport.errors import Phase
from infrastructure.transport.http2_connections import TRIES, Http2Connections, NoHttp2, head
from infrastructure.transport.http2_stream import Header, Stream, StreamFailed, StreamRefused
from infrastructure.transport.wire import StaleConnection, to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infrastructure.transport.wire import Ask, Reply, Wire


class Http2Wire:
    """Asks one server. `headers` go with every request, those of the body besides; `fallback` speaks HTTP/1.1."""

    def __init__(
        self,
        connections: Http2Connections,
        base_url: str,
        headers: Mapping[str, str],
        fallback: Wire | None = None,
    ) -> None:
        self._connections = connections
        self._base = httpx.URL(base_url)
        self._headers = [(name.encode("ascii"), value.encode()) for name, value in headers.items()]
        self._heads: dict[tuple[str, str], list[Header]] = {}
        self._fallback = fallback
        self._falls_back = False

    async def ask(self, ask: Ask, told: Callable[[Phase], None], *, fresh: bool) -> Reply:
        """See `wire.Wire.ask`."""
        since = asyncio.get_running_loop().time() if fresh else 0.0
        tries = TRIES
        while tries and not self._falls_back:
            try:
                return await self._exchange(ask, told, since)
            except NoHttp2:
                self._falls_back = self._fallback is not None
                tries -= 1
            except ProtocolError as error:
                raise httpx.LocalProtocolError(f"HTTP/2: {error}") from error
            except StreamRefused as refused:
                tries -= not refused.others_taken
        if self._falls_back and self._fallback is not None:
            return await self._fallback.ask(ask, told, fresh=fresh)
        raise httpx.RemoteProtocolError("HTTP/2: the server refused the stream again and again")

    async def aclose(self) -> None:
        """See `wire.Wire.aclose`."""
        await to_the_end(self._close())

    async def _close(self) -> None:
        await self._connections.aclose()
        if self._fallback is not None:
            await self._fallback.aclose()

    async def _exchange(self, ask: Ask, told: Callable[[Phase], None], since: float) -> Stream:
        now, asked = asyncio.get_running_loop().time, self._head(ask)
        connection, kept = self._connections.free(since), True
        if connection is None:
            kept = False
            async with asyncio.timeout_at(min(now() + ask.connect + ask.first_byte, ask.ends_at)):
                connection = await self._connections.opened(self._base, ask.connect, since)
        until = min(now() + ask.first_byte, ask.ends_at)
        told(Phase.FIRST_BYTE)
        try:
            return await connection.ask(asked, ask.body or b"", until)
        except StreamFailed:  # the connection lives, so this is no stale one
            raise
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if since or not kept or self._connections.closed:
                raise
            raise StaleConnection(str(error)) from error

    def _head(self, ask: Ask) -> list[Header]:
        key = ask.method, ask.path
        common = self._heads.get(key)
        if common is None:
            target = self._base.raw_path.rstrip(b"/") + ask.path.encode("ascii")
            common = self._heads[key] = head(ask.method, self._base, target, self._headers)
        if ask.body is None:
            return common
        return [*common, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(ask.body))]
