"""The tables `sessions` and `messages`: what is done with a connection.

Owns their SQL, and how a message becomes a row. Each function is, or returns, a work for the database; it does nothing
but use its connection.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, cast

from agents.model import JsonObject, Message, MessageRole, ToolCall
from infrastructure.ids import SessionId
from infrastructure.sessions.errors import KeyReused, OutOfOrder, UnknownSession
from infrastructure.sessions.loaded import LoadedSession, as_json
from infrastructure.sessions.pairing import open_calls
from infrastructure.sessions.records import SessionRecord, StoredMessage, placed
from infrastructure.storage.run_record import UNNAMED, RequestKey
from infrastructure.storage.times import from_text, to_text

Change: TypeAlias = Callable[[sqlite3.Connection], None]
_SessionRow: TypeAlias = tuple[str, str, str, str, str, str, str, int, int, str, str]
_MessageRow: TypeAlias = tuple[str, int, str, str, str, str, str, int, str, str]

_SESSION = "session, title, workspace, agent, settings_json, todos_json, parent, forked_after, last, created, updated"
_MESSAGE = "session, number, at, role, agent, key, call, upto, text, body"
_INSERT_MESSAGE = f"INSERT INTO messages ({_MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def all_ids(connection: sqlite3.Connection) -> list[SessionId]:
    """Every session there is."""
    return [SessionId(session) for (session,) in connection.execute("SELECT session FROM sessions")]


def load(connection: sqlite3.Connection, session: SessionId) -> LoadedSession:
    """A session with its messages since the last summary.

    Raises:
        UnknownSession: there is none.
    """
    row = connection.execute(f"SELECT {_SESSION} FROM sessions WHERE session = ?", (session,)).fetchone()
    if row is None:
        raise UnknownSession(session)
    found = connection.execute(
        f"SELECT {_MESSAGE} FROM messages INDEXED BY messages_summaries WHERE session = ? AND upto > 0"
        " ORDER BY number DESC LIMIT 1",
        (session,),
    ).fetchone()
    summary = [] if found is None else [_message(found)]
    upto = summary[0].upto if summary else 0
    sql = f"SELECT {_MESSAGE} FROM messages WHERE session = ? AND number > ? AND upto = 0 ORDER BY number"
    messages = summary + [_message(each) for each in connection.execute(sql, (session, upto))]
    keys = connection.execute("SELECT key, number FROM messages WHERE session = ? AND key <> ''", (session,))
    results = connection.execute("SELECT call, number FROM messages WHERE session = ? AND call <> ''", (session,))
    return LoadedSession(_session(row), messages, dict(keys), dict(results), open_calls(messages))


def listed(connection: sqlite3.Connection, limit: int, before: str = "") -> tuple[SessionRecord, ...]:
    """Sessions, those that changed last first; those after `before` in this order if it is given.

    Args:
        connection: To the database.
        limit: How many at most.
        before: A session's place as it was when it was listed, which holds whatever becomes of it; or a session's id.

    Raises:
        UnknownSession: `before` is no place, and no session there is.
    """
    where, values = "", ()
    if before:
        where, values = "WHERE (updated, session) < (?, ?)", _place(connection, before)
    sql = f"SELECT {_SESSION} FROM sessions {where} ORDER BY updated DESC, session DESC LIMIT ?"
    return tuple(map(_session, connection.execute(sql, (*values, limit))))


def _place(connection: sqlite3.Connection, before: str) -> tuple[str, str]:
    if (found := placed(before)) is not None:
        return to_text(found[0]), found[1]
    row = connection.execute("SELECT updated, session FROM sessions WHERE session = ?", (before,)).fetchone()
    if row is None:
        raise UnknownSession(before)
    return row


def page(connection: sqlite3.Connection, session: str, before: int, limit: int) -> tuple[StoredMessage, ...]:
    """Messages with a smaller number than `before`, newest first."""
    sql = f"SELECT {_MESSAGE} FROM messages WHERE session = ? AND number < ? ORDER BY number DESC LIMIT ?"
    return tuple(map(_message, connection.execute(sql, (session, before, limit))))


def unanswered(connection: sqlite3.Connection, session: str, upto: int) -> tuple[dict[str, ToolCall], str]:
    """The calls that have no result up to a message, and the agent that spoke last there."""
    sql = (
        f"SELECT {_MESSAGE} FROM messages WHERE session = ? AND number <= ?"
        " AND (role = 'assistant' OR call <> '') ORDER BY number"
    )
    spoken, calls = "", dict[str, ToolCall]()
    for row in connection.execute(sql, (session, upto)):
        stored = _message(row)
        spoken = stored.agent or spoken
        calls |= open_calls((stored,))
        calls.pop(stored.answers, None)
    return calls, spoken


def keyed(connection: sqlite3.Connection, request: RequestKey) -> SessionId | None:
    """The session that this request began before; None where it is new.

    Raises:
        KeyReused: the key stands for another session.
    """
    sql = "SELECT session, request_sha FROM sessions WHERE request_key = ? AND request_key <> ''"
    row: tuple[str, str] | None = connection.execute(sql, (request.key,)).fetchone()
    if row is None:
        return None
    if row[1] != request.sha:
        raise KeyReused(request.key, row[0])
    return SessionId(row[0])


def inserted(record: SessionRecord, request: RequestKey = UNNAMED) -> Change:
    """Keep a new session, under the name of the request that began it if it had one."""
    values = (
        record.session,
        record.title,
        record.workspace,
        record.agent,
        as_json(record.settings),
        as_json(record.todos),
        record.parent,
        record.forked_after,
        record.last,
        to_text(record.created),
        to_text(record.updated),
        request.key,
        request.sha,
    )
    sql = f"INSERT INTO sessions ({_SESSION}, request_key, request_sha) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(sql, values)

    return work


def appended(messages: Sequence[StoredMessage]) -> Change:
    """Keep messages of one session, whose numbers follow each other: all or none.

    The work raises UnknownSession, or OutOfOrder where the one before the first is not there.
    """
    first, last = messages[0], messages[-1]
    rows = [_row(each) for each in messages]
    updated = to_text(max(each.at for each in messages))
    move = "UPDATE sessions SET last = ?, updated = MAX(updated, ?) WHERE session = ? AND last = ?"

    def work(connection: sqlite3.Connection) -> None:
        moved = connection.execute(move, (last.number, updated, first.session, first.number - 1))
        if not moved.rowcount:
            found = connection.execute("SELECT 1 FROM sessions WHERE session = ?", (first.session,)).fetchone()
            raise OutOfOrder(first.session) if found else UnknownSession(first.session)
        connection.executemany(_INSERT_MESSAGE, rows)

    return work


def changed(session: SessionId, values: Mapping[str, str], updated: datetime) -> Change:
    """Set columns of a session. The work raises UnknownSession."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE sessions SET {names}, updated = MAX(updated, ?) WHERE session = ?"

    def work(connection: sqlite3.Connection) -> None:
        if not connection.execute(sql, (*values.values(), to_text(updated), session)).rowcount:
            raise UnknownSession(session)

    return work


