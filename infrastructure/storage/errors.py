"""Errors of storage, and how SQLite's and the system's are told apart.

Owns the tree under `StorageError`. Each has a `hint`: what a person can do about it.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class StorageError(Exception):
    """Something could not be stored or read."""

    summary: ClassVar[str] = "storage failed"
    hint: ClassVar[str] = "Run `corral doctor`; it looks at the data directory."

    def __init__(self, path: Path, detail: str = "") -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{self.summary}: {path}" + (f" ({detail})" if detail else ""))


class DiskFull(StorageError):
    """No space is left where the data lies. What was written before is kept and can be read."""

    summary = "the disk is full"
    hint = "Free some space, or run `corral clean`; then `corral resume` goes on with what was unfinished."


class ReadOnly(StorageError):
    """The file or its folder may not be written."""

    summary = "the data cannot be written"
    hint = "Check the owner and the mode of the data directory, and whether its disk is mounted read-only."


class CorruptDatabase(StorageError):
    """The file is no database, or is damaged."""

    summary = "the database is damaged"
    hint = "Move the file aside and start again; `sqlite3 FILE .recover` saves what can be saved."


class NewerDatabase(StorageError):
    """A later version of Corral made this database; this one would not understand it."""

    summary = "the database was made by a newer Corral"
    hint = "Update Corral, or choose another data directory."


class OlderDatabase(StorageError):
    """An earlier version made this database, and a reader may not bring it up to date."""

    summary = "the database was made by an older Corral"
    hint = "Run any command that starts the engine, such as `corral serve`; it brings the database up to date."


class MissingDatabase(StorageError):
    """There is no database yet."""

    summary = "nothing has been stored here yet"
    hint = "Start a run first, or check which data directory is meant."


class StorageBusy(StorageError):
    """Another process kept the file locked for longer than a write waits."""

    summary = "another process keeps the database locked"
    hint = "Look for a program that has the file open, such as a database browser or a backup."


class StorageClosed(StorageError):
    """It was used before it was opened, or after it was closed."""

    summary = "the storage is not open"
    hint = "Use it inside its `async with`."


class MissingBlob(StorageError):
    """No content is kept under this name."""

    summary = "content is missing"
    hint = "It may have been removed by `corral clean`."


class CorruptBlob(StorageError):
    """The content does not match its name."""

    summary = "content is damaged"
    hint = "Check the disk; running the task again writes it anew."


_BY_CODE: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_READONLY: ReadOnly,
    sqlite3.SQLITE_PERM: ReadOnly,
    sqlite3.SQLITE_CORRUPT: CorruptDatabase,
    sqlite3.SQLITE_NOTADB: CorruptDatabase,
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
}
_BY_ERRNO: dict[int, type[StorageError]] = {
    errno.ENOSPC: DiskFull,
    errno.EDQUOT: DiskFull,
    errno.EROFS: ReadOnly,
    errno.EACCES: ReadOnly,
    errno.EPERM: ReadOnly,
}


def from_sqlite(error: sqlite3.Error, path: Path) -> StorageError:
    """The storage error an error of SQLite means."""
    code = getattr(error, "sqlite_errorcode", 0)
    # The shared-memory file of the write-ahead log grows by plain writes, which report a full disk as an I/O error.
    kind = DiskFull if code == sqlite3.SQLITE_IOERR_SHMSIZE else _BY_CODE.get(code & 0xFF, StorageError)
    return kind(path, str(error))


def from_system(error: OSError, path: Path) -> StorageError:
    """The storage error an error of the operating system means."""
    return _BY_ERRNO.get(error.errno or 0, StorageError)(path, error.strerror or str(error))
