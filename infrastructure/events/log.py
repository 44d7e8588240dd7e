"""The event log: persisted first, then published.

Owns the numbering of a run's events and the cursors that follow them. A follower is a place in the table and a bell:
the bell says that there is more, the table says what, so a slow follower loses nothing and costs no memory.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from infrastructure.events.bells import Bells
from infrastructure.events.catalogue import AnyEvent, Event
from infrastructure.events.causes import Place, cause
from infrastructure.events.table import (
    PAGE,
    Stored,
    UnreadableEvent,
    as_stored,
    finished_before,
    insertion,
    orphans,
    prune_orphan,
    prune_rows,
    prune_system,
    read_page,
    read_rows,
)
from infrastructure.ids import RunId
from infrastructure.storage.times import Now, to_text, utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from infrastructure.storage.database import Database, Readable, ReadOnlyDatabase

__all__ = [
    "PAGE",
    "POLL_SECONDS",
    "EventLog",
    "Kept",
    "OnCommit",
    "SqliteEventLog",
    "Stored",
    "Told",
    "UnreadableEvent",
    "as_stored",
    "follow_file",
    "read_file",
    "take_lost",
]

POLL_SECONDS = 0.1
"""How often another process looks for more."""

_E = TypeVar("_E", bound=BaseException)
Kept = Callable[[sqlite3.Connection, tuple[Stored, ...]], None]
"""What is stored together with events."""
Told = AnyEvent | Sequence[AnyEvent] | None
"""The events that a work gives."""
OnCommit = Callable[[Stored, float], None]
"""Told of an event that is on disk, and of the seconds it took from handing it over. Must neither block nor raise."""
_T = TypeVar("_T")


class EventLog(Protocol):
    """What happened, in order, for whoever asks.

    An event that a reader or follower has seen is on disk. A cancelled `append` does not take its event back. What led
    to an event is taken from the context of whoever hands it over (`causes`). Failures are StorageErrors.
    """

    async def append(self, run: RunId, execution: int, event: AnyEvent) -> Stored:
        """Keep an event; it is on disk when this returns.

        Raises:
            StorageError: it is not kept, or one posted before for this run was not; that one is told of first, once.
        """
        ...

    def post(self, run: RunId, execution: int, event: AnyEvent) -> Place:
        """Keep an event without waiting. It keeps its place in the order; a failure is told by the next call.

        What is returned has the event's number as soon as there is one, and may be named as a cause before that.
        """
        ...

    async def read(self, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
        """The run's events with a greater number, at most `limit`."""
        ...

    def follow(self, run: RunId, after: int = 0, *, ends_when_interrupted: bool = False) -> AsyncIterator[Stored]:
        """The run's events with a greater number, then the new ones as they come.

        Ends when everything is delivered and the run is finished; with `ends_when_interrupted`, also when it rests
        interrupted. An interruption from which the run has gone on ends nothing.
        """
        ...

    async def flush(self, run: RunId | None = None) -> None:
        """Wait until everything posted is on disk: a run's own, or all there is.

        Raises:
            StorageError: something posted was not kept. What other runs lost is told to them.
        """
        ...


