"""Who decided what, and when: kept after the run or session that it was about is gone.

Owns the table `audit`. A subscriber of the bus fills it; what a kill kept from it is fetched from the log at the next
start. It is bounded: the oldest go first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.ids import RunId
from infrastructure.storage.times import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from infrastructure.events.log import Stored
    from infrastructure.storage.database import Database, Readable

AUDITED = (
    "approval.asked",
    "approval.given",
    "approval.decided",
    "work.patch_applied",
    "config.reloaded",
    "config.refused",
)
"""The kinds that are kept; the words of the index `events_audited`, which must match."""
KEPT = 100_000
"""Entries at most; some 30 MB."""
_SPARE = 1000
"""So many more are let come before the oldest go, so that not every entry deletes one."""
_KINDS = ", ".join(f"'{kind}'" for kind in AUDITED)
_TAKE = "INSERT OR IGNORE INTO audit (at, run, seq, kind, by, correlation, body) "


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision."""

    at: datetime
    run: RunId
    """The run or session it was about; `system` for the program's own settings."""
    seq: int
    kind: str
    by: str
    """Who decided, where the event says so: a client's name, `rule`, `time`."""
    correlation: str
    body: str
    """The event, in JSON."""


class Audit:
    """Fills the table."""

    def __init__(self, database: Database, kept: int = KEPT) -> None:
        self._database, self._kept = database, kept
        self._spare = min(_SPARE, kept)
        self._since = 0

    async def catch_up(self) -> int:
        """Take over what the log has and this has not, because the last holder was killed; returns how many.

        Raises:
            StorageError: it cannot be kept.
        """
        return await self._database.write(_catch_up)

    async def hear(self, stored: Stored) -> None:
        """Keep a decision; a handler for the bus, with `AUDITED` as its kinds."""
        by = getattr(stored.event, "by", "")
        body = stored.body or stored.event.model_dump_json()
        row = (to_text(stored.at), stored.run, stored.seq, stored.event.kind, by, stored.correlation, body)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_TAKE + "VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        await self._database.write(work)
        self._since += 1
        if self._since > self._spare:
            self._since = 0
            await self.trim()

    async def trim(self) -> int:
        """Let the oldest go; returns how many."""
        return await self._database.write(lambda connection: _trim(connection, self._kept))


async def read_audit(
    database: Readable, *, run: str | None = None, limit: int = 100, before: str = ""
) -> tuple[AuditEntry, ...]:
    """The latest decisions, newest first; of one run or session, or of all.

    Args:
        database: The holder's, or another process's view of it.
        run: Only of this one.
        limit: At most so many.
        before: Only older ones than this instant, as `to_text` writes it.
    """
    return await database.read(lambda connection: _read(connection, run, limit, before))


def _catch_up(connection: sqlite3.Connection) -> int:
    # An event's instant is taken when it is handed over, so events of one instant may be on both sides.
    return connection.execute(
        _TAKE + "SELECT at, run, seq, kind, COALESCE(json_extract(body, '$.by'), ''), correlation, body"
        f" FROM events INDEXED BY events_audited WHERE kind IN ({_KINDS})"
        " AND at >= (SELECT COALESCE(MAX(at), '') FROM audit)"
    ).rowcount


def _trim(connection: sqlite3.Connection, kept: int) -> int:
    return connection.execute(
        "DELETE FROM audit WHERE (run, seq) IN"
        " (SELECT run, seq FROM audit ORDER BY at DESC, run DESC, seq DESC LIMIT -1 OFFSET ?)",
        (kept,),
    ).rowcount


def _read(connection: sqlite3.Connection, run: str | None, limit: int, before: str) -> tuple[AuditEntry, ...]:
    rows = connection.execute(
        "SELECT at, run, seq, kind, by, correlation, body FROM audit"
        " WHERE (?1 IS NULL OR run = ?1) AND (?2 = '' OR at < ?2) ORDER BY at DESC, run DESC, seq DESC LIMIT ?3",
        (run, before, limit),
    )
    return tuple(AuditEntry(from_text(at), RunId(of), *rest) for at, of, *rest in rows)
