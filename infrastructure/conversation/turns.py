"""The `turns` table: which turn a session is in, how far it is, and how it ended.

Owns reading and changing it. This table, not the graph's checkpoint, says whether a turn is over; the table itself
allows one unfinished turn a session.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from infrastructure.conversation.errors import KeyReused
from infrastructure.events.catalogue import TurnEnded
from infrastructure.storage.run_record import UNNAMED, RequestKey
from infrastructure.storage.times import Now, from_optional, from_text, to_text, utc_now

if TYPE_CHECKING:
    from infrastructure.storage.connection import Work
    from infrastructure.storage.database import Database

_COLUMNS = "turn, session, state, agent, status, reason, unattended, started, ended"
_Row = tuple[str, str, str, str, str, str, int, str, str | None]
Outcome: TypeAlias = Literal["done", "failed", "cancelled"]


class TurnState(StrEnum):
    """How far a turn is."""

    RUNNING = "running"
    """An agent speaks or a tool is done; after a crash the next engine goes on with it."""
    WAITING = "waiting"
    """A person or the client is waited for."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """A turn.

    Attributes:
        agent: Who spoke last in it.
        status: How it ended: `done`, `failed` or `cancelled`; empty before.
        reason: Why, where it did not end well.
        unattended: Whether nobody is there to be asked.
    """

    turn: str
    session: str
    state: TurnState
    agent: str
    status: str = ""
    reason: str = ""
    unattended: bool = False
    started: datetime
    ended: datetime | None = None


_FINISH = (
    "UPDATE turns SET state = 'finished', status = ?2, reason = ?3, ended = ?4 WHERE turn = ?1 AND state <> 'finished'"
)


class TurnStore:
    """Reads and changes the table; the holder's. Every awaited write is on disk. Failures are StorageErrors."""

    def __init__(self, database: Database, now: Now = utc_now) -> None:
        self._database = database
        self._now = now

    def beginning(
        self, turn: str, session: str, agent: str, *, unattended: bool = False, request: RequestKey | None = None
    ) -> tuple[TurnRecord, Work[None]]:
        """A new turn, and the work that keeps it: handed on, so that it is there together with its message.

        Whoever calls has seen that none of the session is open (`open_of`), and that the request is new (`keyed`). The
        work raises sqlite3.IntegrityError where that is not so.
        """
        named = request or UNNAMED
        started = self._now()
        values = (turn, session, TurnState.RUNNING, agent, unattended, to_text(started), named.key, named.sha)
        sql = (
            "INSERT INTO turns (turn, session, state, agent, unattended, started, request_key, request_sha)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(sql, values)

        record = TurnRecord(
            turn=turn, session=session, state=TurnState.RUNNING, agent=agent, unattended=unattended, started=started
        )
        return record, work

    async def move(self, turn: str, state: TurnState, agent: str = "") -> None:
        """Say that the turn runs or waits; a finished one stays finished."""
        sql = (
            "UPDATE turns SET state = ?2, agent = CASE ?3 WHEN '' THEN agent ELSE ?3 END"
            " WHERE turn = ?1 AND state <> 'finished'"
        )
        await self._database.write(lambda connection: connection.execute(sql, (turn, state, agent)).rowcount)

    def ending(self, turn: str, status: Outcome, reason: str = "") -> Work[tuple[bool, TurnEnded | None]]:
        """The work that says how the turn ended: whether nobody had, and its event then. What was said first holds."""
        values = (turn, status, reason, to_text(self._now()))
        event = TurnEnded(turn=turn, outcome=status)

        def work(connection: sqlite3.Connection) -> tuple[bool, TurnEnded | None]:
            first = connection.execute(_FINISH, values).rowcount > 0
            return first, event if first else None

        return work

    def annulment(self, turn: str, reason: str) -> Work[tuple[bool, TurnEnded | None]]:
        """As `ending`, of a turn whose message was never kept: it failed, and the request is free to be sent again."""
        failing = self.ending(turn, "failed", reason)

        def work(connection: sqlite3.Connection) -> tuple[bool, TurnEnded | None]:
            connection.execute("UPDATE turns SET request_key = '', request_sha = '' WHERE turn = ?", (turn,))
            return failing(connection)

        return work

    async def keyed(self, session: str, request: RequestKey) -> TurnRecord | None:
        """The turn of the session that this request began before; None where it is new.

        Raises:
            KeyReused: the key stands for another message.
        """

        def work(connection: sqlite3.Connection) -> tuple[TurnRecord, str] | None:
            sql = f"SELECT request_sha, {_COLUMNS} FROM turns WHERE session = ? AND request_key = ?"
            found = connection.execute(sql, (session, request.key)).fetchone()
            return (_record(found[1:]), found[0]) if found is not None else None

        known = await self._database.read(work)
        if known is None:
            return None
        record, sha = known
        if sha != request.sha:
            raise KeyReused(request.key, record.turn)
        return record

    async def get(self, turn: str) -> TurnRecord | None:
        """A turn."""
        found = await self._select("turn = ?", turn)
        return found[0] if found else None

    async def open_of(self, session: str) -> TurnRecord | None:
        """The session's turn that is not over, if there is one."""
        found = await self._select("session = ? AND state <> 'finished'", session)
        return found[0] if found else None

    async def last_of(self, session: str) -> TurnRecord | None:
        """The session's newest turn."""
        found = await self._select("session = ? ORDER BY turn DESC LIMIT 1", session)
        return found[0] if found else None

    async def unfinished(self) -> tuple[TurnRecord, ...]:
        """Every turn that is not over, oldest first."""
        return await self._select("state <> 'finished' ORDER BY turn")

    async def forget(self, session: str) -> None:
        """Delete the turns and calls of a session that is gone."""
        await self._database.write(self.forgetting(session))

    def forgetting(self, session: str) -> Work[None]:
        """The work of `forget`, for the transaction in which the session goes."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM turns WHERE session = ?", (session,))
            connection.execute("DELETE FROM tool_calls WHERE session = ?", (session,))

        return work

    async def _select(self, where: str, *values: str) -> tuple[TurnRecord, ...]:
        sql = f"SELECT {_COLUMNS} FROM turns WHERE {where}"
        return await self._database.read(lambda connection: tuple(map(_record, connection.execute(sql, values))))


def _record(row: _Row) -> TurnRecord:
    turn, session, state, agent, status, reason, unattended, started, ended = row
    return TurnRecord(
        turn=turn,
        session=session,
        state=TurnState(state),
        agent=agent,
        status=status,
        reason=reason,
        unattended=bool(unattended),
        started=from_text(started),
        ended=from_optional(ended),
    )
