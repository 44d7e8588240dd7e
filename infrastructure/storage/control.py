"""`control.db`: what any process may write, whoever holds the engine.

Owns requests to the holder (cancel a run, answer an approval) and the intents and receipts of changes to a user's
tree. Every operation opens the file, does one short transaction and closes it again, so no process can block others.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from infrastructure.ids import ApprovalId, RunId
from infrastructure.storage.directory import make_private_file
from infrastructure.storage.errors import StorageError, from_sqlite, from_system
from infrastructure.storage.schema import Migration, migrate
from infrastructure.storage.times import Now, from_text, to_text, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

T = TypeVar("T")

BUSY_SECONDS = 5.0
_NO_APPROVAL = ApprovalId("")

CONTROL_MIGRATIONS: tuple[Migration, ...] = (
    (
        """
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, kind TEXT NOT NULL,
            approval TEXT NOT NULL DEFAULT '', approved INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
            asked TEXT NOT NULL, outcome TEXT
        ) STRICT
        """,
        "CREATE UNIQUE INDEX requests_waiting ON requests (run, kind, approval) WHERE outcome IS NULL",
        """
        CREATE TABLE effects (
            key TEXT PRIMARY KEY, kind TEXT NOT NULL, args_sha TEXT NOT NULL, state TEXT NOT NULL,
            intended TEXT NOT NULL, done TEXT
        ) STRICT, WITHOUT ROWID
        """,
    ),
)


class RequestKind(StrEnum):
    """What another process asks of the holder."""

    CANCEL = "cancel"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the holder finds it. The last three are of an answer."""

    id: int
    run: RunId
    kind: RequestKind
    asked: datetime
    approval: ApprovalId = _NO_APPROVAL
    approved: bool = False
    reason: str = ""


class EffectState(StrEnum):
    """How far a change of the world is."""

    INTENDED = "intended"
    """Decided; it may have happened or not: compare before doing it."""
    DONE = "done"


class AlreadyAnswered(Exception):
    """The other answer to this approval is waiting to be read."""

    def __init__(self, run: RunId, approval: ApprovalId, approved: bool) -> None:
        self.run, self.approval, self.approved = run, approval, approved
        super().__init__(f"approval {approval} was already answered with {'yes' if approved else 'no'}")


class EffectMismatch(Exception):
    """The key stands for another change."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"effect {key} was intended with other arguments")


class UnknownEffect(Exception):
    """A receipt for what was never intended."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"effect {key} was never intended")


