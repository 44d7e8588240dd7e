"""Two encoders over one log, a page of events as JSON and the stream as server-sent events; and the pool as a stream.

Owns the wire form of an event, which both share, and how a stream ends. The stream of a run or session is a cursor on
the log: its ids are sequence numbers there, so a reader that was cut off goes on where it was. The pool's has no past:
each event is all of it, so a reader that is slow, or was cut off, has missed nothing that still holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import orjson
from pydantic import TypeAdapter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.stopping import Stopping, StreamPlace
from infrastructure.engine import TaskOrchestrator
from infrastructure.events.catalogue import SessionDeleted
from infrastructure.events.log import PAGE, EventLog, Stored
from infrastructure.ids import RunId
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.runs import RunReader, RunState

T = TypeVar("T")

HEARTBEAT_SECONDS = 15.0
"""A comment as often, so that proxies and browsers do not take silence for the end."""
RETRY = b"retry: 500\n\n"
BEAT = b": beat\n\n"
END = b"event: end\ndata: {}\n\n"
SERVER_SHUTDOWN = b"event: server-shutdown\ndata: {}\n\n"
EVENT_STREAM = "text/event-stream"
_SNAPSHOT = TypeAdapter(PoolSnapshot)


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


class PoolSource(Protocol):
    """What of the pool is needed here."""

    def changes(self) -> AsyncGenerator[PoolSnapshot, None]:
        """A snapshot now and after changes; ends with the pool."""
        ...


def event_json(stored: Stored) -> bytes:
    """An event with where it stands, on one line. The log's own JSON is passed on as it is."""
    body = stored.body or stored.event.model_dump_json()
    if "\n" in body or "\r" in body:  # JSON has none, but the table may have been written by another hand
        body = orjson.dumps(orjson.loads(body)).decode()
    at = stored.at.isoformat(timespec="microseconds").replace("+00:00", "Z")  # as the other routes write it
    led = f'"correlation":"{stored.correlation}","causation":"{stored.causation}",'
    place = f'{{"run":"{stored.run}","seq":{stored.seq},"at":"{at}","execution":{stored.execution},{led}'
    return (place + body.lstrip()[1:]).encode()


def event_frame(stored: Stored) -> bytes:
    """An event as a server-sent event: its number, its kind, its JSON."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (stored.seq, stored.event.kind.encode(), event_json(stored))


def page_json(events: Sequence[Stored], limit: int) -> bytes:
    """A page of events; `next` is what to ask `after` for more, null at the end of what is there."""
    more = b"%d" % events[-1].seq if len(events) == limit else b"null"
    return b'{"events":[%b],"next":%b}' % (b",".join(map(event_json, events)), more)


class Followed(Protocol):
    """What a stream of events follows: a run, a session."""

    @property
    def log(self) -> EventLog:
        """Has its events."""
        ...

    @property
    def name(self) -> RunId:
        """Under which it has them."""
        ...

    def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Its events after a number, until no more will come."""
        ...

    async def over(self) -> bool:
        """Whether no more will come."""
        ...


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """A run. It is followed while it rests, since it may be gone on with."""

    source: EventSource
    name: RunId

    @property
    def log(self) -> EventLog:
        """Has its events."""
        return self.source.log

    def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Its events until it is finished."""
        return self.source.engine.follow(self.name, after, ends_when_interrupted=False)

    async def over(self) -> bool:
        """Whether it is finished."""
        return (await self.source.runs.get(self.name)).state is RunState.FINISHED


@dataclass(frozen=True, slots=True)
class FollowedSession:
    """A session, followed until it is deleted."""

    log: EventLog
    sessions: AsyncSessionManager
    name: RunId

    async def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Its events until it is deleted."""
        async with aclosing(cast("AsyncGenerator[Stored, None]", self.log.follow(self.name, after))) as events:
            async for stored in events:
                yield stored
                if isinstance(stored.event, SessionDeleted) and await self.over():
                    return

    async def over(self) -> bool:
        """Whether it is deleted."""
        return not self.sessions.exists(self.name)


