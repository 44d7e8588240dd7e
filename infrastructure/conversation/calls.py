"""The `tool_calls` table: every call that a model asked for, until its result is in the session.

Owns reading and changing it. A call that waits, for a person or for the client, is a row; so is one that was begun,
which tells a later engine that it may have taken effect.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from agents.model import JsonObject, ToolCall
from infrastructure.conversation.ports import Where
from infrastructure.storage.times import Now, to_text, utc_now

if TYPE_CHECKING:
    from infrastructure.storage.database import Database

_COLUMNS = "session, call, turn, tool, place, arguments_json, state, approval"
_Row = tuple[str, str, str, str, str, str, str, str]


class CallState(StrEnum):
    """How far a call is."""

    REQUESTED = "requested"
    APPROVAL = "approval"
    """A person is waited for."""
    STARTED = "started"
    """It is being done here."""
    WAITING = "waiting"
    """The client is to do it."""
    ENDED = "ended"
    """Its result is in the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call as the table has it; `arguments` are those that count, after an edit."""

    session: str
    call: str
    turn: str
    tool: str
    where: Where
    arguments: JsonObject
    state: CallState
    approval: str = ""

    @property
    def tool_call(self) -> ToolCall:
        """As a tool takes it."""
        return ToolCall(self.tool, self.arguments, self.call)


class CallStore:
    """Reads and changes the table; the holder's. Every awaited write is on disk. Failures are StorageErrors."""

    def __init__(self, database: Database, now: Now = utc_now) -> None:
        self._database = database
        self._now = now

    async def request(self, session: str, turn: str, call: ToolCall, where: Where) -> tuple[CallRecord, bool]:
        """The call's row, made where there is none; and whether it is new."""
        values = (session, call.id or "", turn, call.name, where, _dumped(call.arguments), to_text(self._now()))

        def work(connection: sqlite3.Connection) -> tuple[CallRecord, bool]:
            new = connection.execute(
                "INSERT INTO tool_calls (session, call, turn, tool, place, arguments_json, state, requested)"
                " VALUES (?, ?, ?, ?, ?, ?, 'requested', ?) ON CONFLICT DO NOTHING",
                values,
            ).rowcount
            sql = f"SELECT {_COLUMNS} FROM tool_calls WHERE session = ? AND call = ?"
            return _record(connection.execute(sql, values[:2]).fetchone()), bool(new)

        return await self._database.write(work)

    async def move(
        self, record: CallRecord, state: CallState, *, approval: str = "", arguments: JsonObject | None = None
    ) -> None:
        """Say how far a call is; one that has ended stays so."""
        dumped = None if arguments is None else _dumped(arguments)
        values = (record.session, record.call, state, approval, dumped)
        sql = (
            "UPDATE tool_calls SET state = ?3, approval = CASE ?4 WHEN '' THEN approval ELSE ?4 END,"
            " arguments_json = COALESCE(?5, arguments_json) WHERE session = ?1 AND call = ?2 AND state <> 'ended'"
        )
        await self._database.write(lambda connection: connection.execute(sql, values).rowcount)

    async def end(self, session: str, call: str) -> None:
        """Say that its result is in the session."""
        values = (session, call, to_text(self._now()))
        sql = "UPDATE tool_calls SET state = 'ended', ended = ? WHERE session = ? AND call = ? AND state <> 'ended'"
        await self._database.write(
            lambda connection: connection.execute(sql, (values[2], values[0], values[1])).rowcount
        )

    async def get(self, session: str, call: str) -> CallRecord | None:
        """The call of this id, if there is one."""
        found = await self._select("session = ? AND call = ?", session, call)
        return found[0] if found else None

    async def open_of(self, session: str) -> tuple[CallRecord, ...]:
        """The calls of a session that have not ended, as they were asked for."""
        return await self._select("session = ? AND state <> 'ended' ORDER BY requested, call", session)

    async def answers(self, session: str, turn: str) -> int:
        """How many answers of a turn asked for calls, also where a summary stands for them."""
        sql = "SELECT COUNT(DISTINCT rtrim(call, '0123456789')) FROM tool_calls WHERE session = ? AND turn = ?"
        return await self._database.read(lambda connection: connection.execute(sql, (session, turn)).fetchone()[0])

    async def _select(self, where: str, *values: str) -> tuple[CallRecord, ...]:
        sql = f"SELECT {_COLUMNS} FROM tool_calls WHERE {where}"
        return await self._database.read(lambda connection: tuple(map(_record, connection.execute(sql, values))))


def _dumped(arguments: JsonObject) -> str:
    return json.dumps(arguments, default=dict)


def _record(row: _Row) -> CallRecord:
    session, call, turn, tool, where, arguments, state, approval = row
    return CallRecord(
        session=session,
        call=call,
        turn=turn,
        tool=tool,
        where=cast("Where", where),
        arguments=cast("JsonObject", json.loads(arguments)),
        state=CallState(state),
        approval=approval,
    )
