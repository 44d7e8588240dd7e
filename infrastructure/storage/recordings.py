"""The tables `tools` and `recordings`: what a run's tools said, and what the run began with.

Owns, with the `calls` table, all that a run is replayed from. A tool that is asked the same again by the same step gets
the answer it gave first, as a model does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.ids import RunId
from infrastructure.storage.times import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from infrastructure.storage.connection import Work
    from infrastructure.storage.database import Database, Readable


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTool:
    """What a tool was asked, and what it said. The first four fields together name it. Times are aware, in UTC."""

    run: RunId
    step: str
    """Which step of the run asked; the same in every execution."""
    name: str
    """Which of the step's questions it is: `plan`, `judge`, `written`, …"""
    request_sha: str
    """Of everything that decides the answer."""
    request_blob: str
    """Where the whole request lies among the blobs."""
    answer_blob: str
    sandbox: str
    """How strongly it was held; empty where nothing was run."""
    started: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class RunRecording:
    """What a run began with. Empty where it was not kept: in runs of an older Corral, or before it is needed."""

    setup_json: str = ""
    snapshot: str = ""
    """Where the packed files of its snapshot lie among the blobs, once its tree has gone."""
    replay_of: str = ""
    """The run that this one repeats."""


_COLUMNS = "run, step, name, request_sha, request_blob, answer_blob, sandbox, started, ended"
_KEY = "run = ? AND step = ? AND name = ? AND request_sha = ?"
_FIELDS = ("setup_json", "snapshot", "replay_of")


class RecordingReader:
    """Reads both tables; any process may, over a `ReadOnlyDatabase`."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    async def find_tool(self, run: RunId, step: str, name: str, request_sha: str) -> RecordedTool | None:
        """What the tool said to this very request of this step, if it was asked before."""
        return await self._database.read(lambda connection: _find(connection, (run, step, name, request_sha)))

    async def tools_of(self, run: RunId) -> tuple[RecordedTool, ...]:
        """All that a run's tools said, in the order it was recorded."""
        sql = f"SELECT {_COLUMNS} FROM tools WHERE run = ? ORDER BY rowid"
        return await self._database.read(lambda connection: tuple(map(_tool, connection.execute(sql, (run,)))))

    async def of_run(self, run: RunId) -> RunRecording:
        """What the run began with."""

        def work(connection: sqlite3.Connection) -> RunRecording:
            sql = f"SELECT {', '.join(_FIELDS)} FROM recordings WHERE run = ?"
            row: tuple[str, str, str] | None = connection.execute(sql, (run,)).fetchone()
            return RunRecording() if row is None else RunRecording(*row)

        return await self._database.read(work)

    async def blobs(self) -> frozenset[str]:
        """The blobs that some recording needs: what `clean` must keep."""
        sql = "SELECT request_blob FROM tools UNION SELECT answer_blob FROM tools UNION SELECT snapshot FROM recordings"
        return await self._database.read(lambda connection: frozenset(row[0] for row in connection.execute(sql)))


class RecordingStore(RecordingReader):
    """Reads and records; the holder's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writing = database

    async def record_tool(self, tool: RecordedTool) -> RecordedTool:
        """Keep what a tool said; it is on disk when this returns. Returns the one that rules: the first of its name."""
        values = (
            tool.run,
            tool.step,
            tool.name,
            tool.request_sha,
            tool.request_blob,
            tool.answer_blob,
            tool.sandbox,
            to_text(tool.started),
            to_text(tool.ended),
        )
        sql = f"INSERT INTO tools ({_COLUMNS}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT DO NOTHING"

        def work(connection: sqlite3.Connection) -> RecordedTool:
            connection.execute(sql, values)
            return _find(connection, (tool.run, tool.step, tool.name, tool.request_sha)) or tool

        return await self._writing.write(work)

    async def keep_setup(self, run: RunId, setup_json: str, replay_of: str = "") -> None:
        """Keep what a run begins with. One that was stopped before it began may begin with something else."""
        await self._writing.write(self.keeping_setup(run, setup_json, replay_of))

    def keeping_setup(self, run: RunId, setup_json: str, replay_of: str = "") -> Work[None]:
        """The work of `keep_setup`, for somebody else's transaction."""
        sql = (
            "INSERT INTO recordings (run, setup_json, replay_of) VALUES (?, ?, ?)"
            " ON CONFLICT (run) DO UPDATE SET setup_json = excluded.setup_json"
        )
        return _changing(sql, (run, setup_json, replay_of))

    async def keep_snapshot(self, run: RunId, blob: str) -> None:
        """Say where the packed files of a run's snapshot are."""
        sql = "UPDATE recordings SET snapshot = ? WHERE run = ?"
        await self._writing.write(_changing(sql, (blob, run)))


def _changing(sql: str, values: tuple[str, ...]) -> Work[None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute(sql, values)

    return work


def _find(connection: sqlite3.Connection, key: tuple[RunId, str, str, str]) -> RecordedTool | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM tools WHERE {_KEY}", key).fetchone()
    return None if row is None else _tool(row)


def _tool(row: tuple[str, ...]) -> RecordedTool:
    run, step, name, request_sha, request_blob, answer_blob, sandbox, started, ended = row
    return RecordedTool(
        run=RunId(run),
        step=step,
        name=name,
        request_sha=request_sha,
        request_blob=request_blob,
        answer_blob=answer_blob,
        sandbox=sandbox,
        started=from_text(started),
        ended=from_text(ended),
    )
