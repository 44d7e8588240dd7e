"""HTTP/1.1 under the httpx API: a connection for each request under way, kept for the next one.

Owns which connection a request goes on, how long an idle one is kept, and that closing leaves none behind. There is no
limit on connections: the pool above gives out slots. httpx's own pool is not used: its bookkeeping grows with the
square of the requests in flight (docs/transport.md).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import httpx

from infrastructure.transport.dialing import Dialler
from infrastructure.transport.http1_connection import Http1Connection, State
from infrastructure.transport.wire import StaleConnection, to_the_end

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

    from infrastructure.transport.http1_answer import Answer, Header

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAYABLE = re.compile(rb"[\r\n\0]")
_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_SOONER = 1.0
"""Seconds before the server closes an idle connection, by its own words, that we do: a request may be on its way."""
_FRAMING = {b"transfer-encoding", b"content-length", b"upgrade"}


class Http1Transport(httpx.AsyncBaseTransport):
    """Speaks HTTP/1.1 to one origin, over TLS with an `ssl_context`.

    Closing a response before its end closes its connection at once. Idle connections are used again, the last one
    first, for `idle_seconds`, or less where the server says how long it keeps them. A kept connection that dies before
    a byte of the answer is a `StaleConnection`; whether to ask again is for the caller.
    """

    def __init__(self, *, idle_seconds: float, ssl_context: ssl.SSLContext | None = None) -> None:
        self._idle_seconds = idle_seconds
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["http/1.1"])
        self._default_port = 80 if ssl_context is None else 443
        self._dialler = Dialler(ssl_context)
        self._origin: tuple[str, int] | None = None
        self._idle: list[Http1Connection] = []
        self._open: set[Http1Connection] = set()
        self._all_lost: asyncio.Future[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and wait for the headers of its answer."""
        head, body = _head_of(request, await request.aread()), request.content
        connection = self.idle()
        if connection is None:
            await _trace(request, "connection.connect_tcp.started")
            connection = await self.opened(request.url, request.extensions.get("timeout", {}).get("connect"))
        try:
            await _trace(request, "http11.send_request_headers.started")
            answer = await connection.ask(head, body, bare=request.method == "HEAD")
        except StaleConnection:
            while self._idle:  # they are of the same age: the next try, if there is one, shall not meet another
                self._idle[-1].abort()
            raise
        except BaseException:
            connection.abort()
            raise
        return httpx.Response(
            answer.status,
            headers=list(answer.headers),
            stream=_Body(answer),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def idle(self) -> Http1Connection | None:
        """The connection that was used last and is idle, for one request; None where there is none."""
        oldest = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    async def opened(self, url: httpx.URL, seconds: float | None) -> Http1Connection:
        """A new connection, for one request.

        Raises:
            httpx.ConnectTimeout, httpx.ConnectError: see `Dialler.dial`.
            httpx.UnsupportedProtocol: another origin than that of the first request.
        """
        host, port = url.host, url.port or self._default_port
        if self._is_closed:
            raise httpx.ConnectError("the transport is closed")
        if (self._origin or (host, port)) != (host, port):
            raise httpx.UnsupportedProtocol(f"HTTP/1.1: this transport speaks to {self._origin} only")
        self._origin = host, port
        loop = asyncio.get_running_loop()
        connection = await self._dialler.dial(lambda: Http1Connection(self, loop), host, port, seconds)
        if connection.state is State.CLOSED:
            raise httpx.ConnectError("the server closed the connection")
        return connection

    async def aclose(self) -> None:
        """Close every connection; open answers fail. Returns when their sockets are closed, even when cancelled."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._open):
            connection.abort()
        await to_the_end(self._until_all_lost())

    # -- Owner of its connections -------------------------------------------------------------------
    def made(self, connection: Http1Connection) -> None:
        """It has a socket."""
        self._open.add(connection)
        if self._is_closed:
            connection.abort()

    def freed(self, connection: Http1Connection) -> None:
        """It is idle again."""
        if connection.kept_seconds is not None:
            self._idle_seconds = min(self._idle_seconds, max(0.0, connection.kept_seconds - _SOONER))
        self._idle.append(connection)
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(self._idle_seconds, self._sweep, loop)

    def closed(self, connection: Http1Connection) -> None:
        """It takes nothing any more."""
        if connection in self._idle:
            self._idle.remove(connection)

    def lost(self, connection: Http1Connection) -> None:
        """Its socket is closed."""
        self._open.discard(connection)
        if not self._open and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)

    # -- pieces -------------------------------------------------------------------------------------
    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has been idle for too long. The list is in the order in which they became idle."""
        self._sweeping = None
        oldest = loop.time() - self._idle_seconds
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle[0].abort()
        if self._idle:
            self._sweeping = loop.call_at(self._idle[0].idle_since + self._idle_seconds, self._sweep, loop)

    async def _until_all_lost(self) -> None:
        await self._dialler.stop()
        while self._open:
            if self._all_lost is None or self._all_lost.done():
                self._all_lost = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_lost])


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closing it early closes the connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._answer.receive():
            yield data

    async def aclose(self) -> None:
        self._answer.leave()


def head(method: bytes, target: bytes, headers: Iterable[Header], length: int | None) -> bytes:
    """The bytes before a body of `length`; None where the request has none.

    Raises:
        httpx.LocalProtocolError: something in it would end its line, and so could smuggle in a second request.
    """
    if not _TOKEN.fullmatch(method) or not target or _NO_TARGET.search(target):
        raise httpx.LocalProtocolError(f"HTTP/1.1: no request line: {method[:20]!r} {target[:80]!r}")
    lines = [b"%s %s HTTP/1.1" % (method, target)]
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _UNSAYABLE.search(value):
            raise httpx.LocalProtocolError(f"HTTP/1.1: no header line: {name[:80]!r}")
        lines.append(b"%s: %s" % (name, value.strip(b" \t")))
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _head_of(request: httpx.Request, body: bytes) -> bytes:
    """The body is sent whole, so its framing is ours."""
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _FRAMING]
    has_body = body or request.method in ("POST", "PUT", "PATCH")
    return head(request.method.encode(), request.url.raw_path, headers, len(body) if has_body else None)


async def _trace(request: httpx.Request, event: str) -> None:
    """Tell httpx's `trace` extension, by the names that httpcore gives these events."""
    trace = request.extensions.get("trace")
    if trace is not None:
        await trace(event, {})
