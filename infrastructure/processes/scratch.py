"""Folders of ours in the temporary directory, and their certain end.

Owns their names and the lock on each, which lives as long as the process that made it: a folder that nobody holds was
left by one that was killed, and the next to start removes it.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from infrastructure.processes.running import run_process

_Made = TypeVar("_Made")

_NAME = "corral.{purpose}."
_OURS = "corral.*.*"
_REMOVE_SECONDS = 60.0


class Scratch:
    """A new folder in the temporary directory, that only we can enter and that is held until it is let go of."""

    def __init__(self, purpose: str, parent: Path | None = None) -> None:
        """Make it.

        Args:
            purpose: A word for whoever finds it.
            parent: Where, if not in the system's temporary directory.

        Raises:
            OSError: The system refuses.
        """
        lock = None
        while lock is None:  # a sweep may have come between making it and holding it
            self.path = Path(tempfile.mkdtemp(prefix=_NAME.format(purpose=purpose), dir=parent))
            lock = _held(self.path)
        self._lock: int | None = lock

    def let_go(self) -> None:
        """Hold it no longer; what is still there is anybody's to remove. Safe to repeat."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def remove(self) -> None:
        """Remove it with what we have put into it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.let_go()

    async def discard(self) -> None:
        """Remove it, whatever others have put into it."""
        try:
            await remove_tree(self.path)
        finally:
            self.let_go()


@asynccontextmanager
async def scratch(purpose: str, parent: Path | None = None) -> AsyncGenerator[Path]:
    """A folder for the time of the block; see `Scratch`."""
    folder = await made(partial(Scratch, purpose, parent), Scratch.discard)
    try:
        yield folder.path
    finally:
        await asyncio.shield(folder.discard())


async def sweep_scratch(parents: Collection[Path] = ()) -> None:
    """Remove the folders that were left behind by processes that were killed.

    Args:
        parents: Where to look; by default wherever we make any.
    """
    for parent in parents or {Path(tempfile.gettempdir()), Path("/tmp")}:
        for folder in await asyncio.to_thread(_ours, parent):
            lock = await made(partial(_taken, folder), _given_back)
            try:
                if lock is not None:
                    await remove_tree(folder)
            finally:
                await _given_back(lock)


async def remove_tree(folder: Path) -> None:
    """Remove a folder in which hostile code may have worked: deeper than a function can call itself, or closed."""
    try:
        await asyncio.to_thread(shutil.rmtree, folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        for line in ('rm -rf -- "$1"', 'chmod -R u+rwx -- "$1"; rm -rf -- "$1"'):
            argv = ("/bin/sh", "-c", line, "sh", str(folder))
            done = await run_process(argv, cwd=None, env={"PATH": "/usr/bin:/bin"}, timeout=_REMOVE_SECONDS)
            if done.exit_code == 0:
                return


async def made(make: Callable[[], _Made], remove: Callable[[_Made], Awaitable[None]]) -> _Made:
    """What `make` makes, in a thread; removed again if we are cancelled while it is being made."""
    making = asyncio.create_task(asyncio.to_thread(make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await remove(await making)
        raise


def _held(folder: Path) -> int | None:
    """An open lock on a new folder; None where somebody took the folder for an abandoned one."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:  # a file system without locks: nobody can lock it there, so nobody sweeps it either
        return lock
    if _is(folder, lock):
        return lock
    os.close(lock)
    return None


def _ours(parent: Path) -> list[Path]:
    return list(parent.glob(_OURS))


def _taken(folder: Path) -> int | None:
    """A lock on a folder of ours that nobody holds, by which it is ours to remove; None for any other."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except OSError:  # held, or a file system without locks
        pass
    os.close(lock)
    return None


async def _given_back(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _is(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
