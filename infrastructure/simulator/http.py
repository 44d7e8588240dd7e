"""Owns the wire: requests parsed with httptools, answers framed byte for byte as Go's HTTP server does.

A client that leaves cancels its request. One connection carries one request at a time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools

from infrastructure.simulator.ending import Endable
from infrastructure.simulator.exchange import Exchange, Handler, Header, Request
from infrastructure.simulator.wire import Wire

_BUFFERED = 2048
"""A finished body up to this size gets a Content-Length; a longer one is chunked (Go's write buffer)."""
_REFUSAL = b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n%b"


class _Framing:
    """See `Framing`: an answer in HTTP/1.1, or 1.0 for who asks so."""

    def __init__(self, connection: "Connection", request: Request) -> None:
        self.wire: Wire | None = None
        self.exchange: Exchange | None = None
        self._connection = connection
        self._request = request
        self._chunked = False

    @property
    def paused(self) -> bool:
        return self._connection.paused

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        heads_only = self._request.method == "HEAD"
        if len(body) > _BUFFERED and heads_only:
            self._put(self._head(status, headers, ()))
        elif len(body) > _BUFFERED and self._request.version != "1.0":
            self.begin(status, headers)
            self.piece(body)
        else:
            bodiless = status == HTTPStatus.NO_CONTENT
            length = () if bodiless else (("Content-Length", str(len(body))),)
            head = self._head(status, headers, length)
            self._put(head if heads_only else head + body)

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        self._chunked = self._request.version != "1.0"
        if not self._chunked:
            self._request.keep_alive = False
        self._put(self._head(status, headers, (("Transfer-Encoding", "chunked"),) if self._chunked else ()))

    def piece(self, data: bytes) -> None:
        if self._request.method != "HEAD":
            self._put(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        if self.wire is not None:
            self.wire.end(self._finish)
        else:
            self._finish()

    def break_off(self, reset: bool) -> None:
        if reset:
            self._connection.reset()
        elif self.wire is not None:
            self._connection.close()
        else:
            self._connection.abort()

    def refuse(self) -> None:
        self._connection.abort()

    def _finish(self) -> None:
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")
        if self.exchange is not None:
            self._connection.answered(self.exchange)

    def _put(self, data: bytes) -> None:
        if self.wire is not None:
            self.wire.put(data, self._connection.write)
        else:
            self._connection.write(data)

    def _head(self, status: int, headers: Sequence[Header], framing: Sequence[Header]) -> bytes:
        lines = [f"HTTP/{self._request.version} {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in sorted(headers, key=lambda header: header[0])]
        lines.append(f"Date: {formatdate(usegmt=True)}")
        lines += [f"{name}: {value}" for name, value in framing]
        if self._request.keep_alive == (self._request.version == "1.0"):
            lines.append("Connection: " + ("keep-alive" if self._request.keep_alive else "close"))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection(Endable):
    """One TCP connection."""

    def __init__(
        self,
        handler: Handler,
        fixed: Sequence[Header],
        tasks: set[asyncio.Task[None]],
        on_change: Callable[["Connection", bool], None],
        idle_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self.paused = False
        self._idle_seconds = idle_seconds
        self._idle: asyncio.TimerHandle | None = None
        self._requests = 0
        self._handler = handler
        self._fixed = fixed
        self._tasks = tasks
        self._on_change = on_change
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._url = b""
        self._queue: deque[Request] = deque()
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._on_change(self, True)
        self._watch_idleness()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._idle is not None:
            self._idle.cancel()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            self._refuse("400 Bad Request")

    def eof_received(self) -> bool:
        """A half-closed connection cancels its request and is then left open, as measured."""
        if self._exchange is None:
            return False
        self._leave()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._on_change(self, False)
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()
        self._queue.clear()
        self._leave()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._pause(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._pause(False)

    # --------------------------------------------------------------------- httptools' callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._request = Request()
        self._url = b""
        self._body = []

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body comes next."""
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        if request.version == "1.1" and "host" not in request.headers:
            self._refuse("400 Bad Request: missing required Host header")
            return
        url = httptools.parse_url(self._url)
        request.path = (url.path or b"/").decode("latin-1")
        request.query = f"?{url.query.decode('latin-1')}" if url.query else ""
        request.body = b"".join(self._body)
        request.reused = self._requests > 0
        self._requests += 1
        self._queue.append(request)
        self._next()

    # ---------------------------------------------------------------------- for the exchange

    def write(self, data: bytes) -> None:
        """Send bytes, if the connection still stands."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete: take the next request, or close."""
        if exchange is not self._exchange:
            return
        self._exchange, self._task = None, None
        if not exchange.request.keep_alive:
            self.close()
            return
        self._next()
        if self._exchange is None:
            self._watch_idleness()

    def _watch_idleness(self) -> None:
        if self._idle_seconds is not None and self._transport is not None:
            self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self.close)

    def _next(self) -> None:
        if self._exchange is not None or not self._queue:
            return
        request = self._queue.popleft()
        framing = _Framing(self, request)
        framing.exchange = self._exchange = exchange = Exchange(request, framing, self._fixed)
        work = self._handler(exchange)
        if work is not None:
            self._task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(self._task)
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A request that ends in an error of the simulator's own must not look like a hang."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.abort()
            raise task.exception() or AssertionError

    def _refuse(self, status: str) -> None:
        self.write(_REFUSAL % (status.encode(), status.encode()))
        self.close()

    def _leave(self) -> None:
        exchange, task = self._exchange, self._task
        self._exchange, self._task = None, None
        if exchange is not None:
            exchange.leave()
        if task is not None:
            task.cancel()

    def _pause(self, paused: bool) -> None:
        self.paused = paused
        if self._exchange is not None:
            self._exchange.pause(paused)
