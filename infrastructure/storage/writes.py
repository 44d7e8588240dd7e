"""The tables `writes` and `undos`: which files the tools of sessions have written, which requests took one back.

Owns the receipts. One stands there before its file changes; the old content lies among the blobs under `before`. A
request that bears a name is noted with its write, so that sending it again takes back no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from infrastructure.storage.times import Now, to_text, utc_now

if TYPE_CHECKING:
    import sqlite3

    from infrastructure.storage.database import Database, Readable

WriteState: TypeAlias = Literal["intended", "done", "undone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReceipt:
    """A write of one file by one call. The first two fields together name it.

    Attributes:
        session: Whose call it was.
        call: Which.
        number: Its place in the order of the session's writes, from 1.
        workspace: The folder, absolute.
        path: The file, below it.
        before: SHA-256 of the content before; empty where there was no file.
        after: The same of what was written.
        folders: How many of the path's folders were there before, from the top; None where it is not known.
        state: `intended` until it is known to be on disk; `undone` when it was taken back, or never happened.
    """

    session: str
    call: str
    number: int
    workspace: str
    path: str
    before: str
    after: str
    folders: int | None = None
    state: WriteState = "intended"


_Row: TypeAlias = tuple[str, str, int, str, str, str, str, "int | None", WriteState]
_COLUMNS = "session, call, number, workspace, path, before_sha, after_sha, folders, state"


class WriteReader:
    """Reads the table; any process may, over a `ReadOnlyDatabase`."""

    def __init__(self, database: Readable) -> None:
        self._readable = database

    async def find(self, session: str, call: str) -> WriteReceipt | None:
        """What this call wrote."""

        def work(connection: sqlite3.Connection) -> WriteReceipt | None:
            return _find(connection, session, call)

        return await self._readable.read(work)

    async def named(self, session: str, request: str) -> str | None:
        """The call whose write this request was to take back; empty where there was none, None where it is new."""
        sql = "SELECT call FROM undos WHERE session = ? AND request_key = ?"

        def work(connection: sqlite3.Connection) -> str | None:
            row: tuple[str] | None = connection.execute(sql, (session, request)).fetchone()
            return None if row is None else row[0]

        return await self._readable.read(work)

    async def of_session(self, session: str) -> tuple[WriteReceipt, ...]:
        """All that a session wrote, in order, what was taken back included."""
        sql = f"SELECT {_COLUMNS} FROM writes WHERE session = ? ORDER BY number"
        return await self._readable.read(lambda connection: tuple(map(_receipt, connection.execute(sql, (session,)))))

    async def blobs(self) -> frozenset[str]:
        """The contents that are needed to take writes back."""
        sql = "SELECT DISTINCT before_sha FROM writes WHERE before_sha <> '' AND state <> 'undone'"
        return await self._readable.read(lambda connection: frozenset(sha for (sha,) in connection.execute(sql)))


class WriteStore(WriteReader):
    """Reads and writes the table."""

    def __init__(self, database: Database, now: Now = utc_now) -> None:
        super().__init__(database)
        self._database, self._now = database, now

    async def intend(
        self,
        *,
        session: str,
        call: str,
        workspace: str,
        path: str,
        before: str,
        after: str,
        folders: int | None = None,
    ) -> WriteReceipt:
        """Note a write that is about to happen; the receipt of this call that is there already is kept and returned."""
        at = to_text(self._now())

        def work(connection: sqlite3.Connection) -> WriteReceipt:
            known = _find(connection, session, call)
            if known is not None:
                return known
            sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM writes WHERE session = ?"
            row: tuple[int] = connection.execute(sql, (session,)).fetchone()
            new: _Row = (session, call, row[0], workspace, path, before, after, folders, "intended")
            places = ", ".join("?" * (len(new) + 1))
            connection.execute(f"INSERT INTO writes ({_COLUMNS}, at) VALUES ({places})", (*new, at))
            return _receipt(new)

        return await self._database.write(work)

    async def name(self, session: str, request: str, call: str) -> None:
        """Note that this request is to take this call's write back, or has found none."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO undos VALUES (?, ?, ?)", (session, request, call))

        await self._database.write(work)

    async def settle(self, session: str, call: str, state: WriteState) -> None:
        """Note how it ended."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE writes SET state = ? WHERE session = ? AND call = ?", (state, session, call))

        await self._database.write(work)

    async def forget(self, session: str) -> None:
        """Remove a session's receipts: its writes stay, and can no longer be taken back."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM writes WHERE session = ?", (session,))
            connection.execute("DELETE FROM undos WHERE session = ?", (session,))

        await self._database.write(work)


def _find(connection: sqlite3.Connection, session: str, call: str) -> WriteReceipt | None:
    sql = f"SELECT {_COLUMNS} FROM writes WHERE session = ? AND call = ?"
    row: _Row | None = connection.execute(sql, (session, call)).fetchone()
    return None if row is None else _receipt(row)


def _receipt(row: _Row) -> WriteReceipt:
    session, call, number, workspace, path, before, after, folders, state = row
    return WriteReceipt(
        session=session, call=call, number=number, workspace=workspace, path=path, before=before, after=after,
        folders=folders, state=state,
    )  # fmt: skip
