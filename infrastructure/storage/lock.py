"""The engine's lock: one engine per data directory.

Owns `engine.lock`: held by `flock`, so the kernel lets go of it however its holder ends. What the file says is for
people and other processes to read; the lock itself is the truth.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.storage.directory import make_private_file
from infrastructure.storage.errors import DiskFull, StorageError, from_system
from infrastructure.storage.times import Now, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

POLL_SECONDS = 0.2


class Holder(BaseModel):
    """Who holds the lock, as the holder wrote it."""

    model_config = ConfigDict(frozen=True)

    pid: int
    verb: str
    """What the person ran: "run", "serve", "batch"."""
    started: datetime
    address: str = ""
    """Where it listens for guests, once it does."""
    born: int | None = None
    """When its process began, in the kernel's ticks since boot: a pid alone may be somebody else's by now."""

    @property
    def epoch(self) -> str:
        """A name for this holding of the lock, which no other has."""
        return f"{self.started.isoformat()} {self.pid}"


class EngineLock:
    """The lock of one data directory. Closing it, or the end of the process, lets go."""

    def __init__(self, path: Path, *, verb: str, now: Now = utc_now, may_be_nameless: bool = False) -> None:
        """A lock, not taken yet.

        Args:
            path: Its file.
            verb: What the person ran, for others to see.
            now: The time.
            may_be_nameless: Whether it is taken also where a full disk keeps it from saying by whom.
        """
        self.path = path
        self._verb, self._now = verb, now
        self._may_be_nameless = may_be_nameless
        self._descriptor: int | None = None
        self._holder: Holder | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    @property
    def epoch(self) -> str:
        """Which holding of the lock this is; empty when it is not held."""
        return self._holder.epoch if self._holder else ""

    def try_acquire(self) -> bool:
        """Take the lock if it is free; True when this object holds it. Touches the disk: on a loop, use a thread.

        Raises:
            StorageError: the file cannot be made or locked.
        """
        if self.held:
            return True
        try:
            make_private_file(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise from_system(error, self.path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise from_system(error, self.path) from error
        self._descriptor = descriptor
        pid = os.getpid()
        holder = Holder(pid=pid, verb=self._verb, started=self._now(), born=_birth(pid))
        try:
            self._write(holder)
        except StorageError as error:
            if not (self._may_be_nameless and isinstance(error, DiskFull)):
                self.close()
                raise
            self._holder = holder
        return True

    async def wait(
        self, poll: float = POLL_SECONDS, on_wait: Callable[[Holder | None], None] = lambda holder: None
    ) -> None:
        """Take the lock, waiting for it as long as it takes; `poll` seconds lie between two tries.

        `on_wait` is told who holds it: before the first wait, and when that changes. Cancelled, it holds nothing.
        """
        told = False
        last: Holder | None = None
        while not await self._try_in_thread():
            holder = await asyncio.to_thread(read_holder, self.path)
            if not told or holder != last:
                on_wait(holder)
                told, last = True, holder
            await asyncio.sleep(poll)

    def announce(self, address: str) -> None:
        """Write where guests can reach this holder; an empty address takes that back.

        Raises:
            RuntimeError: the lock is not held.
        """
        if self._holder is None:
            raise RuntimeError("only the holder of the lock announces itself")
        self._write(self._holder.model_copy(update={"address": address}))

    def holder(self) -> Holder | None:
        """Who holds the lock; see `read_holder`. Touches the disk: on a loop, use a thread."""
        return read_holder(self.path)

    def close(self) -> None:
        """Let go. Idempotent."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor, self._holder = self._descriptor, None, None
        try:
            os.ftruncate(descriptor, 0)
        except OSError as error:
            raise from_system(error, self.path) from error
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _try_in_thread(self) -> bool:
        attempt = asyncio.ensure_future(asyncio.to_thread(self.try_acquire))
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await attempt  # it takes no time, and a lock taken for nobody would be held for ever
            self.close()
            raise

    def _write(self, holder: Holder) -> None:
        if self._descriptor is None:
            return
        line = holder.model_dump_json().encode() + b"\n"
        try:
            os.pwrite(self._descriptor, line, 0)  # one write, and readers stop at the line's end: never half of two
            os.ftruncate(self._descriptor, len(line))
        except OSError as error:
            raise from_system(error, self.path) from error
        self._holder = holder


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock, without touching it; None when nobody alive says so.

    What it says may have been copied with the directory, and a holder in another container is not seen alive from here:
    only the lock itself tells for certain: see `holder_of`, `is_held`.
    """
    try:
        line = path.read_bytes().partition(b"\n")[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_system(error, path) from error
    try:
        holder = Holder.model_validate_json(line)
    except ValidationError:
        return None
    return holder if _lives(holder) else None


def holder_of(path: Path) -> Holder | None:
    """As `read_holder`, and the lock itself agrees: a copied directory is held by nobody, whatever its file says.

    Touches the disk: on a loop, use a thread.

    Raises:
        StorageError: the file cannot be read or locked.
    """
    holder = read_holder(path)
    return holder if holder is not None and is_held(path) else None


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock, in another container too. Touches the disk: on a loop, use a thread.

    The lock itself is asked, by sharing it for an instant where nobody holds it; who tries to take it in that very
    instant finds it taken, and tries again.

    Raises:
        StorageError: the file cannot be read or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise from_system(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return True
        raise from_system(error, path) from error
    finally:
        os.close(descriptor)
    return False


def _lives(holder: Holder) -> bool:
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process, and alive
    return holder.born is None or _birth(holder.pid) in (None, holder.born)


def _birth(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat (proc(5)); None where there is no such thing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