def copied(source: SessionId, target: SessionId, upto: int) -> Change:
    """Copy the first messages; their keys stay with the source. The work raises UnknownSession for the source."""
    sql = (
        f"INSERT INTO messages ({_MESSAGE}) SELECT ?, number, at, role, agent, '', call, upto, text, body"
        " FROM messages WHERE session = ? AND number <= ?"
    )

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute(sql, (target, source, upto)).rowcount != upto:
            raise UnknownSession(source)

    return work


def removed(session: SessionId) -> Change:
    """Remove a session with its messages and switches. The work raises UnknownSession."""

    def work(connection: sqlite3.Connection) -> None:
        if not connection.execute("DELETE FROM sessions WHERE session = ?", (session,)).rowcount:
            raise UnknownSession(session)
        for table in ("messages", "switches"):
            connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))

    return work


def _session(row: _SessionRow) -> SessionRecord:
    return SessionRecord(
        session=SessionId(row[0]),
        title=row[1],
        workspace=row[2],
        agent=row[3],
        settings=json.loads(row[4]),
        todos=tuple(json.loads(row[5])),
        parent=row[6],
        forked_after=row[7],
        last=row[8],
        created=from_text(row[9]),
        updated=from_text(row[10]),
    )


def _row(stored: StoredMessage) -> _MessageRow:
    message = stored.message
    body: dict[str, object] = {}
    if message.thinking:
        body["thinking"] = message.thinking
    if message.tool_calls:
        body["calls"] = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    if message.tool_name:
        body["tool"] = message.tool_name
    if message.images:
        body["images"] = message.images
    if not stored.ok:
        body["ok"] = False
    at = to_text(stored.at)
    call = stored.answers
    return (
        stored.session,
        stored.number,
        at,
        message.role,
        stored.agent,
        stored.key,
        call,
        stored.upto,
        message.content,
        as_json(body) if body else "{}",
    )


def _message(row: _MessageRow) -> StoredMessage:
    session, number, at, role, agent, key, call, upto, text, body = row
    more: JsonObject = {} if body == "{}" else json.loads(body)
    calls = cast("Sequence[Mapping[str, object]]", more.get("calls", ()))
    message = Message(
        role=cast("MessageRole", role),
        content=text,
        thinking=str(more.get("thinking", "")),
        tool_calls=tuple(
            ToolCall(str(each["name"]), cast("JsonObject", each["arguments"]), str(each["id"])) for each in calls
        ),
        tool_name=cast("str | None", more.get("tool")),
        tool_call_id=call or None,
        images=tuple(cast("Sequence[str]", more.get("images", ()))),
    )
    return StoredMessage(
        session=SessionId(session),
        number=number,
        at=from_text(at),
        message=message,
        agent=agent,
        key=key,
        ok=bool(more.get("ok", True)),
        upto=upto,
    )
