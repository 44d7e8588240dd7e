"""What may be read while somebody else holds the engine: no lock is taken, and nothing of the engine is imported."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from infrastructure.config.settings import Settings
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.calls import CallReader
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import ReadOnlyDatabase
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import Holder, read_holder
from infrastructure.storage.runs import RunReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What may be read without the lock, while somebody else holds it."""

    directory: DataDirectory
    database: ReadOnlyDatabase
    runs: RunReader
    calls: CallReader
    blobs: BlobStore
    control: ControlStore

    def holder(self) -> Holder | None:
        """Who holds the engine's lock."""
        return read_holder(self.directory.lock)


@asynccontextmanager
async def open_readers(settings: Settings) -> AsyncGenerator[Readers]:
    """Open what can be read beside a running engine.

    Raises:
        StorageError: there is no data directory yet, or it cannot be read.
    """
    directory = DataDirectory(settings.paths.data)
    async with ReadOnlyDatabase(directory.database) as database:
        yield Readers(
            directory=directory,
            database=database,
            runs=RunReader(database),
            calls=CallReader(database),
            blobs=BlobStore(directory.blobs),
            control=ControlStore(directory.control),
        )
