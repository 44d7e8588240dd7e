"""HTTP/2 under the httpx API: many streams on few connections, each of which can be stopped alone.

Owns which connection a request goes on. httpx's own HTTP/2 is not used: it never resets a stream, so a cancelled call
goes on generating; it lets a quiet stream delay the others; and it drops running streams at a graceful GOAWAY.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import httpx
from h2.exceptions import ProtocolError

from infrastructure.transport.dialing import connect, words
from infrastructure.transport.http2_connection import Http2Connection
from infrastructure.transport.http2_stream import Header, Stream, StreamRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TRIES = 3
"""How often a request is sent that the peer refused unprocessed, which is its promise (RFC 9113, 8.7). A GOAWAY that
came while others were served does not count: over connections that take five requests, the last of sixty is sent twelve
times."""
OPENED_SINCE = "opened_since"
_HOP_BY_HOP = {b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


class _NoHttp2(Exception):
    """The server chose HTTP/1.1."""


class Http2Transport(httpx.AsyncBaseTransport):
    """Speaks HTTP/2 to one origin: by ALPN with an `ssl_context`, else by prior knowledge (h2c).

    Closing a response before its end resets its stream at once; the connection and its other streams go on. A
    connection that says GOAWAY finishes what it has and takes nothing new. Where the server chooses HTTP/1.1 by
    ALPN, `fallback` serves from then on. A request with the extension `OPENED_SINCE`, a time of the loop's clock, goes
    on no connection that is older.
    """

    def __init__(
        self,
        *,
        idle_seconds: float,
        ssl_context: ssl.SSLContext | None = None,
        fallback: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._ssl = ssl_context
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["h2", "http/1.1"])
        self._fallback = fallback
        self._falls_back = False
        self._connections: list[Http2Connection] = []
        self._opening: asyncio.Task[Http2Connection] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and wait for the headers of its answer."""
        body = await request.aread()
        tries = _TRIES
        while tries:
            if self._falls_back and self._fallback is not None:
                return await self._fallback.handle_async_request(request)
            try:
                return await self._exchange(request, body)
            except _NoHttp2:
                self._falls_back = True
                tries -= 1
            except ProtocolError as error:
                raise httpx.LocalProtocolError(f"HTTP/2: {error}", request=request) from error
            except StreamRefused as refused:
                tries -= not refused.others_taken
        if self._falls_back and self._fallback is not None:
            return await self._fallback.handle_async_request(request)
        raise httpx.RemoteProtocolError("HTTP/2: the server refused the stream again and again", request=request)

    async def aclose(self) -> None:
        """Close every connection; open streams fail."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()
        if self._fallback is not None:
            await self._fallback.aclose()

    async def _exchange(self, request: httpx.Request, body: bytes) -> httpx.Response:
        connection = await self._connection(request)
        await _trace(request, "http2.send_request_headers.started")
        if not connection.room:  # somebody was faster while the trace was told
            connection = await self._connection(request)
        stream = connection.open(_headers(request), body=bool(body))
        try:
            await connection.send(stream, body)
            headers = await connection.receive_headers(stream)
        except BaseException:
            connection.release(stream)
            raise
        return httpx.Response(
            int(dict(headers).get(b":status", b"0")),
            headers=[header for header in headers if not header[0].startswith(b":")],
            stream=_Body(connection, stream),
            extensions={"http_version": b"HTTP/2", "stream_id": stream.id},
        )

    async def _connection(self, request: httpx.Request) -> Http2Connection:
        """A connection with room for a stream; waits for a new one where there is none."""
        since = request.extensions.get(OPENED_SINCE, 0.0)
        while True:
            for connection in list(self._connections):
                if self._expired(connection):
                    connection.close()
                elif connection.room and connection.opened_at >= since:
                    return connection
            await _trace(request, "connection.connect_tcp.started")
            if self._opening is None:
                self._opening = asyncio.create_task(self._open(request))
                self._opening.add_done_callback(self._opened)
            opened = await self._shared(self._opening)
            if opened.room:
                return opened
            if opened.gone or opened.idle:
                raise httpx.ConnectError("HTTP/2: the server takes no streams", request=request)

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
        if not task.cancelled() and task.exception() is None and not task.result().gone:
            self._connections.append(task.result())

    def _gone(self, connection: Http2Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    async def _open(self, request: httpx.Request) -> Http2Connection:
        url = request.url
        port = url.port or (443 if self._ssl else 80)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                transport, connection = await connect(lambda: Http2Connection(self._gone), url.host, port, self._ssl)
                await _spoken(transport, connection)
        except TimeoutError:
            raise httpx.ConnectTimeout("HTTP/2: connecting took too long", request=request) from None
        except (OSError, ssl.SSLError, httpx.TransportError) as error:
            raise httpx.ConnectError(words(error), request=request) from error
        return connection


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closing it early resets the stream."""

    def __init__(self, connection: Http2Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while data := await self._connection.receive(self._stream):
                yield data
        except StreamRefused:
            raise httpx.RemoteProtocolError("HTTP/2: the server gave the stream up") from None
        except ProtocolError as error:
            raise httpx.LocalProtocolError(f"HTTP/2: {error}") from error

    async def aclose(self) -> None:
        self._connection.release(self._stream)


async def _spoken(transport: asyncio.Transport, connection: Http2Connection) -> None:
    """Wait until the peer has shown that it speaks HTTP/2."""
    try:
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            raise _NoHttp2
        await connection.ready
    except BaseException:
        transport.abort()
        raise


def _leaving() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _trace(request: httpx.Request, event: str) -> None:
    """Tell httpx's `trace` extension, by the names that httpcore gives these events."""
    trace = request.extensions.get("trace")
    if trace is not None:
        await trace(event, {})


def _headers(request: httpx.Request) -> list[Header]:
    url = request.url
    return [
        (b":method", request.method.encode()),
        (b":authority", request.headers["host"].encode()),
        (b":scheme", url.scheme.encode()),
        (b":path", url.raw_path),
    ] + [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in _HOP_BY_HOP]
