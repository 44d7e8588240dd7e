"""Giving what is free in a database back to the disk.

Owns when that pays and whether there is room for it. SQLite uses free pages again by itself, so a database grows no
further than it once was; only copying it makes it smaller.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEAST_BYTES = 1_000_000
LEAST_SHARE = 0.1
"""Of the file that is free; less is not worth the copy."""
_logger = logging.getLogger(__name__)


def shrink(path: Path) -> int:
    """Make a database smaller, where it pays and there is room for two copies of what stays; returns the bytes saved.

    A temporary copy and then the write-ahead log hold what stays. Only who holds the engine's lock may, with the
    database closed: nothing can be written meanwhile. Where it fails, the database is as before. Blocking.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as opened:
            size, pages, free = (_number(opened, name) for name in ("page_size", "page_count", "freelist_count"))
            if size * free < max(LEAST_BYTES, LEAST_SHARE * size * pages):
                return 0
            if shutil.disk_usage(path.parent).free < 2 * size * (pages - free):
                return 0
            opened.execute("PRAGMA synchronous = FULL")
            opened.execute("VACUUM")
            opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return size * (pages - _number(opened, "page_count"))
    except sqlite3.Error as error:
        _logger.warning("%s could not be made smaller: %s", path, error)
        return 0


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    row: tuple[int] = connection.execute(f"PRAGMA {pragma}").fetchone()
    return row[0]
