"""Content by its sha256: files, transcripts, patches; anything too big for a row.

Owns the folder `blobs/ab/cdef…`. A blob is written once and never changed, so writing it again is harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from infrastructure.storage.directory import make_private_directory, sync_directory, write_durably
from infrastructure.storage.errors import CorruptBlob, MissingBlob, from_system

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

YOUNG_SECONDS = 3600.0
"""A blob younger than this is never swept: who put it may not have named it anywhere yet."""

_SHA = re.compile(r"[0-9a-f]{64}")


class Blobs(Protocol):
    """A content-addressed store. What `put` returned a name for is on disk, also after a power cut."""

    async def put(self, content: bytes) -> str:
        """Keep the content and return its sha256, 64 hex digits."""
        ...

    async def get(self, sha: str) -> bytes:
        """The content of this name.

        Raises:
            MissingBlob: it is not kept.
            CorruptBlob: what is kept is not that content.
        """
        ...

    async def has(self, sha: str) -> bool:
        """Whether it is kept."""
        ...

    async def sweep(self, keep: AbstractSet[str], young_seconds: float = YOUNG_SECONDS) -> int:
        """Remove what is not in `keep` and was last put longer ago than `young_seconds`; returns the bytes freed."""
        ...


def sha_of(content: bytes) -> str:
    """The name of a content."""
    return hashlib.sha256(content).hexdigest()


class BlobStore:
    """Blobs in a folder. All file work is done in threads; a cancelled `put` may still be completed.

    Raises from every method: StorageError (DiskFull, ReadOnly).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, content: bytes) -> str:
        """Keep the content and return its sha256."""
        return await asyncio.to_thread(self._put, content)

    async def get(self, sha: str) -> bytes:
        """The content, verified."""
        return await asyncio.to_thread(self._get, sha)

    async def has(self, sha: str) -> bool:
        """Whether it is kept."""
        return _SHA.fullmatch(sha) is not None and await asyncio.to_thread(self._path(sha).is_file)

    async def sweep(self, keep: AbstractSet[str], young_seconds: float = YOUNG_SECONDS) -> int:
        """Remove what is not kept and not young, half-written files included."""
        return await asyncio.to_thread(self._sweep, frozenset(keep), young_seconds)

    def _path(self, sha: str) -> Path:
        if not _SHA.fullmatch(sha):  # a name from outside never leaves the folder
            raise MissingBlob(self._folder, sha)
        return self._folder / sha[:2] / sha[2:]

    def _put(self, content: bytes) -> str:
        sha = sha_of(content)
        path = self._path(sha)
        try:
            if _holds(path, content):
                os.utime(path)  # young again, so that a sweep under way leaves it
                sync_directory(path.parent)
                return sha
            if not path.parent.is_dir():
                make_private_directory(path.parent)
                sync_directory(self._folder)
            write_durably(path, content)
        except OSError as error:
            raise from_system(error, path) from error
        return sha

    def _get(self, sha: str) -> bytes:
        path = self._path(sha)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise MissingBlob(self._folder, sha) from None
        except OSError as error:
            raise from_system(error, path) from error
        if sha_of(content) != sha:
            raise CorruptBlob(path)
        return content

    def _sweep(self, keep: frozenset[str], young_seconds: float) -> int:
        freed = 0
        limit = time.time() - young_seconds
        try:
            for path in self._folder.glob("??/*"):
                found = path.stat()
                if path.parent.name + path.name not in keep and found.st_mtime <= limit:
                    path.unlink()
                    freed += found.st_size
        except OSError as error:
            raise from_system(error, self._folder) from error
        return freed


class MemoryBlobs:
    """Blobs in memory, for tests."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, float]] = {}

    async def put(self, content: bytes) -> str:
        """Keep the content and return its sha256."""
        sha = sha_of(content)
        self._kept[sha] = (bytes(content), time.time())
        return sha

    async def get(self, sha: str) -> bytes:
        """The content."""
        if sha not in self._kept:
            raise MissingBlob(Path("memory"), sha)
        return self._kept[sha][0]

    async def has(self, sha: str) -> bool:
        """Whether it is kept."""
        return sha in self._kept

    async def sweep(self, keep: AbstractSet[str], young_seconds: float = YOUNG_SECONDS) -> int:
        """Remove what is not kept and not young."""
        limit = time.time() - young_seconds
        gone = [sha for sha, (_, put) in self._kept.items() if sha not in keep and put <= limit]
        return sum(len(self._kept.pop(sha)[0]) for sha in gone)


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file is there and whole; one that a bad disk has damaged is written anew."""
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
