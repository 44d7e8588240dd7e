"""The table of events: how one is written and numbered, and how they are read back.

Owns the SQL of `events`. Everything here runs in the threads of the database, on a connection that is given.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from infrastructure.events.catalogue import ANY_EVENT, AnyEvent
from infrastructure.events.causes import Cause, Place, whole_causation
from infrastructure.ids import SYSTEM, RunId
from infrastructure.storage.times import from_text, to_text

if TYPE_CHECKING:
    from datetime import datetime

PAGE = 500
"""Events a follower reads at once."""
_TURNS = "kind IN ('run.started', 'run.interrupted', 'run.finished')"  # the words of the index, which must match

_ORPHANS = """
WITH RECURSIVE names (run) AS (
    SELECT MIN(run) FROM events
    UNION ALL SELECT (SELECT MIN(events.run) FROM events WHERE events.run > names.run) FROM names WHERE run IS NOT NULL
)
SELECT run FROM names WHERE run IS NOT NULL AND run <> ?1
AND run NOT IN (SELECT run FROM runs) AND run NOT IN (SELECT session FROM sessions)
AND (SELECT at FROM events WHERE events.run = names.run ORDER BY seq DESC LIMIT 1) < ?2
"""  # from name to name along the primary key, instead of through every event

_Row = tuple[str, int, str, int, str, str, str, str]
Insertion = Callable[[sqlite3.Connection], "Stored"]
"""Writes one event, and says where it stands."""


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


_PLACED = (
    "INSERT INTO events (run, seq, at, execution, kind, body, causation, correlation) VALUES"
    " (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE run = ?1), ?2, ?3, ?4, ?5, ?6, "
)
_ASKED = _PLACED + "?7) RETURNING seq, correlation"
_UNASKED = (  # nobody asks just now: the run goes on for whoever began it
    _PLACED + "COALESCE((SELECT correlation FROM events WHERE run = ?1 ORDER BY seq LIMIT 1), ''))"
    " RETURNING seq, correlation"
)


def insertion(place: Place, at: datetime, execution: int, event: AnyEvent, led: Cause) -> Insertion:
    """Write an event behind the last of its run; `place` is told the number."""
    body, event = _body(event)
    run, utc, asked = place.run, at.astimezone(UTC), led.correlation
    instant = to_text(utc)

    def work(connection: sqlite3.Connection) -> Stored:
        causation = led.causation(run)
        values = (run, instant, execution, event.kind, body, causation)
        row: tuple[int, str] = connection.execute(
            _ASKED if asked else _UNASKED, (*values, asked) if asked else values
        ).fetchone()
        place.seq = row[0]  # jobs are done in their order, so whoever names this one as its cause finds the number
        return Stored(run, row[0], utc, execution, event, body, row[1], whole_causation(causation, run))

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


def read_rows(connection: sqlite3.Connection, run: RunId, after: int, limit: int) -> tuple[Stored, ...]:
    """A run's events with a greater number.

    Raises:
        UnreadableEvent: one is of a kind that is not known.
    """
    sql = (
        "SELECT run, seq, at, execution, kind, body, correlation, causation FROM events"
        " WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"
    )
    return tuple(map(_stored, connection.execute(sql, (run, after, limit))))


def read_page(connection: sqlite3.Connection, run: RunId, after: int) -> tuple[tuple[Stored, ...], str]:
    """The next events, and, when these are all, the last turn the run took: started, interrupted or finished."""
    events = read_rows(connection, run, after, PAGE)
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


def finished_before(connection: sqlite3.Connection, limit: str) -> list[str]:
    """The runs that finished before an instant."""
    sql = f"SELECT DISTINCT run FROM events INDEXED BY events_turns WHERE {_TURNS} AND kind = 'run.finished' AND at < ?"
    return [run for (run,) in connection.execute(sql, (limit,))]


def orphans(connection: sqlite3.Connection, limit: str) -> list[str]:
    """The names of sessions that are gone whose last event is older than an instant."""
    return [run for (run,) in connection.execute(_ORPHANS, (SYSTEM, limit))]


def count_old(connection: sqlite3.Connection, before: datetime) -> int:
    """How many events `EventLog.prune_old` would delete."""
    limit = to_text(before)
    counted = "SELECT COUNT(*) FROM events WHERE run = ?1"
    old = f"{counted} AND at < ?2 AND seq < (SELECT MAX(seq) FROM events WHERE run = ?1)"
    found = [connection.execute(old, (SYSTEM, limit)).fetchone()]
    found += [connection.execute(counted, (run,)).fetchone() for run in orphans(connection, limit)]
    return sum(count for (count,) in found)


def prune_orphan(connection: sqlite3.Connection, run: str) -> int:
    """Delete all events of a name; how many went."""
    return connection.execute("DELETE FROM events WHERE run = ?", (run,)).rowcount


def prune_system(connection: sqlite3.Connection, limit: str) -> int:
    """Delete the program's own events that are older than an instant; how many went. The last stays, as below."""
    sql = "DELETE FROM events WHERE run = ?1 AND at < ?2 AND seq < (SELECT MAX(seq) FROM events WHERE run = ?1)"
    return connection.execute(sql, (SYSTEM, limit)).rowcount


def prune_rows(connection: sqlite3.Connection, run: str) -> int:
    """Delete a run's streamed text; how many events went."""
    # The last event stays whatever it is: the next number is counted from it.
    sql = (
        "DELETE FROM events WHERE run = ?1 AND kind = 'call.text'"
        " AND seq < (SELECT MAX(seq) FROM events WHERE run = ?1)"
    )
    return connection.execute(sql, (run,)).rowcount
