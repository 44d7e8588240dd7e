"""Two encoders over one log: a page of events as JSON, and the stream as server-sent events.

Owns the wire form of an event, which both share, and how a stream ends. A stream is a cursor on the log: its ids are
the run's sequence numbers, so a reader that was cut off goes on where it was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.stopping import Stopping
from infrastructure.engine import TaskOrchestrator
from infrastructure.events.log import PAGE, EventLog, Stored
from infrastructure.ids import RunId
from infrastructure.storage.runs import RunReader, RunState
from infrastructure.storage.times import to_text

HEARTBEAT_SECONDS = 15.0
"""A comment as often, so that proxies and browsers do not take silence for the end."""
RETRY = b"retry: 500\n\n"
BEAT = b": beat\n\n"
END = b"event: end\ndata: {}\n\n"
SERVER_SHUTDOWN = b"event: server-shutdown\ndata: {}\n\n"
EVENT_STREAM = "text/event-stream"
_LINE_ENDS = re.compile(r"[\r\n]")


class EventSource(Protocol):
    """What of the application is needed here."""

    @property
    def engine(self) -> TaskOrchestrator:
        """Follows runs."""
        ...

    @property
    def log(self) -> EventLog:
        """Has their events."""
        ...

    @property
    def runs(self) -> RunReader:
        """Says which are finished."""
        ...


def event_json(stored: Stored) -> bytes:
    """An event with where it stands, on one line. The log's own JSON is passed on as it is."""
    body = stored.body or stored.event.model_dump_json()
    if _LINE_ENDS.search(body):  # JSON has none, but the table may have been written by another hand
        body = orjson.dumps(orjson.loads(body)).decode()
    at = to_text(stored.at).replace("+00:00", "Z")  # as the other routes write it
    place = f'{{"run":"{stored.run}","seq":{stored.seq},"at":"{at}","execution":{stored.execution},'
    return (place + body.lstrip()[1:]).encode()


def event_frame(stored: Stored) -> bytes:
    """An event as a server-sent event: its number, its kind, its JSON."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (stored.seq, stored.event.kind.encode(), event_json(stored))


def page_json(events: Sequence[Stored], limit: int) -> bytes:
    """A page of events; `next` is what to ask `after` for more, null at the end of what is there."""
    more = b"%d" % events[-1].seq if len(events) == limit else b"null"
    return b'{"events":[%b],"next":%b}' % (b",".join(map(event_json, events)), more)


class EventStream:
    """One reader's stream of one run, from the first event after a number.

    It goes on while the run rests, since it may be gone on with, and ends after a finished run's last event, or when
    the server shuts down.
    """

    def __init__(self, source: EventSource, stopping: Stopping, run: RunId, after: int = 0) -> None:
        self._source, self._stopping = source, stopping
        self._run, self._after = run, after

    async def frames(self) -> AsyncGenerator[bytes]:
        """The stream's bytes."""
        yield RETRY
        async for frames in self._stored():
            yield frames
        events = self._source.engine.follow(self._run, self._after, ends_when_interrupted=False)
        async with aclosing(_Beating(events, self._stopping)) as beating:
            async for stored in beating:
                self._after = stored.seq if stored else self._after
                yield event_frame(stored) if stored else BEAT
        async for frames in self._stored():  # what came while it was told to end
            yield frames
        if (await self._source.runs.get(self._run)).state is RunState.FINISHED:
            yield END
        elif self._stopping.begun:
            yield SERVER_SHUTDOWN

    async def _stored(self) -> AsyncIterator[bytes]:
        """What is in the log already, a page in one piece."""
        more = True
        while more and (page := await self._source.log.read(self._run, self._after)):
            self._after = page[-1].seq
            yield b"".join(map(event_frame, page))
            more = len(page) == PAGE


class EventStreamResponse(Response):
    """Sends a stream until it ends or its reader is gone, whichever is first."""

    media_type = EVENT_STREAM

    def __init__(self, frames: AsyncGenerator[bytes], stopping: Stopping) -> None:
        """An answer.

        Args:
            frames: The stream's bytes.
            stopping: Counts it.

        Raises:
            TooManyStreams: when it is sent, and there is no room for it.
        """
        super().__init__(media_type=EVENT_STREAM, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._stopping = frames, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self._stopping.stream_opened()
        try:
            sending = asyncio.ensure_future(self._send(send))
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, gone):
                    task.cancel()
                await asyncio.wait({sending, gone})
            if not sending.cancelled():
                sending.result()
        finally:
            self._stopping.stream_closed()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._frames):
            async for chunk in self._frames:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Beating:
    """Events as they come, None when for a while none came; ends with them, or when the server shuts down."""

    def __init__(self, events: AsyncGenerator[Stored], stopping: Stopping) -> None:
        self._events = events
        self._settled = asyncio.ensure_future(stopping.settled())
        self._arriving: asyncio.Future[Stored | None] | None = None

    def __aiter__(self) -> _Beating:
        return self

    async def __anext__(self) -> Stored | None:
        if self._arriving is None:
            self._arriving = asyncio.ensure_future(_one(self._events))
        await asyncio.wait(
            {self._arriving, self._settled}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if self._arriving.done():
            stored, self._arriving = self._arriving.result(), None
            if stored is None:
                raise StopAsyncIteration
            return stored
        if self._settled.done():
            raise StopAsyncIteration
        return None

    async def aclose(self) -> None:
        """Stop waiting, and let go of the events."""
        self._settled.cancel()
        if self._arriving is not None:
            self._arriving.cancel()
            with suppress(asyncio.CancelledError):
                await self._arriving
        await self._events.aclose()


async def _one(events: AsyncIterator[Stored]) -> Stored | None:
    return await anext(events, None)


async def _gone(receive: Receive) -> None:
    """Return when the reader has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
