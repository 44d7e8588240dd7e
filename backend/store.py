"""What is stored, open for change.

Owns `Store`, which an engine has too, and `open_store`, for the verbs that tidy up without one: no run is begun or gone
on with, and it holds the engine's lock, so no engine works beside it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from infrastructure.checkpoints import CheckpointStore, open_checkpointer
from infrastructure.config.settings import Settings
from infrastructure.events.log import SqliteEventLog
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.calls import CallStore
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock, Holder
from infrastructure.storage.recordings import RecordingStore
from infrastructure.storage.runs import RunStore
from infrastructure.storage.writes import WriteStore
from infrastructure.workflow.values import STORED_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The data directory's contents."""

    directory: DataDirectory
    database: Database
    log: SqliteEventLog
    runs: RunStore
    calls: CallStore
    blobs: BlobStore
    recordings: RecordingStore
    writes: WriteStore
    checkpoints: CheckpointStore


@asynccontextmanager
async def open_store(
    settings: Settings,
    *,
    verb: str,
    on_wait: Callable[[Holder | None], None] = lambda holder: None,
    lock: EngineLock | None = None,
) -> AsyncGenerator[Store]:
    """Take the lock and open what is stored.

    Args:
        settings: They name the data directory.
        verb: What the person ran, for others who wait for the lock.
        on_wait: Told who holds the lock, before this waits for it.
        lock: The engine's lock, where the caller holds it already; it stays held.

    Raises:
        StorageError: the data directory cannot be used.
    """
    directory = DataDirectory(settings.paths.data)
    await asyncio.to_thread(directory.prepare)
    async with AsyncExitStack() as stack:
        if lock is None:
            await stack.enter_context(EngineLock(directory.lock, verb=verb)).wait(on_wait=on_wait)
        database = await stack.enter_async_context(Database(directory.database))
        log = SqliteEventLog(database)
        stack.push_async_callback(log.aclose)
        yield Store(
            directory=directory,
            database=database,
            log=log,
            runs=RunStore(database),
            calls=CallStore(database),
            blobs=BlobStore(directory.blobs),
            recordings=RecordingStore(database),
            writes=WriteStore(database),
            checkpoints=await stack.enter_async_context(open_checkpointer(directory.checkpoints, STORED_TYPES)),
        )