class EventStream:
    """One reader's stream of one run or session, from the first event after a number.

    It ends after the last event of what is over, or when the server shuts down.
    """

    def __init__(self, followed: Followed, stopping: Stopping, after: int = 0) -> None:
        self._followed, self._stopping, self._after = followed, stopping, after

    async def frames(self) -> AsyncGenerator[bytes]:
        """The stream's bytes."""
        yield RETRY
        async for frames in self._stored():
            yield frames
        async with aclosing(Arrivals(self._followed.follow(self._after), self._stopping)) as arrivals:
            while (arrived := await arrivals.take()) is not None:
                self._after = arrived[-1].seq if arrived else self._after
                yield b"".join(map(event_frame, arrived)) or BEAT
        async for frames in self._stored():  # what came while it was told to end
            yield frames
        if await self._followed.over():
            yield END
        elif self._stopping.begun:
            yield SERVER_SHUTDOWN

    async def _stored(self) -> AsyncIterator[bytes]:
        """What is in the log already, a page in one piece."""
        more = True
        while more and (page := await self._followed.log.read(self._followed.name, self._after)):
            self._after = page[-1].seq
            yield b"".join(map(event_frame, page))
            more = len(page) == PAGE


class PoolStream:
    """One reader's stream of the pool: all of it now, then anew after changes, until pool or server end.

    A snapshot is made when the one before was taken: whoever reads slowly gets fewer, and nothing is held for him.
    """

    def __init__(self, pool: PoolSource, stopping: Stopping) -> None:
        self._pool, self._stopping = pool, stopping

    async def frames(self) -> AsyncGenerator[bytes]:
        """The stream's bytes."""
        yield RETRY
        settled = asyncio.ensure_future(self._stopping.settled())
        async with aclosing(self._pool.changes()) as changes:
            coming = asyncio.ensure_future(_next(changes))
            try:
                while not settled.done():
                    done, _ = await asyncio.wait(
                        {coming, settled}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if coming.done():
                        if (snapshot := coming.result()) is None:
                            yield END
                            return
                        yield b"event: pool\ndata: %b\n\n" % _SNAPSHOT.dump_json(snapshot)
                        coming = asyncio.ensure_future(_next(changes))
                    elif not done:
                        yield BEAT
                yield SERVER_SHUTDOWN
            finally:
                for task in (coming, settled):
                    task.cancel()
                await asyncio.wait({coming, settled})


class EventStreamResponse(Response):
    """Sends a stream until it ends or its reader is gone, whichever is first."""

    media_type = EVENT_STREAM

    def __init__(self, frames: AsyncGenerator[bytes], stopping: Stopping, place: StreamPlace | None = None) -> None:
        """An answer.

        Args:
            frames: The stream's bytes.
            stopping: Counts it.
            place: That it has already, and leaves when it ends.

        Raises:
            TooManyStreams: when it is sent, and there is no room for it.
        """
        super().__init__(media_type=EVENT_STREAM, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._stopping, self._place = frames, stopping, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        place = self._place or self._stopping.stream_place()
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
            place.leave()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._frames):
            async for chunk in self._frames:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Arrivals(Generic[T]):
    """Events, or whatever else, as they come: as many at a time as have come, and none when for a while none came.

    A task collects them, at most `PAGE` ahead of the reader, so that a burst costs one wake-up and not one an event.
    """

    def __init__(self, events: AsyncGenerator[T, None], stopping: Stopping) -> None:
        self._events = events
        self._ready: list[T] = []
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._stopping = stopping
        self._collecting = asyncio.ensure_future(self._collect())
        self._collecting.add_done_callback(lambda done: self._news.set())
        self._listening = ExitStack()
        self._listening.enter_context(stopping.on_settled(self._news.set))
        if stopping.is_settled:
            self._news.set()

    async def take(self) -> list[T] | None:
        """What has come; None after the last, and when the server shuts down."""
        silence = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._news.set)
        try:
            await self._news.wait()
        finally:
            silence.cancel()
        self._news.clear()
        taken, self._ready = self._ready, []
        self._room.set()
        if not taken and self._collecting.done():
            self._collecting.result()
            return None
        if taken and (self._collecting.done() or self._stopping.is_settled):
            self._news.set()  # so that the next time tells the end
        return taken if taken or not self._stopping.is_settled else None

    async def aclose(self) -> None:
        """Stop collecting, and let go of the events."""
        self._listening.close()
        self._collecting.cancel()
        await asyncio.wait({self._collecting})
        await self._events.aclose()

    async def _collect(self) -> None:
        async for stored in self._events:
            self._ready.append(stored)
            self._news.set()
            if len(self._ready) >= PAGE:
                self._room.clear()
                await self._room.wait()


async def _next(changes: AsyncGenerator[PoolSnapshot, None]) -> PoolSnapshot | None:
    return await anext(changes, None)


async def _gone(receive: Receive) -> None:
    """Return when the reader has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