class ControlStore:
    """Requests and effects, from any process. What was asked or intended is on disk when the call returns.

    Raises from every method: StorageError.
    """

    def __init__(self, path: Path, now: Now = utc_now) -> None:
        self.path = path
        self._now = now

    async def ask_cancel(self, run: RunId) -> int:
        """Ask the holder to cancel a run; asking again while it waits is the same request. Returns its number."""
        return await self._do(
            lambda connection: _ask(connection, run, RequestKind.CANCEL, _NO_APPROVAL, False, "", self._now())
        )

    async def ask_answer(self, run: RunId, approval: ApprovalId, approved: bool, reason: str = "") -> int:
        """Answer an approval; the same answer given again while it waits is the same request. Returns its number.

        Raises:
            AlreadyAnswered: the other answer waits.
        """
        return await self._do(
            lambda connection: _ask(connection, run, RequestKind.ANSWER, approval, approved, reason, self._now())
        )

    async def pending(self, after: int = 0) -> tuple[Request, ...]:
        """Requests with a greater number that nobody has handled, in the order they were asked."""
        sql = (
            "SELECT id, run, kind, asked, approval, approved, reason FROM requests"
            " WHERE outcome IS NULL AND id > ? ORDER BY id"
        )
        return await self._do(lambda connection: tuple(map(_request, connection.execute(sql, (after,)))), writes=False)

    async def mark_handled(self, request: int, outcome: str) -> bool:
        """Say what came of a request; True if this call did, False if it was handled before.

        Raises:
            ValueError: an empty outcome.
        """
        if not outcome:
            raise ValueError("what came of it?")
        sql = "UPDATE requests SET outcome = ? WHERE id = ? AND outcome IS NULL"
        return await self._do(lambda connection: connection.execute(sql, (outcome, request)).rowcount == 1)

    async def outcome_of(self, request: int) -> str | None:
        """What came of a request; None while it waits."""
        sql = "SELECT outcome FROM requests WHERE id = ?"

        def work(connection: sqlite3.Connection) -> str | None:
            row: tuple[str | None] | None = connection.execute(sql, (request,)).fetchone()
            return row[0] if row else None

        return await self._do(work, writes=False)

    async def intend(self, key: str, kind: str, args_sha: str) -> EffectState | None:
        """Write down a change before it is made.

        Returns None when this is the first time, else how far it got before: DONE needs nothing more, INTENDED means
        somebody stopped halfway, so look first.

        Raises:
            EffectMismatch: the key stands for a change of another kind or with other arguments.
        """
        now = to_text(self._now())

        def work(connection: sqlite3.Connection) -> EffectState | None:
            row = connection.execute("SELECT kind, args_sha, state FROM effects WHERE key = ?", (key,)).fetchone()
            if row is None:
                values = (key, kind, args_sha, EffectState.INTENDED, now)
                connection.execute(
                    "INSERT INTO effects (key, kind, args_sha, state, intended) VALUES (?, ?, ?, ?, ?)", values
                )
                return None
            if (row[0], row[1]) != (kind, args_sha):
                raise EffectMismatch(key)
            return EffectState(row[2])

        return await self._do(work)

    async def receipt(self, key: str) -> None:
        """Write down that a change was made. Idempotent.

        Raises:
            UnknownEffect: it was never intended.
        """
        sql = "UPDATE effects SET state = 'done', done = COALESCE(done, ?) WHERE key = ?"
        now = to_text(self._now())
        if await self._do(lambda connection: connection.execute(sql, (now, key)).rowcount) == 0:
            raise UnknownEffect(key)

    async def state_of(self, key: str) -> EffectState | None:
        """How far a change is; None when it was never intended."""

        def work(connection: sqlite3.Connection) -> EffectState | None:
            row = connection.execute("SELECT state FROM effects WHERE key = ?", (key,)).fetchone()
            return EffectState(row[0]) if row else None

        return await self._do(work, writes=False)

    async def _do(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        return await asyncio.to_thread(self._transact, work, writes)

    def _transact(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        try:
            make_private_file(self.path)
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                _prepare(connection, self.path)
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    value = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return value
        except sqlite3.Error as error:
            raise from_sqlite(error, self.path) from error
        except OSError as error:
            raise from_system(error, self.path) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # No write-ahead log: many short-lived writers would share its checkpoints, which SQLite before 3.51.3 can lose.
    mode: tuple[str] = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode[0] != "delete":
        raise StorageError(path, f"unexpected journal mode {mode[0]}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = 1")
    migrate(connection, path, CONTROL_MIGRATIONS)


def _ask(
    connection: sqlite3.Connection,
    run: RunId,
    kind: RequestKind,
    approval: ApprovalId,
    approved: bool,
    reason: str,
    now: datetime,
) -> int:
    row: tuple[int, int] | None = connection.execute(
        "SELECT id, approved FROM requests WHERE run = ? AND kind = ? AND approval = ? AND outcome IS NULL",
        (run, kind, approval),
    ).fetchone()
    if row is not None:
        if bool(row[1]) != approved:
            raise AlreadyAnswered(run, approval, bool(row[1]))
        return row[0]
    values = (run, kind, approval, approved, reason, to_text(now))
    cursor = connection.execute(
        "INSERT INTO requests (run, kind, approval, approved, reason, asked) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    return cursor.lastrowid or 0


def _request(row: tuple[int, str, str, str, str, int, str]) -> Request:
    number, run, kind, asked, approval, approved, reason = row
    return Request(
        id=number,
        run=RunId(run),
        kind=RequestKind(kind),
        asked=from_text(asked),
        approval=ApprovalId(approval),
        approved=bool(approved),
        reason=reason,
    )
