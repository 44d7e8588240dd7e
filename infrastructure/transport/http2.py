"""HTTP/2 under the httpx API: many streams on few connections, each of which can be stopped alone.

httpx's own HTTP/2 is not used: it never resets a stream, so a cancelled call goes on generating; it lets a quiet stream
delay the others; and it drops running streams at a graceful GOAWAY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from h2.exceptions import ProtocolError

from infrastructure.transport.http2_connections import TRIES, Http2Connections, NoHttp2, head
from infrastructure.transport.http2_stream import Stream, StreamRefused

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

OPENED_SINCE = "opened_since"


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
        self._connections = Http2Connections(idle_seconds=idle_seconds, ssl_context=ssl_context)
        self._fallback = fallback
        self._falls_back = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and wait for the headers of its answer."""
        body = await request.aread()
        tries = TRIES
        while tries:
            if self._falls_back and self._fallback is not None:
                return await self._fallback.handle_async_request(request)
            try:
                return await self._exchange(request, body)
            except NoHttp2:
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
        await self._connections.aclose()
        if self._fallback is not None:
            await self._fallback.aclose()

    async def _exchange(self, request: httpx.Request, body: bytes) -> httpx.Response:
        asked = head(request.method, request.url, request.url.raw_path, list(request.headers.raw))
        since = request.extensions.get(OPENED_SINCE, 0.0)
        connection = self._connections.free(since)
        await _trace(request, f"{'connection.connect_tcp' if connection is None else _SENDING}.started")
        if connection is None:
            seconds = request.extensions.get("timeout", {}).get("connect")
            connection = await self._connections.opened(request.url, seconds, since)
            await _trace(request, f"{_SENDING}.started")
        if not connection.room:  # somebody was faster while the trace was told
            return await self._exchange(request, body)
        stream = await connection.ask(asked, body)
        return httpx.Response(
            stream.status,
            headers=[header for header in stream.response or () if not header[0].startswith(b":")],
            stream=_Body(stream),
            extensions={"http_version": b"HTTP/2", "stream_id": stream.id},
        )


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closing it early resets the stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._stream.receive():
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


_SENDING = "http2.send_request_headers"


async def _trace(request: httpx.Request, event: str) -> None:
    """Tell httpx's `trace` extension, by the names that httpcore gives these events."""
    trace = request.extensions.get("trace")
    if trace is not None:
        await trace(event, {})
