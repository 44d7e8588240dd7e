"""The event log: persisted first, then published.

Owns the numbering of a run's events and the cursors that follow them. A follower is a place in the table and a bell:
the bell says that there is more, the table says what, so a slow follower loses nothing and costs no memory.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from infrastructure.events.bells import Bells
from infrastructure.events.catalogue import ANY_EVENT, AnyEvent
from infrastructure.events.causes import Cause, Place, cause, whole_causation
from infrastructure.ids import RunId
from infrastructure.storage.times import Now, from_text, to_text, utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from infrastructure.storage.database import Database, Readable, ReadOnlyDatabase

PAGE = 500
"""Events a follower reads at once."""
_TURNS = "kind IN ('run.started', 'run.interrupted', 'run.finished')"  # the words of the index, which must match
POLL_SECONDS = 0.1
"""How often another process looks for more."""

_Row = tuple[str, int, str, int, str, str, str, str]
_Work = Callable[[sqlite3.Connection], "Stored"]
_E = TypeVar("_E", bound=BaseException)
Kept = Callable[[sqlite3.Connection, tuple["Stored", ...]], None]
"""What is stored together with events."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Stored:
    """An event and where it stands. `seq` counts a run's events from 1, without a gap but where text was pruned."""

    run: RunId
    seq: int
    at: datetime
    """When it happened; aware, in UTC."""
    execution: int
    event: AnyEvent
    body: str = field(default="", compare=False, repr=False)
    """The event as the table has it, in JSON, so that a door need not write it again; empty where there is no table."""
    correlation: str = ""
    """What began it all: a request, a command, a job; empty where nobody asked, and in events of before."""
    causation: str = ""
    """The event that led to this one, as `run/number`; empty for the first, and in events of before."""


class UnreadableEvent(Exception):
    """A stored event is of a kind that this program does not know: a newer Corral wrote it."""

    def __init__(self, run: str, seq: int, kind: str) -> None:
        self.run, self.seq, self.kind = run, seq, kind
        super().__init__(f"event {seq} of run {run} is of kind {kind!r}, which this version of Corral cannot read")


