"""Turning down what nobody answered in time.

Owns how long a question waits, its passage into the safe answer, which is a no, and the event that tells of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from infrastructure.events.catalogue import AnyEvent
from infrastructure.ids import ApprovalId
from infrastructure.sessions import approval_table as table
from infrastructure.sessions import asking, moves
from infrastructure.sessions.approvals import Approval, ApprovalState
from infrastructure.storage.database import Database
from infrastructure.storage.times import Now

Work = Callable[[sqlite3.Connection], tuple[Approval, AnyEvent | None]]
Write = Callable[[str, int, Work], Awaitable[Approval]]
"""Does a work of an owner's execution, and lets those know who wait."""
Patience = Callable[[], timedelta | None]
"""How long a question that is asked now waits for its answer; None for ever."""


def for_ever() -> None:
    """No question is turned down for its age."""
    return


def expire(connection: sqlite3.Connection, approval: Approval, now: datetime) -> tuple[Approval, AnyEvent | None]:
    """Turn a question down within a transaction; the event that tells of it."""
    gone = moves.expired(approval, now)
    table.keep(connection, gone)
    return gone, asking.told_answer(gone)


class Expiring:
    """Looks through what waits. Failures are StorageErrors."""

    def __init__(self, database: Database, write: Write, now: Now) -> None:
        self._database, self._write, self._now = database, write, now

    async def expire_due(self) -> tuple[Approval, ...]:
        """Turn down whatever has waited too long, each told as an event."""
        found = await self._database.read(lambda connection: table.pending(connection, None))
        gone: list[Approval] = []
        for each in found:
            if not moves.is_due(each, self._now()):
                continue

            def work(connection: sqlite3.Connection, name: ApprovalId = each.id) -> tuple[Approval, AnyEvent | None]:
                known, now = table.find(connection, name), self._now()
                return expire(connection, known, now) if moves.is_due(known, now) else (known, None)

            told = await self._write(each.owner, 0, work)
            if told.state is ApprovalState.EXPIRED:
                gone.append(told)
        return tuple(gone)

    async def and_look(self) -> datetime | None:
        """The same; when the next is due."""
        await self.expire_due()
        return await self._database.read(table.next_expiry)
