"""One HTTP/1.1 connection: a request at a time, its answer handed over byte by byte as it arrives.

Owns the framing (`httptools`), back-pressure both ways, and when a connection may serve again. An answer belongs to
whoever asked; the connection is free for the next request the moment the last byte has arrived, read or not.
"""

from __future__ import annotations

import asyncio
import re
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from infrastructure.transport.http1_answer import UNREAD_BYTES, Answer
from infrastructure.transport.waiting import Alarm
from infrastructure.transport.wire import StaleConnection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.transport.http1_answer import Header

HEAD_BYTES = 1 << 16
"""The longest head, interim answers and trailers included."""
WRITE_BYTES = 1 << 18
"""How much of a request is given to the socket at once; a smaller one goes out with its head in a single write."""
_KEPT_FOR = re.compile(rb"timeout=(\d{1,6})\b", re.IGNORECASE)


class State(Enum):
    """What a connection is doing."""

    IDLE = "idle"
    ASKING = "asking"
    ANSWERING = "answering"
    CLOSED = "closed"


# For what is asked at every header: a member that is looked up by its class costs as much as three calls (measured).
_IDLE, _ASKING, _ANSWERING = State.IDLE, State.ASKING, State.ANSWERING


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def made(self, connection: Http1Connection) -> None:
        """It has a socket."""

    def freed(self, connection: Http1Connection) -> None:
        """It is idle again."""

    def closed(self, connection: Http1Connection) -> None:
        """It takes nothing any more."""

    def lost(self, connection: Http1Connection) -> None:
        """Its socket is closed."""


