"""The HTTP/2 connections to one origin: many streams on few of them.

Owns which connection a request goes on, when a further one is opened, and what of a request's head may be said at all.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING

import httpx
from hpack import NeverIndexedHeaderTuple

from infrastructure.transport.dialing import connect, words
from infrastructure.transport.http2_connection import Http2Connection
from infrastructure.transport.wire import to_the_end

if TYPE_CHECKING:
    from infrastructure.transport.http2_stream import Header

TRIES = 3
"""How often a request is sent that the peer refused unprocessed, which is its promise (RFC 9113, 8.7). A GOAWAY that
came while others were served does not count: over connections that take five requests, the last of sixty is sent twelve
times."""
GRACE_SECONDS = 0.25
"""How long a peer may take to say goodbye, as over TLS, when all is closed."""
_HOP_BY_HOP = {b"host", b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
_SECRET = {b"authorization", b"proxy-authorization", b"cookie"}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_UNSAYABLE = re.compile(rb"[\r\n\0]")
_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")


class NoHttp2(Exception):
    """The server chose HTTP/1.1."""


class Http2Connections:
    """By ALPN with an `ssl_context`, else by prior knowledge (h2c). Idle ones are kept for `idle_seconds`."""

    def __init__(self, *, idle_seconds: float, ssl_context: ssl.SSLContext | None = None) -> None:
        self._idle_seconds = idle_seconds
        self._ssl = ssl_context
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["h2", "http/1.1"])
        self._connections: list[Http2Connection] = []
        self._sockets: dict[Http2Connection, asyncio.Future[None]] = {}
        """Of each connection that has one, when it is closed."""
        self._opening: asyncio.Task[Http2Connection] | None = None
        self.closed = False

    def free(self, since: float) -> Http2Connection | None:
        """One with room for a stream that is no older than `since`, by the loop's clock; None: there is no such."""
        for connection in list(self._connections):
            if self._expired(connection):
                connection.close()
            elif connection.room and connection.opened_at >= since:
                return connection
        return None

    async def opened(self, url: httpx.URL, seconds: float | None, since: float) -> Http2Connection:
        """One with room for a stream, which is waited for; `seconds` is the longest that connecting may take.

        Others may wait for the same one, so a request that has less time left does not shorten it.

        Raises:
            NoHttp2: the server speaks HTTP/1.1.
            httpx.ConnectTimeout, httpx.ConnectError: it cannot be reached, or takes no streams.
        """
        while True:
            if self.closed:
                raise httpx.ConnectError("closed")
            if self._opening is None:
                self._opening = asyncio.create_task(self._open(url, seconds))
                self._opening.add_done_callback(self._opened)
            connection = await self._shared(self._opening)
            if connection.room:
                return connection
            if connection.gone or connection.idle:
                raise httpx.ConnectError("HTTP/2: the server takes no streams")
            found = self.free(since)  # its room went to others who waited for it too
            if found is not None:
                return found
            await asyncio.sleep(0)  # where the task is done and its callback still to come, nothing else here waits

    async def aclose(self) -> None:
        """Close every connection; open streams fail. Returns when their sockets are closed, even when cancelled."""
        self.closed = True
        if self._opening is not None:
            self._opening.cancel()
        for connection in list(self._sockets):
            connection.close()
        self._connections.clear()
        await to_the_end(self._until_all_lost())

    async def _until_all_lost(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._sockets:
            await asyncio.wait(list(self._sockets.values()), timeout=GRACE_SECONDS)
        while self._sockets:
            for connection in list(self._sockets):
                connection.abort()
            await asyncio.wait(list(self._sockets.values()))

    async def _shared(self, opening: asyncio.Task[Http2Connection]) -> Http2Connection:
        """The connection that several requests wait for; one of them leaving does not end it for the others."""
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled() and not _leaving():
                raise httpx.ConnectError("closed while connecting") from None
            raise

    def _expired(self, connection: Http2Connection) -> bool:
        return connection.idle and asyncio.get_running_loop().time() - connection.idle_since > self._idle_seconds

    def _opened(self, task: asyncio.Task[Http2Connection]) -> None:
        self._opening = None
        if task.cancelled() or task.exception() is not None or task.result().gone:
            return
        if self.closed:
            task.result().close()
        else:
            self._connections.append(task.result())

    def _gone(self, connection: Http2Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def _made(self) -> Http2Connection:
        return Http2Connection(self._gone, self._sockets)

    async def _open(self, url: httpx.URL, seconds: float | None) -> Http2Connection:
        port = url.port or (443 if self._ssl else 80)
        try:
            async with asyncio.timeout(seconds):
                transport, connection = await connect(self._made, url.host, port, self._ssl)
                await _spoken(transport, connection)
        except TimeoutError:
            raise httpx.ConnectTimeout("HTTP/2: connecting took too long") from None
        except (OSError, ssl.SSLError, httpx.TransportError) as error:
            raise httpx.ConnectError(words(error)) from error
        return connection


def head(method: str, url: httpx.URL, target: bytes, headers: list[Header]) -> list[Header]:
    """The head of a request as HTTP/2 says it; the headers that only HTTP/1.1 knows are left out.

    Raises:
        httpx.LocalProtocolError: something in it could be taken for something else further on.
    """
    if not target or _NO_TARGET.search(target):
        raise httpx.LocalProtocolError(f"HTTP/2: no target: {target[:80]!r}")
    authority, verb = next((value for name, value in headers if name.lower() == b"host"), url.netloc), method.encode()
    if not _TOKEN.fullmatch(verb.lower()) or _NO_TARGET.search(authority):
        raise httpx.LocalProtocolError(f"HTTP/2: no method or no host: {verb[:80]!r}, {authority[:80]!r}")
    first = [
        (b":method", verb),
        (b":authority", authority),
        (b":scheme", url.scheme.encode("ascii")),
        (b":path", target),
    ]
    rest = [(name.lower(), value.strip(b" \t")) for name, value in headers if name.lower() not in _HOP_BY_HOP]
    for name, value in rest:
        if not _TOKEN.fullmatch(name) or _UNSAYABLE.search(value):
            raise httpx.LocalProtocolError(f"HTTP/2: no header line: {name[:80]!r}")
    # A secret is kept out of the tables of compression, where its length could be guessed at (RFC 7541, 7.1).
    return first + [NeverIndexedHeaderTuple(*each) if each[0] in _SECRET else each for each in rest]


async def _spoken(transport: asyncio.Transport, connection: Http2Connection) -> None:
    """Wait until the peer has shown that it speaks HTTP/2."""
    try:
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            raise NoHttp2
        await connection.ready
    except BaseException:
        transport.abort()
        raise


def _leaving() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