class SqliteEventLog:
    """The log in the holder's database. One event loop uses it. A run may have as many followers as it likes."""

    def __init__(self, database: Database, now: Now = utc_now, clock: Callable[[], float] = time.perf_counter) -> None:
        self._database = database
        self._now, self._clock = now, clock
        self._observers: list[OnCommit] = []
        self._posted: dict[asyncio.Future[Stored], RunId] = {}
        self._lost: dict[RunId, BaseException] = {}
        self._bells = Bells()

    async def append(self, run: RunId, execution: int, event: AnyEvent) -> Stored:
        """Keep an event; it is on disk when this returns."""
        if (lost := self._lost.pop(run, None)) is not None:
            raise lost
        return await asyncio.shield(self._submit(Place(run), execution, event))

    def keep(self, events: Sequence[tuple[RunId, AnyEvent]], work: Kept) -> asyncio.Future[tuple[Stored, ...]]:
        """Keep events and what they tell of in one transaction: all of it or nothing.

        Takes its place in the order now. `work` is given the events with their numbers; as any work of the database it
        may run twice, and what it raises is the future's error.
        """
        now, began, led = self._now(), self._clock(), cause()
        places = [Place(run) for run, _ in events]
        insertions = [insertion(place, now, 0, event, led) for place, (_, event) in zip(places, events, strict=True)]

        def together(connection: sqlite3.Connection) -> tuple[Stored, ...]:
            stored = tuple(insert(connection) for insert in insertions)
            work(connection, stored)
            return stored

        future = self._database.submit(together)
        future.add_done_callback(lambda done: self._settled(places, began, done, done.result))
        return future

    def post(self, run: RunId, execution: int, event: AnyEvent) -> Place:
        """Keep an event without waiting."""
        place = Place(run)
        future = self._submit(place, execution, event, lazy=True)
        self._posted[future] = run
        future.add_done_callback(lambda done: self._after_post(run, done))
        return place

    def observe(self, observer: OnCommit) -> None:
        """Tell this one of every event from now on, in the order of their commits, when it is on disk."""
        self._observers.append(observer)

    async def append_with(
        self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[_T, Told]]
    ) -> _T:
        """Do a work and keep the events it gives, in one transaction: neither is there without the others."""
        if (lost := self._lost.pop(run, None)) is not None:
            raise lost
        at, began, led, place = self._now(), self._clock(), cause(), Place(run)

        def both(connection: sqlite3.Connection) -> tuple[_T, tuple[Stored, ...]]:
            value, told = work(connection)
            events = (told,) if isinstance(told, Event) else told or ()
            return value, tuple(insertion(place, at, execution, event, led)(connection) for event in events)

        future = self._database.submit(both)
        future.add_done_callback(lambda done: self._settled((place,), began, done, lambda: done.result()[1]))
        return (await asyncio.shield(future))[0]

    async def read(self, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
        """The run's events with a greater number."""
        return await self._database.read(lambda connection: read_rows(connection, run, after, limit))

    async def follow(self, run: RunId, after: int = 0, *, ends_when_interrupted: bool = False) -> AsyncIterator[Stored]:
        """The run's events, those there and those to come."""
        with self._bells.listen(run) as bell:
            more = partial(self._bells.hear, bell)
            async with aclosing(_cursor(self._database, run, after, ends_when_interrupted, more)) as events:
                async for stored in events:
                    yield stored

    async def flush(self, run: RunId | None = None) -> None:
        """Wait until everything posted is on disk: a run's own, or all there is."""
        if waiting := [future for future, whose in self._posted.items() if run in (None, whose)]:
            self._database.hurry()
            await asyncio.wait(waiting)
        if (lost := take_lost(self._lost, run)) is not None:
            raise lost

    async def aclose(self) -> None:
        """Flush, and let every follower end with what is there. Idempotent."""
        try:
            await self.flush()
        finally:
            self._bells.close()

    async def prune_text(self, before: datetime) -> int:
        """Delete the streamed text of runs that finished before an instant; returns how many events went."""
        limit = to_text(before)
        runs = await self._database.read(lambda connection: finished_before(connection, limit))
        gone = 0
        for run in runs:  # a transaction each, so that no live run waits long
            gone += await self._database.write(lambda connection, run=run: prune_rows(connection, run))
        return gone

    async def prune_old(self, before: datetime) -> int:
        """Delete the events of sessions that are gone, where all are older than an instant, and the program's own.

        Returns how many went. What the audit keeps of them stays there.
        """
        limit = to_text(before)
        gone = await self._database.write(lambda connection: prune_system(connection, limit))
        for run in await self._database.read(lambda connection: orphans(connection, limit)):
            gone += await self._database.write(lambda connection, run=run: prune_orphan(connection, run))
        return gone

    def _submit(self, place: Place, execution: int, event: AnyEvent, *, lazy: bool = False) -> asyncio.Future[Stored]:
        began = self._clock()
        future = self._database.submit(insertion(place, self._now(), execution, event, cause()), lazy=lazy)
        future.add_done_callback(lambda done: self._settled((place,), began, done, lambda: (done.result(),)))
        return future

    def _settled(
        self,
        places: Sequence[Place],
        began: float,
        future: asyncio.Future[_T],
        kept: Callable[[], tuple[Stored, ...]],
    ) -> None:
        for place in places:
            self._bells.ring(place.run)
        if future.cancelled() or future.exception() is not None:
            for place in places:
                place.seq = 0  # its transaction may have been lost after it had a number
            return
        if not self._observers:
            return
        seconds = self._clock() - began
        for stored in kept():
            for observer in self._observers:
                observer(stored, seconds)

    def _after_post(self, run: RunId, future: asyncio.Future[Stored]) -> None:
        self._posted.pop(future, None)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._lost.setdefault(run, error)


def take_lost(lost: dict[RunId, _E], run: RunId | None) -> _E | None:
    """Take out what a run lost, or what all did: then the first is told, with a note of the others."""
    if run is not None:
        return lost.pop(run, None)
    first, *others = lost.values() or (None,)
    if first is not None and others:
        first.add_note(f"events of {len(others)} more {'run' if len(others) == 1 else 'runs'} were lost too")
    lost.clear()
    return first


async def follow_file(
    database: ReadOnlyDatabase,
    run: RunId,
    after: int = 0,
    *,
    ends_when_interrupted: bool = False,
    poll: float = POLL_SECONDS,
) -> AsyncIterator[Stored]:
    """Follow a run from another process than the holder's: the same events, order and end, `poll` seconds late.

    A run whose holder was killed does not end until somebody goes on with it.
    """

    async def more() -> bool:
        await asyncio.sleep(poll)
        return True

    async with aclosing(_cursor(database, run, after, ends_when_interrupted, more)) as events:
        async for stored in events:
            yield stored


async def read_file(database: ReadOnlyDatabase, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
    """A run's events with a greater number, from another process than the holder's."""
    return await database.read(lambda connection: read_rows(connection, run, after, limit))


async def _cursor(
    database: Readable, run: RunId, after: int, ends_when_interrupted: bool, more: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Stored, None]:
    """Read, deliver, and wait for `more`; when that says False, what is there is delivered and that is all."""
    rests = {"run.finished", "run.interrupted"} if ends_when_interrupted else {"run.finished"}
    last = False
    while True:
        page, turn = await database.read(partial(read_page, run=run, after=after))
        for stored in page:
            after = stored.seq
            yield stored
        if len(page) == PAGE:
            continue
        if last or turn in rests:
            return
        last = not await more()