class Http1Connection(asyncio.Protocol):
    """A connection as the client sees it."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._answer: Answer | None = None
        self._alarm = Alarm(self._loop, self._overdue_at)
        self._headers: list[Header] = []
        self._full = False  # the socket takes nothing more for now
        self._sent = True
        self._bare = False  # the answer has no body, whatever its head says
        self._keeps = False  # the peer keeps the connection
        self._to_the_close = False  # the body ends with the connection
        self._complete = False
        self._surplus = False
        self._head_bytes = 0
        self._silent_bytes = 0
        self._heard = False
        self.state = State.IDLE
        self.used = False
        """Whether it has served a request before the present one."""
        self.idle_since = loop.time()
        self.kept_seconds: int | None = None
        """How long the peer keeps it idle, where it says so (`Keep-Alive: timeout=5`)."""

    # -- for the transport --------------------------------------------------------------------------
    async def ask(self, head: bytes, body: bytes, *, bare: bool = False, until: float | None = None) -> Answer:
        """Send a request and wait for the head of its answer; `bare` for HEAD.

        Raises:
            TimeoutError: it did not come until then.
            StaleConnection: the connection had served before and died without a word.
            httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError: it broke, or is no HTTP.
        """
        answer = Answer(self, self._loop, self._alarm)
        if self.state is not _IDLE or self._transport is None:
            raise StaleConnection("the connection was closed") if self.used else httpx.WriteError("closed")
        self.state = _ASKING
        self._answer, self._bare, self._headers = answer, bare, []
        self._head_bytes = self._silent_bytes = 0
        self._keeps = self._to_the_close = self._complete = self._surplus = self._heard = False
        try:
            if len(body) <= WRITE_BYTES:
                self._sent = True
                self._transport.write(head + body)
            else:
                await self._upload(answer, head, memoryview(body), until)
            while not answer.status:
                if answer.error is not None:
                    raise answer.error
                await answer.changed(until)
        except BaseException:
            answer.leave()
            raise
        return answer

    async def _upload(self, answer: Answer, head: bytes, rest: memoryview, until: float | None) -> None:
        """Send as the socket takes it; an answer that comes first ends that."""
        self._sent = False
        self._write(head)
        while rest and not answer.status and answer.error is None:
            if self._full:
                await answer.changed(until)
                continue
            self._write(rest[:WRITE_BYTES])
            rest = rest[WRITE_BYTES:]
        self._sent = not rest

    def read_on(self, answer: Answer) -> None:
        """The answer has room again."""
        if answer is self._answer and self._transport is not None:
            self._transport.resume_reading()

    def left(self, answer: Answer) -> None:
        """Nobody wants the rest of this answer: close, which is how the server learns it."""
        if answer is self._answer:
            self.abort(httpx.ReadError("the answer was closed"))

    def abort(self, error: Exception | None = None) -> None:
        """Close now; the answer under way fails."""
        answer, self._answer = self._answer, None
        self._alarm.stop()
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._owner.closed(self)
        if self._transport is not None:
            self._transport.abort()
        if answer is not None:
            answer.fail(error or httpx.ReadError("the connection was closed"))

    # -- asyncio.Protocol ---------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None:  # nobody asked: a peer that does this is not to be believed
            self.abort()
            return
        self._heard = True
        self._silent_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._surplus = True
            if not self._complete:
                self.abort(httpx.RemoteProtocolError(f"HTTP/1.1: {type(error).__name__} {error}"))
                return
        if self._silent_bytes > HEAD_BYTES or self._head_bytes > HEAD_BYTES:
            self.abort(httpx.RemoteProtocolError("HTTP/1.1: the head of the answer is too long"))
        elif self._complete:
            self._finish(answer)
        else:
            if answer.unread > UNREAD_BYTES and self._transport is not None:
                self._transport.pause_reading()
            answer.wake()

    def eof_received(self) -> None:
        """The peer sends no more; the socket is closed for that, an idle one at once."""
        if self._answer is None:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: the answer ends here if it may, else it is broken."""
        answer = self._answer
        if answer is not None and exc is None and self._to_the_close:
            self._answer = None
            answer.end()
        self._parser = None
        self.abort(self._broken(exc))
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._full = True

    def resume_writing(self) -> None:
        """The socket has room again."""
        self._full = False
        if self._answer is not None:
            self._answer.wake()

    # -- httptools ----------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """An answer begins; behind a complete one it is one that nobody asked for."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or of the trailers."""
        self._head_bytes += len(name) + len(value) + 4
        if self.state is _ASKING:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is here."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or self._complete:
            return
        status = parser.get_status_code()
        if status < 200:
            return
        answer.status, answer.headers = status, self._headers
        self.state = _ANSWERING
        self._keeps = parser.should_keep_alive()
        if self._bare:
            self._keeps, self._complete = False, True
        elif self._keeps:
            self.kept_seconds = _kept_seconds(self._headers)
        else:
            self._to_the_close = not any(
                name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers
            )

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent_bytes = 0
        if self._answer is not None and not self._complete:
            self._answer.add(body)

    def on_message_complete(self) -> None:
        """The last byte is here; after an interim answer (1xx) the real one is still to come."""
        if self.state is _ANSWERING:
            self._complete = True
        else:
            self._headers = []

    # -- pieces -------------------------------------------------------------------------------------
    def _finish(self, answer: Answer) -> None:
        """Idle again, or closed where one of the two sides cannot go on."""
        self._answer = None
        kept = self._keeps and self._sent and not self._surplus
        # Whoever answers before it has read the request may never read it: then what is still to be sent stays unsent.
        if kept and self._transport is not None and not self._transport.get_write_buffer_size():
            self.state, self.used, self.idle_since = _IDLE, True, self._loop.time()
            self._transport.resume_reading()
            self._owner.freed(self)
        else:
            self.abort()
        answer.end()

    def _overdue_at(self, now: float) -> float | None:
        return self._answer.overdue_at(now) if self._answer is not None else None

    def _write(self, data: bytes | memoryview) -> None:
        if self._transport is not None and self.state is not State.CLOSED:
            self._transport.write(data)

    def _broken(self, exc: Exception | None) -> Exception:
        if not self._heard and self.used:
            return StaleConnection(str(exc or "") or "the server closed a kept connection")
        if exc is not None:
            kind = httpx.ReadError if self._sent else httpx.WriteError
            return kind(str(exc) or type(exc).__name__)
        if not self._heard:
            return httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def _kept_seconds(headers: Iterable[Header]) -> int | None:
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"keep-alive" and (said := _KEPT_FOR.search(value)):
            return int(said[1])
    return None
