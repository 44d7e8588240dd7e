"""Files of JSON lines that survive a kill at any instant: appended with one write a line, on disk before it counts.

Owns the append, and what becomes of a last line that was cut off. Everything here blocks.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from infrastructure.batch.errors import UnreadableLine
from infrastructure.storage.directory import sync_directory

M = TypeVar("M", bound=BaseModel)

_BLOCK = 1 << 16


class JsonLines:
    """An append-only file. Opening it cuts off a last line without an end, which its writer was killed in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        fresh = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.cut = _cut_torn_end(self._descriptor)
        """Bytes of a last line that was never finished."""
        if fresh:
            sync_directory(path.parent)

    def append(self, line: bytes) -> None:
        """Add a line; it is on disk when this returns. Threads may share the file.

        Raises:
            OSError: nothing was added.
        """
        content = line + b"\n"
        with self._lock:
            before = os.fstat(self._descriptor).st_size
            if os.write(self._descriptor, content) != len(content):  # a full disk takes a part
                os.ftruncate(self._descriptor, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close. Idempotent."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def read_lines(path: Path) -> Iterator[bytes]:
    """The finished lines of a file, without their ends; none where there is no file."""
    try:
        with path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return


def read_models(path: Path, kind: type[M]) -> Iterator[M]:
    """The finished lines of a file as values.

    Raises:
        UnreadableLine: a line is none.
    """
    for number, line in enumerate(read_lines(path), 1):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            raise UnreadableLine(path, number, str(error.errors()[0]["msg"])) from error


def replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write the whole file anew: after a kill there is the old file or the new."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def _cut_torn_end(descriptor: int) -> int:
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    return size - end
