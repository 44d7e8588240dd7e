"""The tables of `corral.db`, and how an older file becomes today's.

Owns the numbered migrations. Number n brings a file from `user_version` n-1 to n; a migration that was released is
never changed, a new one is added at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from infrastructure.storage.errors import MissingDatabase, NewerDatabase, OlderDatabase

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

Migration: TypeAlias = tuple[str, ...]
"""The statements of one step, run in one transaction."""

MIGRATIONS: tuple[Migration, ...] = (
    (
        """
        CREATE TABLE runs (
            run TEXT PRIMARY KEY, thread TEXT NOT NULL, task TEXT NOT NULL, repo TEXT NOT NULL,
            request_json TEXT NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL DEFAULT '',
            judge TEXT NOT NULL DEFAULT '', result_json TEXT NOT NULL DEFAULT '', created TEXT NOT NULL,
            started TEXT, ended TEXT, execution INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',
            reason TEXT NOT NULL DEFAULT ''
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX runs_unfinished ON runs (run) WHERE state <> 'finished'",
        """
        CREATE TABLE events (
            run TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, execution INTEGER NOT NULL,
            kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
        ) STRICT, WITHOUT ROWID
        """,
        # Where a run starts, rests and ends: what a follower asks each time it has read everything.
        """
        CREATE INDEX events_turns ON events (run, seq)
        WHERE kind IN ('run.started', 'run.interrupted', 'run.finished')
        """,
        """
        CREATE TABLE calls (
            run TEXT NOT NULL, step TEXT NOT NULL, ordinal INTEGER NOT NULL, request_sha TEXT NOT NULL,
            role TEXT NOT NULL, request_blob TEXT NOT NULL, answer_json TEXT NOT NULL, model TEXT NOT NULL,
            server TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
            started TEXT NOT NULL, ended TEXT NOT NULL, PRIMARY KEY (run, step, ordinal, request_sha)
        ) STRICT
        """,
    ),
    (
        # What a caller named its request by, so that asking again gives the same run; it goes when the run goes.
        "ALTER TABLE runs ADD COLUMN request_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN request_sha TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX runs_keys ON runs (request_key) WHERE request_key <> ''",
    ),
    (
        # What a run is replayed from, beside its calls: what its tools said, and what it began with.
        """
        CREATE TABLE tools (
            run TEXT NOT NULL, step TEXT NOT NULL, name TEXT NOT NULL, request_sha TEXT NOT NULL,
            request_blob TEXT NOT NULL, answer_blob TEXT NOT NULL, sandbox TEXT NOT NULL, started TEXT NOT NULL,
            ended TEXT NOT NULL, PRIMARY KEY (run, step, name, request_sha)
        ) STRICT
        """,
        """
        CREATE TABLE recordings (
            run TEXT PRIMARY KEY, setup_json TEXT NOT NULL DEFAULT '', snapshot TEXT NOT NULL DEFAULT '',
            replay_of TEXT NOT NULL DEFAULT ''
        ) STRICT, WITHOUT ROWID
        """,
        "ALTER TABLE calls ADD COLUMN queued_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN load_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN prompt_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN decode_seconds REAL NOT NULL DEFAULT 0",
    ),
    (
        # What the prompt of a call consisted of, what was cut of it, and what it took; empty for older calls.
        "ALTER TABLE calls ADD COLUMN xray_json TEXT NOT NULL DEFAULT ''",
    ),
    (
        # Conversations. Their events stand in `events` under the session's id; `last` numbers messages without a scan.
        """
        CREATE TABLE sessions (
            session TEXT PRIMARY KEY, title TEXT NOT NULL DEFAULT '', workspace TEXT NOT NULL DEFAULT '',
            agent TEXT NOT NULL DEFAULT '', settings_json TEXT NOT NULL DEFAULT '{}',
            todos_json TEXT NOT NULL DEFAULT '[]', parent TEXT NOT NULL DEFAULT '',
            forked_after INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL,
            updated TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX sessions_updated ON sessions (updated, session)",
        """
        CREATE TABLE messages (
            session TEXT NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, role TEXT NOT NULL,
            agent TEXT NOT NULL DEFAULT '', key TEXT NOT NULL DEFAULT '', call TEXT NOT NULL DEFAULT '',
            upto INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session, number)
        ) STRICT, WITHOUT ROWID
        """,
        # A summary stands for the messages up to `upto`.
        "CREATE INDEX messages_summaries ON messages (session, number) WHERE upto > 0",
        "CREATE UNIQUE INDEX messages_keys ON messages (session, key) WHERE key <> ''",
        # A call has one result.
        "CREATE UNIQUE INDEX messages_results ON messages (session, call) WHERE call <> ''",
        """
        CREATE TABLE switches (
            session TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, previous TEXT NOT NULL, agent TEXT NOT NULL,
            reason TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (session, seq)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE turns (
            turn TEXT PRIMARY KEY, session TEXT NOT NULL, state TEXT NOT NULL, agent TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', unattended INTEGER NOT NULL DEFAULT 0,
            started TEXT NOT NULL, ended TEXT
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX turns_sessions ON turns (session, turn)",
        # A session is in one turn at a time.
        "CREATE UNIQUE INDEX turns_unfinished ON turns (session) WHERE state <> 'finished'",
        # What a client runs: the call stays until its result is there, across restarts.
        """
        CREATE TABLE tool_calls (
            session TEXT NOT NULL, call TEXT NOT NULL, turn TEXT NOT NULL, tool TEXT NOT NULL, place TEXT NOT NULL,
            arguments_json TEXT NOT NULL, state TEXT NOT NULL, approval TEXT NOT NULL DEFAULT '',
            requested TEXT NOT NULL, ended TEXT, PRIMARY KEY (session, call)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX tool_calls_open ON tool_calls (session, call) WHERE state <> 'ended'",
        # `owner` is a session or a run; `key` is what it is asked for there, so that asking again asks once.
        """
        CREATE TABLE approvals (
            approval TEXT PRIMARY KEY, owner TEXT NOT NULL, key TEXT NOT NULL, gate TEXT NOT NULL, tool TEXT NOT NULL,
            workspace TEXT NOT NULL DEFAULT '', request_json TEXT NOT NULL, sha TEXT NOT NULL, nonce TEXT NOT NULL,
            state TEXT NOT NULL, decision_json TEXT NOT NULL DEFAULT '', asked TEXT NOT NULL, expires TEXT,
            decided TEXT, used TEXT, UNIQUE (owner, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX approvals_pending ON approvals (owner, approval) WHERE state = 'pending'",
        """
        CREATE TABLE rules (
            rule TEXT PRIMARY KEY, scope TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', tool TEXT NOT NULL,
            pattern TEXT NOT NULL, made TEXT NOT NULL, by TEXT NOT NULL DEFAULT '', approval TEXT NOT NULL DEFAULT ''
        ) STRICT, WITHOUT ROWID
        """,
        # What began an event, and the event that led to it: its number, after `run/` where it is another run's.
        "ALTER TABLE events ADD COLUMN correlation TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE events ADD COLUMN causation TEXT NOT NULL DEFAULT ''",
        # What is kept of decisions after their run or session is gone; the index finds what a kill left out.
        """
        CREATE TABLE audit (
            at TEXT NOT NULL, run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, by TEXT NOT NULL DEFAULT '',
            correlation TEXT NOT NULL DEFAULT '', body TEXT NOT NULL, PRIMARY KEY (run, seq)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX audit_times ON audit (at, run, seq)",
        """
        CREATE INDEX events_audited ON events (at) WHERE kind IN ('approval.asked', 'approval.given',
            'approval.decided', 'work.patch_applied', 'config.reloaded', 'config.refused')
        """,
        # Files that the tools of sessions have written; the contents before lie among the blobs.
        """
        CREATE TABLE writes (
            session TEXT NOT NULL, call TEXT NOT NULL, number INTEGER NOT NULL, workspace TEXT NOT NULL,
            path TEXT NOT NULL, before_sha TEXT NOT NULL, after_sha TEXT NOT NULL, state TEXT NOT NULL,
            at TEXT NOT NULL, PRIMARY KEY (session, call), UNIQUE (session, number)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # A message may bear the name that its client gave the request, so that sending it again begins no second turn.
        "ALTER TABLE turns ADD COLUMN request_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE turns ADD COLUMN request_sha TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX turns_requests ON turns (session, request_key) WHERE request_key <> ''",
    ),
    (
        # So may the request that begins a session; the name goes when the session goes.
        "ALTER TABLE sessions ADD COLUMN request_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sessions ADD COLUMN request_sha TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX sessions_requests ON sessions (request_key) WHERE request_key <> ''",
    ),
    (
        # And one that takes a write back: which write it was is known before the file changes.
        """
        CREATE TABLE undos (
            session TEXT NOT NULL, request_key TEXT NOT NULL, call TEXT NOT NULL, PRIMARY KEY (session, request_key)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    # How many of a written file's folders were there before: those stay when it is taken back.
    ("ALTER TABLE writes ADD COLUMN folders INTEGER",),
)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file up to date, one transaction a step.

    Raises:
        NewerDatabase: the file has steps that this program does not know.
    """
    while _known_version(connection, path, migrations) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, _known_version(connection, path, migrations) + 1, migrations)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def check_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse to read a file that is not of this very version.

    Raises:
        NewerDatabase: a later program made it.
        OlderDatabase: an earlier one did.
        MissingDatabase: the file is still empty.
    """
    version = _known_version(connection, path, migrations)
    if version == 0:
        raise MissingDatabase(path)
    if version < len(migrations):
        raise OlderDatabase(path, f"version {version}, this program's is {len(migrations)}")


def _step(connection: sqlite3.Connection, number: int, migrations: Sequence[Migration]) -> None:
    if number > len(migrations):
        return  # another process made the step while this one waited for the lock
    for statement in migrations[number - 1]:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {number}")


def _known_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    row: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    if row[0] > len(migrations):
        raise NewerDatabase(path, f"version {row[0]}, this program knows {len(migrations)}")
    return row[0]