OnCommit = Callable[[Stored, float], None]
"""Told of an event that is on disk, and of the seconds it took from handing it over. Must neither block nor raise."""


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
        insertions = [_insertion(place, now, 0, event, led) for place, (_, event) in zip(places, events, strict=True)]

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
        future = self._submit(place, execution, event)
        self._posted[future] = run
        future.add_done_callback(lambda done: self._after_post(run, done))
        return place

    def observe(self, observer: OnCommit) -> None:
        """Tell this one of every event from now on, in the order of their commits, when it is on disk."""
        self._observers.append(observer)

    async def append_with(
        self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[_T, AnyEvent | None]]
    ) -> _T:
        """Do a work and keep the event it gives, in one transaction: neither is there without the other."""
        if (lost := self._lost.pop(run, None)) is not None:
            raise lost
        at, began, led, place = self._now(), self._clock(), cause(), Place(run)

        def both(connection: sqlite3.Connection) -> tuple[_T, tuple[Stored, ...]]:
            value, event = work(connection)
            return value, () if event is None else (_insertion(place, at, execution, event, led)(connection),)

        future = self._database.submit(both)
        future.add_done_callback(lambda done: self._settled((place,), began, done, lambda: done.result()[1]))
        return (await asyncio.shield(future))[0]

    async def read(self, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
        """The run's events with a greater number."""
        return await self._database.read(lambda connection: _read(connection, run, after, limit))

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
        runs = await self._database.read(lambda connection: _finished_before(connection, limit))
        gone = 0
        for run in runs:  # a transaction each, so that no live run waits long
            gone += await self._database.write(lambda connection, run=run: _prune(connection, run))
        return gone

    def _submit(self, place: Place, execution: int, event: AnyEvent) -> asyncio.Future[Stored]:
        began = self._clock()
        future = self._database.submit(_insertion(place, self._now(), execution, event, cause()))
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
    return await database.read(lambda connection: _read(connection, run, after, limit))


async def _cursor(
    database: Readable, run: RunId, after: int, ends_when_interrupted: bool, more: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Stored, None]:
    """Read, deliver, and wait for `more`; when that says False, what is there is delivered and that is all."""
    rests = {"run.finished", "run.interrupted"} if ends_when_interrupted else {"run.finished"}
    last = False
    while True:
        page, turn = await database.read(partial(_page, run=run, after=after))
        for stored in page:
            after = stored.seq
            yield stored
        if len(page) == PAGE:
            continue
        if last or turn in rests:
            return
        last = not await more()


_PLACED = (
    "INSERT INTO events (run, seq, at, execution, kind, body, causation, correlation) VALUES"
    " (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE run = ?1), ?2, ?3, ?4, ?5, ?6, "
)
_ASKED = _PLACED + "?7) RETURNING seq, correlation"
_UNASKED = (  # nobody asks just now: the run goes on for whoever began it
    _PLACED + "COALESCE((SELECT correlation FROM events WHERE run = ?1 ORDER BY seq LIMIT 1), ''))"
    " RETURNING seq, correlation"
)


def _insertion(place: Place, at: datetime, execution: int, event: AnyEvent, led: Cause) -> _Work:
    body, event = _body(event)
    run, instant, asked = place.run, to_text(at), led.correlation

    def work(connection: sqlite3.Connection) -> Stored:
        causation = led.causation(run)
        values = (run, instant, execution, event.kind, body, causation)
        row: tuple[int, str] = connection.execute(
            _ASKED if asked else _UNASKED, (*values, asked) if asked else values
        ).fetchone()
        place.seq = row[0]  # jobs are done in their order, so whoever names this one as its cause finds the number
        return Stored(run, row[0], from_text(instant), execution, event, body, row[1], whole_causation(causation, run))

    return work


def as_stored(event: AnyEvent) -> AnyEvent:
    """The event as it will be read back."""
    return _body(event)[1]


def _body(event: AnyEvent) -> tuple[str, AnyEvent]:
    """The event as JSON, and as it will be read back."""
    try:
        return event.model_dump_json(), event
    except PydanticSerializationError:
        # Half of a surrogate pair, which a model's text can contain, is no Unicode: it becomes a question mark.
        body = json.dumps(event.model_dump(), ensure_ascii=False).encode("utf-8", "replace").decode()
        return body, ANY_EVENT.validate_json(body)


def _read(connection: sqlite3.Connection, run: RunId, after: int, limit: int) -> tuple[Stored, ...]:
    sql = (
        "SELECT run, seq, at, execution, kind, body, correlation, causation FROM events"
        " WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"
    )
    return tuple(map(_stored, connection.execute(sql, (run, after, limit))))


def _page(connection: sqlite3.Connection, run: RunId, after: int) -> tuple[tuple[Stored, ...], str]:
    """The next events, and, when these are all, the last turn the run took: started, interrupted or finished."""
    events = _read(connection, run, after, PAGE)
    if len(events) == PAGE:
        return events, ""
    row: tuple[str] | None = connection.execute(
        f"SELECT kind FROM events INDEXED BY events_turns WHERE run = ? AND {_TURNS} ORDER BY seq DESC LIMIT 1",
        (run,),
    ).fetchone()
    return events, row[0] if row else ""


def _stored(row: _Row) -> Stored:
    run, seq, at, execution, kind, body, correlation, causation = row
    try:
        event = ANY_EVENT.validate_json(body)
    except ValidationError as error:
        raise UnreadableEvent(run, seq, kind) from error
    led = whole_causation(causation, run)
    return Stored(RunId(run), seq, from_text(at), execution, event, body, correlation, led)


def _finished_before(connection: sqlite3.Connection, limit: str) -> list[str]:
    sql = f"SELECT DISTINCT run FROM events INDEXED BY events_turns WHERE {_TURNS} AND kind = 'run.finished' AND at < ?"
    return [run for (run,) in connection.execute(sql, (limit,))]


def _prune(connection: sqlite3.Connection, run: str) -> int:
    # The last event stays whatever it is: the next number is counted from it.
    sql = (
        "DELETE FROM events WHERE run = ?1 AND kind = 'call.text'"
        " AND seq < (SELECT MAX(seq) FROM events WHERE run = ?1)"
    )
    return connection.execute(sql, (run,)).rowcount
