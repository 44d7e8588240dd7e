"""The `runs` table: what was asked for, how far each run is, and what came of it.

Owns reading and changing it. This table, not the graph's checkpoint, says what is finished. What a run is, its states
and errors, is told by `run_record.py` and said here once more, so that users need one name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from infrastructure.ids import RunId
from infrastructure.storage.run_record import (
    MOVES,
    UNNAMED,
    AmbiguousRun,
    IllegalMove,
    KeyReused,
    RequestKey,
    RunChanges,
    RunError,
    RunExists,
    RunRecord,
    RunState,
    UnknownRun,
)
from infrastructure.storage.times import Now, from_optional, from_text, to_optional, to_text, utc_now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from infrastructure.storage.connection import Work
    from infrastructure.storage.database import Database, Readable

__all__ = [
    "MOVES",
    "AmbiguousRun",
    "IllegalMove",
    "KeyReused",
    "RequestKey",
    "RunChanges",
    "RunError",
    "RunExists",
    "RunReader",
    "RunRecord",
    "RunState",
    "RunStore",
    "UnknownRun",
]

_MATCHES = 8
_ID = re.compile(r"[0-9A-Za-z._-]+")
_COLUMNS = (
    "run, thread, task, repo, request_json, state, status, judge, result_json, created, started, ended, execution,"
    " owner, reason"
)
_LAST_TURN = (
    "(SELECT kind FROM events INDEXED BY events_turns WHERE events.run = runs.run"
    " AND kind IN ('run.started', 'run.interrupted', 'run.finished') ORDER BY seq DESC LIMIT 1)"
)
_UNTOLD = (
    f"state = 'finished' AND {_LAST_TURN} IS NOT 'run.finished'"
    f" OR (state = 'interrupted' OR state = 'waiting' AND result_json <> '') AND {_LAST_TURN} = 'run.started'"
)


class RunReader:
    """Reads the table; any process may, over a `ReadOnlyDatabase`."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    async def get(self, run: str) -> RunRecord:
        """The run of this id, or the only one whose id begins so.

        Raises:
            UnknownRun: there is none.
            AmbiguousRun: there are several.
        """
        return await self._database.read(lambda connection: _find(connection, run))

    async def list(self, limit: int = 50, before: RunId | None = None) -> tuple[RunRecord, ...]:
        """Runs, newest first; those older than `before` if it is given."""

        def work(connection: sqlite3.Connection) -> tuple[RunRecord, ...]:
            where, values = ("WHERE run < ?", (before,)) if before else ("", ())
            sql = f"SELECT {_COLUMNS} FROM runs {where} ORDER BY run DESC LIMIT ?"
            return tuple(map(_record, connection.execute(sql, (*values, limit))))

        return await self._database.read(work)

    async def unfinished(self) -> tuple[RunRecord, ...]:
        """Every run that is not finished, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM runs WHERE state <> 'finished' ORDER BY run"
        return await self._database.read(lambda connection: tuple(map(_record, connection.execute(sql))))

    async def untold(self) -> tuple[RunRecord, ...]:
        """Runs at rest whose last event does not say so, oldest first: row and event were once two writes."""
        sql = f"SELECT {_COLUMNS} FROM runs WHERE {_UNTOLD} ORDER BY run"
        return await self._database.read(lambda connection: tuple(map(_record, connection.execute(sql))))

    async def keyed(self, request: RequestKey) -> RunId | None:
        """The run that this request began before; None when it is new.

        Raises:
            KeyReused: the key stands for another request.
        """
        return await self._database.read(lambda connection: _keyed(connection, request))

    async def counts(self) -> Mapping[tuple[RunState, str], int]:
        """How many runs there are, by state and status."""

        def work(connection: sqlite3.Connection) -> dict[tuple[RunState, str], int]:
            rows = connection.execute("SELECT state, status, COUNT(*) FROM runs GROUP BY state, status")
            return {(RunState(state), status): count for state, status, count in rows}

        return await self._database.read(work)


class RunStore(RunReader):
    """Reads and changes the table; the holder's."""

    def __init__(self, database: Database, now: Now = utc_now) -> None:
        super().__init__(database)
        self._writing = database
        self._now = now

    async def create(
        self,
        *,
        run: RunId,
        thread: str,
        task: str,
        repo: str,
        request_json: str,
        request: RequestKey | None = None,
    ) -> RunRecord:
        """Keep a new run, queued. A request that began one before gives that one.

        Raises:
            RunExists: the id is taken.
            KeyReused: the request's key stands for another request.
        """
        work = self.creating(run=run, thread=thread, task=task, repo=repo, request_json=request_json, request=request)
        return await self._writing.write(work)

    def creating(
        self, *, run: RunId, thread: str, task: str, repo: str, request_json: str, request: RequestKey | None = None
    ) -> Work[RunRecord]:
        """The work of `create`, for somebody else's transaction."""
        record = RunRecord(
            run=run,
            thread=thread,
            task=_whole(task),
            repo=repo,
            request_json=request_json,
            state=RunState.QUEUED,
            created=self._now(),
        )

        def work(connection: sqlite3.Connection) -> RunRecord:
            if connection.execute("SELECT 1 FROM runs WHERE run = ?", (run,)).fetchone():
                raise RunExists(run)
            before = _keyed(connection, request) if request else None
            if before is not None:
                return _exactly(connection, before)
            _insert(connection, record, request or UNNAMED)
            return record

        return work

    def moving(self, run: RunId, state: RunState, **changes: Unpack[RunChanges]) -> Work[RunRecord]:
        """The work of moving a run on, for the transaction that tells of it.

        A state it already has is no move, but for FINISHED: only `changes` are written.

        Raises:
            ValueError: a run finishes without a status. The work raises UnknownRun, and IllegalMove where `MOVES` has
                no such move.
        """
        if state is RunState.FINISHED and not changes.get("status"):
            raise ValueError("a finished run has a status")
        values: dict[str, str | int | None] = {"state": state}
        values |= {name: _whole(str(value)) for name, value in changes.items()}
        if state is RunState.FINISHED:
            values["ended"] = to_text(self._now())

        def work(connection: sqlite3.Connection) -> RunRecord:
            found = _exactly(connection, run)
            if state not in MOVES[found.state] and (state is not found.state or state is RunState.FINISHED):
                raise IllegalMove(run, found.state, state)
            return _update(connection, run, values)

        return work

    async def begin(self, run: RunId, owner: str) -> int:
        """Take a run up, first or again; its number of executions, this one too. What it came to before is void.

        A run that is RUNNING may be begun again: its owner was killed, since only the holder begins runs.

        Raises:
            UnknownRun: there is no such run.
            IllegalMove: it is finished.
        """
        return await self._writing.write(self.beginning(run, owner))

    def beginning(self, run: RunId, owner: str) -> Work[int]:
        """The work of `begin`, for somebody else's transaction."""
        now = to_text(self._now())

        def work(connection: sqlite3.Connection) -> int:
            found = _exactly(connection, run)
            if found.state is RunState.FINISHED:
                raise IllegalMove(run, found.state, RunState.RUNNING)
            values: dict[str, str | int | None] = {
                "state": RunState.RUNNING,
                "owner": owner,
                "reason": "",
                "status": "",
                "judge": "",
                "result_json": "",
                "execution": found.execution + 1,
                "started": to_optional(found.started) or now,
            }
            return _update(connection, run, values).execution

        return work

    def finishing(self, run: RunId, status: str, judge: str, result_json: str) -> Work[RunRecord]:
        """The work of ending a run for good, for the transaction that tells of it."""
        return self.moving(run, RunState.FINISHED, status=status, judge=judge, result_json=result_json, reason="")

    async def remove(self, run: RunId) -> None:
        """Forget a finished run with its events, calls and recording.

        Raises:
            UnknownRun: there is no such run.
            IllegalMove: it is not finished.
        """

        def work(connection: sqlite3.Connection) -> None:
            found = _exactly(connection, run)
            if found.state is not RunState.FINISHED:
                raise IllegalMove(run, found.state, RunState.FINISHED)
            for table in ("events", "calls", "tools", "recordings", "runs"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))

        await self._writing.write(work)


