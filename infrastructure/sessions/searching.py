"""Looking for text in titles and messages.

Owns the search: a scan, newest first, in pieces. There is no index: an append then costs nothing for it, a piece of a
word or of code is found like a word, a deleted text is gone, and it is the same with every build of SQLite. What is
read is bounded, and read in pieces so small that other readers wait a few milliseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from infrastructure.ids import SessionId
from infrastructure.sessions.errors import BadChange
from infrastructure.sessions.records import Found
from infrastructure.storage.database import Readable
from infrastructure.storage.times import from_text

MOST_SCANNED = 200_000
"""Messages that one search reads at most; older ones are not looked at."""
PIECE = 2_000
"""Messages that are read at once."""
MOST_SIGNS = 200
_AROUND = 60


@dataclass(frozen=True, slots=True)
class _Head:
    session: SessionId
    title: str
    last: int
    updated: datetime


@dataclass(frozen=True, slots=True)
class _Range:
    """Messages of a session with numbers above `low` up to `high`."""

    head: _Head
    low: int
    high: int


async def search(database: Readable, text: str, limit: int) -> tuple[Found, ...]:
    """Where the text occurs, whatever the case: sessions that changed last first, in each the title, then new to old.

    Raises:
        BadChange: the text is empty or too long.
    """
    wanted = text.strip()
    if not 0 < len(wanted) <= MOST_SIGNS:
        raise BadChange(f"search for a text of 1 to {MOST_SIGNS} characters, not of {len(wanted)}")
    found: list[Found] = []
    heads = await database.read(_heads)
    for piece in _pieces(heads):
        found += await database.read(partial(_look, piece=piece, wanted=wanted, limit=limit - len(found)))
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def _heads(connection: sqlite3.Connection) -> list[_Head]:
    rows = connection.execute("SELECT session, title, last, updated FROM sessions ORDER BY updated DESC, session DESC")
    return [_Head(SessionId(session), title, last, from_text(updated)) for session, title, last, updated in rows]


def _pieces(heads: Sequence[_Head]) -> Iterator[list[_Range]]:
    """What is read at once: about PIECE messages each, a session costing one more, and MOST_SCANNED in all."""
    piece: list[_Range] = []
    room, left = PIECE, MOST_SCANNED
    for head in heads:
        high = head.last
        while left > 0:
            low = max(0, high - room)
            piece.append(_Range(head, low, high))
            left -= high - low
            room -= high - low + 1
            high = low
            if room <= 0:
                yield piece
                piece, room = [], PIECE
            if high == 0:
                break
    if piece:
        yield piece


def _look(connection: sqlite3.Connection, piece: Sequence[_Range], wanted: str, limit: int) -> list[Found]:
    condition, value = _condition(connection, wanted)
    sql = (
        "SELECT number, at, text FROM messages WHERE session = ? AND number > ? AND number <= ?"
        f" AND {condition} ORDER BY number DESC LIMIT ?"
    )
    found: list[Found] = []
    for each in piece:
        head = each.head
        if each.high == head.last and wanted.casefold() in head.title.casefold():
            found.append(
                Found(session=head.session, title=head.title, number=0, at=head.updated, excerpt=head.title[:200])
            )
        rows = connection.execute(sql, (head.session, each.low, each.high, value, limit))
        found += [
            Found(
                session=head.session, title=head.title, number=number, at=from_text(at), excerpt=_excerpt(text, wanted)
            )
            for number, at, text in rows
        ]
        if len(found) >= limit:
            break
    return found


def _condition(connection: sqlite3.Connection, wanted: str) -> tuple[str, str]:
    """The test of a text in SQL. SQLite knows the two cases of ASCII alone; other letters are compared by Python."""
    if wanted.isascii():
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return "text LIKE ? ESCAPE '\\'", f"%{escaped}%"
    connection.create_function("folded", 1, str.casefold, deterministic=True)
    return "instr(folded(text), ?)", wanted.casefold()


def _excerpt(text: str, wanted: str) -> str:
    at = max(0, text.casefold().find(wanted.casefold()))
    return " ".join(text[max(0, at - _AROUND) : at + len(wanted) + _AROUND].split())
