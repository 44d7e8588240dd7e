"""The `calls` table: every question a run asked a model, with its answer.

Owns the rule that a question asked again gets the answer it got first: a step that runs again after a crash, and a
replay, take it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.ids import RunId
from infrastructure.storage.times import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from infrastructure.storage.database import Database, Readable


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A question and its answer. The first four fields together name it. Times are aware, in UTC."""

    run: RunId
    step: str
    """Which step of the run asked; the same in every execution."""
    ordinal: int
    """Which of the step's questions it is, from 0."""
    request_sha: str
    """Of everything that decides the answer."""
    role: str
    request_blob: str
    """Where the whole question lies among the blobs."""
    answer_json: str
    model: str
    server: str
    prompt_tokens: int
    completion_tokens: int
    started: datetime
    ended: datetime
    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    xray_json: str = ""
    """What the prompt consisted of and what it took; empty in calls of before."""


@dataclass(frozen=True, slots=True)
class CallTotals:
    """What a run has used."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    gpu_seconds: float = 0.0
    """Of loading, reading and writing, added up over the calls."""

    @property
    def tokens(self) -> int:
        """Both kinds together."""
        return self.prompt_tokens + self.completion_tokens


_COLUMNS = (
    "run, step, ordinal, request_sha, role, request_blob, answer_json, model, server, prompt_tokens,"
    " completion_tokens, started, ended, queued_seconds, load_seconds, prompt_seconds, decode_seconds, xray_json"
)
_KEY = "run = ? AND step = ? AND ordinal = ? AND request_sha = ?"


class CallReader:
    """Reads the table; any process may, over a `ReadOnlyDatabase`."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    async def find(self, run: RunId, step: str, ordinal: int, request_sha: str) -> RecordedCall | None:
        """The recorded answer to this very question of this step, if it was asked before."""
        return await self._database.read(lambda connection: _find(connection, (run, step, ordinal, request_sha)))

    async def of_run(self, run: RunId) -> tuple[RecordedCall, ...]:
        """All calls of a run, in the order they were recorded."""
        sql = f"SELECT {_COLUMNS} FROM calls WHERE run = ? ORDER BY rowid"
        return await self._database.read(lambda connection: tuple(map(_call, connection.execute(sql, (run,)))))

    async def totals(self, run: RunId) -> CallTotals:
        """What a run has used so far, over all its executions."""
        sql = (
            "SELECT COUNT(*), COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0),"
            " COALESCE(SUM(load_seconds + prompt_seconds + decode_seconds), 0.0) FROM calls WHERE run = ?"
        )
        return await self._database.read(lambda connection: CallTotals(*connection.execute(sql, (run,)).fetchone()))

    async def request_blobs(self) -> frozenset[str]:
        """The blobs that some call needs: what `clean` must keep."""
        sql = "SELECT DISTINCT request_blob FROM calls"
        return await self._database.read(lambda connection: frozenset(row[0] for row in connection.execute(sql)))


class CallStore(CallReader):
    """Reads and records calls; the holder's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writing = database

    async def record(self, call: RecordedCall) -> RecordedCall:
        """Keep a call; it is on disk when this returns. Returns the one that rules: the first of its name."""
        values = (
            call.run,
            call.step,
            call.ordinal,
            call.request_sha,
            call.role,
            call.request_blob,
            call.answer_json,
            call.model,
            call.server,
            call.prompt_tokens,
            call.completion_tokens,
            to_text(call.started),
            to_text(call.ended),
            call.queued_seconds,
            call.load_seconds,
            call.prompt_seconds,
            call.decode_seconds,
            call.xray_json,
        )
        sql = f"INSERT INTO calls ({_COLUMNS}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT DO NOTHING"

        def work(connection: sqlite3.Connection) -> RecordedCall:
            connection.execute(sql, values)
            return _find(connection, (call.run, call.step, call.ordinal, call.request_sha)) or call

        return await self._writing.write(work)


def _find(connection: sqlite3.Connection, key: tuple[RunId, str, int, str]) -> RecordedCall | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM calls WHERE {_KEY}", key).fetchone()
    return None if row is None else _call(row)


def _call(row: tuple[str, ...]) -> RecordedCall:
    return RecordedCall(
        run=RunId(row[0]),
        step=row[1],
        ordinal=int(row[2]),
        request_sha=row[3],
        role=row[4],
        request_blob=row[5],
        answer_json=row[6],
        model=row[7],
        server=row[8],
        prompt_tokens=int(row[9]),
        completion_tokens=int(row[10]),
        started=from_text(row[11]),
        ended=from_text(row[12]),
        queued_seconds=float(row[13]),
        load_seconds=float(row[14]),
        prompt_seconds=float(row[15]),
        decode_seconds=float(row[16]),
        xray_json=row[17],
    )