def _whole(text: str) -> str:
    """The text with half characters, as a shell or a file name may have them, replaced: they cannot be stored."""
    return text.encode("utf-8", "replace").decode()


def _find(connection: sqlite3.Connection, asked: str) -> RunRecord:
    if not _ID.fullmatch(asked):
        raise UnknownRun(asked)
    sql = f"SELECT {_COLUMNS} FROM runs WHERE run >= ? AND run < ? ORDER BY run DESC LIMIT ?"
    found = [_record(row) for row in connection.execute(sql, (asked, asked + "\x7f", _MATCHES))]
    if not found:
        raise UnknownRun(asked)
    if len(found) == 1:
        return found[0]
    exact = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE run = ?", (asked,)).fetchone()
    if exact is None:
        raise AmbiguousRun(asked, tuple(record.run for record in found))
    return _record(exact)


def _keyed(connection: sqlite3.Connection, request: RequestKey) -> RunId | None:
    sql = "SELECT run, request_sha FROM runs WHERE request_key = ? AND request_key <> ''"
    row: tuple[RunId, str] | None = connection.execute(sql, (request.key,)).fetchone()
    if row is not None and row[1] != request.sha:
        raise KeyReused(request.key, row[0])
    return row[0] if row else None


def _exactly(connection: sqlite3.Connection, run: RunId) -> RunRecord:
    row = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE run = ?", (run,)).fetchone()
    if row is None:
        raise UnknownRun(run)
    return _record(row)


def _insert(connection: sqlite3.Connection, record: RunRecord, request: RequestKey) -> None:
    connection.execute(
        "INSERT INTO runs (run, thread, task, repo, request_json, state, created, request_key, request_sha)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.run,
            record.thread,
            record.task,
            record.repo,
            record.request_json,
            record.state,
            to_text(record.created),
            request.key,
            request.sha,
        ),
    )


def _update(connection: sqlite3.Connection, run: RunId, values: Mapping[str, str | int | None]) -> RunRecord:
    names = ", ".join(f"{name} = ?" for name in values)  # names are this module's own, never a caller's text
    connection.execute(f"UPDATE runs SET {names} WHERE run = ?", (*values.values(), run))
    return _exactly(connection, run)


def _record(row: tuple[str, ...]) -> RunRecord:
    run, thread, task, repo, request, state, status, judge, result, created, started, ended, execution, owner, why = row
    return RunRecord(
        run=RunId(run),
        thread=thread,
        task=task,
        repo=repo,
        request_json=request,
        state=RunState(state),
        status=status,
        judge=judge,
        result_json=result,
        created=from_text(created),
        started=from_optional(started),
        ended=from_optional(ended),
        execution=int(execution),
        owner=owner,
        reason=why,
    )
