"""Cleaning a data directory: beside the engine that works on it, or alone, also where the disk is full.

Owns what keeps two from cleaning at once, and how room is made where there is none to write a word. What goes, and in
which order, is `retention`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from backend.retention import (
    Cleaning,
    Removed,
    clean_up,
    keep_pack,
    look,
    needs_packing,
    pack_tree,
    plan_cleaning,
    remove_tree,
)
from backend.store import Store, open_store
from infrastructure.config.settings import RetentionSettings, Settings
from infrastructure.storage.blobs import YOUNG_SECONDS
from infrastructure.storage.database import ReadOnlyDatabase
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import DiskFull, StorageError
from infrastructure.storage.lock import EngineLock
from infrastructure.storage.recordings import RecordingReader
from infrastructure.storage.runs import RunReader
from infrastructure.storage.shrinking import shrink

VERB = "clean"
DAY_SECONDS = 86_400.0
"""Beside an engine, contents that were put within a day stay: a step may hold one for hours before it names it."""


class CleaningUnderWay(Exception):
    """This data directory is being cleaned already."""

    hint = "Wait until that has ended."


class NoRoom(DiskFull):
    """The disk is full, and nothing is old enough that could be removed without a word being written."""

    hint = "Free a few MB on that disk by other means, or have trees go sooner (`retention.trees_days`); clean again."


class Cleaner:
    """Cleans beside the engine that has opened this store, once at a time.

    The databases keep their size: a copy of them would halt every run. What is free in them is used again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way = False

    async def clean(self, retention: RetentionSettings) -> Removed:
        """Remove what is older than this.

        Raises:
            CleaningUnderWay: somebody else has it cleaned now.
            NoRoom: the disk is too full even for that.
        """
        if self._under_way:
            raise CleaningUnderWay(CleaningUnderWay.__doc__)
        self._under_way = True
        try:
            return await _clean(self._store, retention, DAY_SECONDS)
        except DiskFull as error:
            raise NoRoom(error.path, error.detail) from error
        finally:
            self._under_way = False


async def clean_alone(settings: Settings, lock: EngineLock) -> Removed:
    """Remove what is old, where this process holds the engine's lock and has nothing open, and shrink the databases.

    Raises:
        NoRoom: the disk is too full even for that.
        StorageError: the data directory cannot be used.
    """
    directory, room = DataDirectory(settings.paths.data), _Room(settings)
    while True:
        try:
            async with open_store(settings, verb=VERB, lock=lock) as store:
                await room.keep_packs(store)
                removed = await _clean(store, settings.retention)
            break
        except DiskFull as error:
            if not await room.make():
                raise NoRoom(error.path, error.detail) from error
    shrunk = [await asyncio.to_thread(shrink, path) for path in (directory.database, directory.checkpoints)]
    return replace(
        removed,
        trees=removed.trees + room.trees,
        tree_bytes=removed.tree_bytes + room.tree_bytes,
        shrunk_bytes=sum(shrunk),
    )


class _Room:
    """Makes room where a disk is full, without writing: by old trees, of which little has to be kept.

    What of them has to be kept is held in memory until there is room for it. Should the process be killed before, the
    run of that tree can no longer be replayed; so first those go of which nothing has to be kept, then one at a time.
    """

    def __init__(self, settings: Settings) -> None:
        self._retention = settings.retention
        self._directory = DataDirectory(settings.paths.data)
        self._packs: dict[str, bytes] = {}
        self.trees = self.tree_bytes = 0

    async def make(self) -> bool:
        """Remove some trees; whether there were any."""
        try:
            async with ReadOnlyDatabase(self._directory.database, alone=True) as database:
                kept = await look(RunReader(database), self._directory)
                cleaning = plan_cleaning(kept, self._retention, datetime.now(UTC))
                going = await self._going(RecordingReader(database), cleaning)
        except StorageError:
            return False
        for name in going:
            await remove_tree(self._directory, name)
            self.trees += 1
            self.tree_bytes += kept.folders[name]
        return bool(going)

    async def keep_packs(self, store: Store) -> None:
        """Keep what had to be kept of the trees that went."""
        while self._packs:
            name, packed = next(iter(self._packs.items()))
            await keep_pack(store, name, packed)
            del self._packs[name]

    async def _going(self, recordings: RecordingReader, cleaning: Cleaning) -> list[str]:
        packed = [name for name in cleaning.trees if await needs_packing(recordings, cleaning, name)]
        if len(packed) < len(cleaning.trees):
            return [name for name in cleaning.trees if name not in packed]
        for name in packed[:1]:
            self._packs[name] = await pack_tree(self._directory, name)
        return packed[:1]


async def _clean(store: Store, retention: RetentionSettings, young_seconds: float = YOUNG_SECONDS) -> Removed:
    cleaning = plan_cleaning(await look(store.runs, store.directory), retention, datetime.now(UTC))
    return await clean_up(store, cleaning, young_seconds=young_seconds)
