"""What may be read while somebody else holds the engine: no lock is held, and nothing of the engine is imported.

Owns what a run is said to be where its engine was killed: the table says that it runs, and nobody runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infrastructure.config.settings import Settings
from infrastructure.ids import RunId
from infrastructure.running.left import as_left, in_hand
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.calls import CallReader
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import Readable, ReadOnlyDatabase
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import Holder, holder_of, is_held
from infrastructure.storage.recordings import RecordingReader
from infrastructure.storage.runs import RunReader, RunRecord


class RunsAsTheyAre(RunReader):
    """The runs, and at rest where nobody has them in hand whatever the table says.

    An engine that is killed cannot write that its runs rest. The next one will; until then every reader says so.
    """

    def __init__(self, database: Readable, lock: Path) -> None:
        super().__init__(database)
        self._lock = lock

    async def get(self, run: str) -> RunRecord:
        """The run of this id, or the only one whose id begins so."""

        async def one() -> tuple[RunRecord, ...]:
            return (await super(RunsAsTheyAre, self).get(run),)

        return (await self._as_they_are(one))[0]

    async def list(self, limit: int = 50, before: RunId | None = None) -> tuple[RunRecord, ...]:
        """Runs, newest first; those older than `before` if it is given."""
        return await self._as_they_are(lambda: super(RunsAsTheyAre, self).list(limit, before))

    async def unfinished(self) -> tuple[RunRecord, ...]:
        """Every run that is not finished, oldest first."""
        return await self._as_they_are(super().unfinished)

    async def _as_they_are(self, read: Callable[[], Awaitable[tuple[RunRecord, ...]]]) -> tuple[RunRecord, ...]:
        records = await read()
        if not any(map(in_hand, records)) or await asyncio.to_thread(is_held, self._lock):
            return records
        # The holder may have ended them, and then gone, since they were read.
        return tuple(map(as_left, await read()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What may be read without the lock, while somebody else holds it."""

    directory: DataDirectory
    database: ReadOnlyDatabase
    runs: RunsAsTheyAre
    calls: CallReader
    blobs: BlobStore
    control: ControlStore
    recordings: RecordingReader

    def holder(self) -> Holder | None:
        """Who holds the engine's lock."""
        return holder_of(self.directory.lock)


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
            runs=RunsAsTheyAre(database, directory.lock),
            calls=CallReader(database),
            blobs=BlobStore(directory.blobs),
            control=ControlStore(directory.control),
            recordings=RecordingReader(database),
        )
