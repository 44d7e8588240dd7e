"""One command at a time in a folder of results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from infrastructure.batch.errors import FolderInUse
from infrastructure.storage.lock import EngineLock
from infrastructure.workspace.threads import in_thread


@asynccontextmanager
async def held(folder: Path, lock: Path, verb: str, prepare: Callable[[], None]) -> AsyncGenerator[None]:
    """Hold a folder.

    Args:
        folder: What a person named.
        lock: The file that is locked, in it.
        verb: Of the command that holds it.
        prepare: Makes the folder; blocking.

    Raises:
        FolderInUse: another command holds it.
    """
    held_by_us = EngineLock(lock, verb=verb)
    await in_thread(lambda _: prepare())
    if not await in_thread(lambda _: held_by_us.try_acquire()):
        raise FolderInUse(folder, verb)
    try:
        yield
    finally:
        await in_thread(lambda _: held_by_us.close())
