"""Tags that were read before, by content.

Owns the key (content and all that decides its tags beside it) and the file they are kept in. Losing it costs time and
nothing else, so a store that cannot be read or written is none: a line in the log, never a failed run.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from infrastructure.storage.directory import make_private_file
from infrastructure.workspace.mapping.languages import fingerprint

KEPT_BYTES = 64 << 20
"""The most that is kept: about 40,000 files. Then what was not asked for the longest goes."""
_DAY = 86_400
_BUSY_SECONDS = 5.0
_AT_ONCE = 500
_LEFT = 0.8
_SCHEMA = "CREATE TABLE IF NOT EXISTS tags (key TEXT PRIMARY KEY, content BLOB NOT NULL, day INTEGER NOT NULL)"

_log = logging.getLogger(__name__)


def key_of(sha256: str, language: str) -> str:
    """The name of a content's tags. Another grammar or another query is another name."""
    return f"{sha256} {language} {fingerprint(language)}"


class TagStore(Protocol):
    """Keeps packed tags by key. It may lose any of them at any time, and several processes may use it at once."""

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that are kept."""
        ...

    async def put(self, tags: Mapping[str, bytes]) -> None:
        """Keep them."""
        ...


class MemoryTags:
    """Tags in memory, for tests and for a graph without a data directory. Bounded by their number."""

    def __init__(self, most: int = 40_000) -> None:
        self._kept: dict[str, bytes] = {}
        self._most = most

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Those that are kept."""
        found = {key: self._kept.pop(key) for key in keys if key in self._kept}
        self._kept.update(found)  # asked for last
        return found

    async def put(self, tags: Mapping[str, bytes]) -> None:
        """Keep them."""
        self._kept.update(tags)
        for key in list(self._kept)[: max(0, len(self._kept) - self._most)]:
            del self._kept[key]


class SqliteTags:
    """Tags in a file of their own. A connection lives for one call, so nothing has to be closed."""

    def __init__(self, path: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._path = path
        self._kept_bytes = kept_bytes

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Those that are kept; none where the file cannot be used."""
        return await asyncio.to_thread(self._get, list(keys))

    async def put(self, tags: Mapping[str, bytes]) -> None:
        """Keep them, where the file can be used."""
        if tags:
            await asyncio.to_thread(self._put, dict(tags))

    def _get(self, keys: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        try:
            if not self._path.exists():
                return {}
            with closing(self._connect()) as connection:
                for first in range(0, len(keys), _AT_ONCE):
                    some = keys[first : first + _AT_ONCE]
                    marks = ",".join("?" * len(some))
                    found.update(connection.execute(f"SELECT key, content FROM tags WHERE key IN ({marks})", some))
                _touch(connection, list(found))
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
        return found

    def _put(self, tags: dict[str, bytes]) -> None:
        try:
            make_private_file(self._path)
            with closing(self._connect()) as connection, connection:
                connection.executemany(
                    "REPLACE INTO tags VALUES (?, ?, ?)", [(*each, _today()) for each in tags.items()]
                )
                self._prune(connection)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prune(self, connection: sqlite3.Connection) -> None:
        (size,) = connection.execute("SELECT COALESCE(SUM(LENGTH(content)), 0) FROM tags").fetchone()
        if size <= self._kept_bytes:
            return
        room = self._kept_bytes * _LEFT
        rows = connection.execute("SELECT key, LENGTH(content) FROM tags ORDER BY day DESC, rowid DESC").fetchall()
        gone: list[tuple[str]] = []
        for key, length in rows:
            room -= length
            if room < 0:
                gone.append((key,))
        connection.executemany("DELETE FROM tags WHERE key = ?", gone)

    def _complain(self, error: Exception) -> None:
        _log.warning("%s cannot be used, so files are parsed anew for the map: %s", self._path, error)


def _touch(connection: sqlite3.Connection, keys: list[str]) -> None:
    """Once a day is often enough to know what is still asked for."""
    today = _today()
    with connection:
        for first in range(0, len(keys), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            connection.execute(f"UPDATE tags SET day = ? WHERE day < ? AND key IN ({marks})", [today, today, *some])


def _today() -> int:
    return int(time.time()) // _DAY
