"""Owns the wire: requests parsed with httptools, answers framed byte for byte as Go's HTTP server does.

A client that leaves cancels its request. One connection carries one request at a time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools

Header = tuple[str, str]

_BUFFERED = 2048
"""A finished body up to this size gets a Content-Length; a longer one is chunked (Go's write buffer)."""
_REFUSAL = b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n%b"


@dataclass(slots=True)
class Request:
    """One HTTP request, whole."""

    method: str = ""
    path: str = ""
    query: str = ""
    """With its question mark; empty where there is none."""
    version: str = "1.1"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """By lower-case name."""
    body: bytes = b""
    keep_alive: bool = True


class Exchange:
    """A request and the way to answer it."""

    def __init__(self, request: Request, connection: "Connection", fixed: Sequence[Header]) -> None:
        self.request = request
        self.extra: list[Header] = list(fixed)
        """Headers that go with every answer."""
        self.on_pause: Callable[[bool], None] | None = None
        """Told when the client reads too slowly (True) and when it has caught up (False)."""
        self.on_leave: Callable[[], None] | None = None
        """Told when the client has gone, before the request is cancelled."""
        self.left = False
        self.status: int | None = None
        self._connection = connection
        self._chunked = False

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly."""
        return self._connection.paused

    def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        if len(body) > _BUFFERED and self.request.method == "HEAD":
            self._write(self._head(status, headers, ()))
            self.end()
            return
        if len(body) > _BUFFERED and self.request.version != "1.0":
            self.begin(status, headers)
            self.send(body)
            self.end()
            return
        bodiless = status == HTTPStatus.NO_CONTENT
        length = () if bodiless else (("Content-Length", str(len(body))),)
        head = self._head(status, headers, length)
        self._write(head if self.request.method == "HEAD" else head + body)
        self.end()

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Start an answer of unknown length."""
        self._chunked = self.request.version != "1.0"
        framing = (("Transfer-Encoding", "chunked"),) if self._chunked else ()
        if not self._chunked:
            self.request.keep_alive = False
        self._write(self._head(status, headers, framing))

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return self.status is not None

    def send(self, data: bytes) -> None:
        """Send a piece of the body, one HTTP chunk."""
        if self.request.method != "HEAD":
            self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """Finish the answer in order."""
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._connection.answered(self)

    def drop(self) -> None:
        """Break the connection off."""
        self._connection.abort()

    def _head(self, status: int, headers: Sequence[Header], framing: Sequence[Header]) -> bytes:
        self.status = status
        lines = [f"HTTP/{self.request.version} {status} {HTTPStatus(status).phrase}"]
        own = sorted([*headers, *self.extra], key=lambda header: header[0])
        lines += [f"{name}: {value}" for name, value in own]
        lines.append(f"Date: {formatdate(usegmt=True)}")
        lines += [f"{name}: {value}" for name, value in framing]
        if self.request.keep_alive == (self.request.version == "1.0"):
            lines.append("Connection: " + ("keep-alive" if self.request.keep_alive else "close"))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _write(self, data: bytes) -> None:
        if not self.left:
            self._connection.write(data)


Handler = Callable[[Exchange], Coroutine[None, None, None] | None]
"""Answers an exchange at once, or returns the work that will."""


class Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(
        self,
        handler: Handler,
        fixed: Sequence[Header],
        tasks: set[asyncio.Task[None]],
        on_change: Callable[[int], None],
    ) -> None:
        self.paused = False
        self._handler = handler
        self._fixed = fixed
        self._tasks = tasks
        self._on_change = on_change
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
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
        self._on_change(1)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
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
        self._on_change(-1)
        self._transport = None
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
        self._queue.append(request)
        self._next()

    # ---------------------------------------------------------------------- for the exchange

    def write(self, data: bytes) -> None:
        """Send bytes, if the connection still stands."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Break off, with what is still unsent lost."""
        if self._transport is not None:
            self._transport.abort()

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete: take the next request, or close."""
        if exchange is not self._exchange:
            return
        self._exchange, self._task = None, None
        if not exchange.request.keep_alive and self._transport is not None:
            self._transport.close()
        else:
            self._next()

    def _next(self) -> None:
        if self._exchange is not None or not self._queue:
            return
        exchange = Exchange(self._queue.popleft(), self, self._fixed)
        self._exchange = exchange
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
        if self._transport is not None:
            self._transport.close()

    def _leave(self) -> None:
        exchange, task = self._exchange, self._task
        self._exchange, self._task = None, None
        if exchange is not None:
            exchange.left = True
            if exchange.on_leave is not None:
                exchange.on_leave()
        if task is not None:
            task.cancel()

    def _pause(self, paused: bool) -> None:
        self.paused = paused
        if self._exchange is not None and self._exchange.on_pause is not None:
            self._exchange.on_pause(paused)
