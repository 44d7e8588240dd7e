"""LangGraph's checkpoints: their own file, durable, and only of types that were named.

Owns how the saver's connection is set up (it sets no pragmas but one), which types may come back from it, which of a
thread's checkpoints is its latest, and pruning, which the saver does not have. The saver commits whenever it likes, so
nothing else may share its connection.

The latest is the one that was written last. LangGraph names checkpoints by the wall clock and takes the greatest name;
a clock that was set back between two processes would have a run go on from before what it did last.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import aiosqlite
from langgraph.checkpoint.base import get_checkpoint_id
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from infrastructure.storage.directory import make_private_file
from infrastructure.storage.errors import StorageError, from_sqlite, from_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple

BUSY_SECONDS = 5.0


class CheckpointStore(AsyncSqliteSaver):
    """LangGraph's saver with SQLite's errors mapped, a safe deletion and pruning.

    Raises from every method: StorageError.
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path, serializer: JsonPlusSerializer) -> None:
        super().__init__(connection, serde=serializer)
        self._path = path

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint."""
        async with self._undone_on_error():
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, object]], task_id: str, task_path: str = ""
    ) -> None:
        """Save what a task of the current step wrote."""
        async with self._undone_on_error():
            await super().aput_writes(config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint asked for, or the one of the thread that was written last."""
        with _mapped(self._path):
            if not get_checkpoint_id(config):
                await self.setup()
                asked = config.get("configurable", {})
                latest = await self._latest(str(asked["thread_id"]), str(asked.get("checkpoint_ns", "")))
                if latest is None:
                    return None
                config = {"configurable": latest}
            return await super().aget_tuple(config)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all of a thread; fine when there is nothing, or no table yet."""
        async with self._undone_on_error():
            await self.setup()
            await super().adelete_thread(thread_id)

    async def prune_thread(self, thread: str, keep_latest: int = 1) -> int:
        """Keep only the newest checkpoints of a thread, in each of its graphs; returns how many went.

        Raises:
            ValueError: not even one is to be kept; that is `adelete_thread`.
        """
        if keep_latest < 1:
            raise ValueError("keep at least one checkpoint, or delete the thread")
        await self.setup()
        async with self._undone_on_error(), self.lock:
            cursor = await self.conn.execute(_PRUNE, (thread, keep_latest))
            await self.conn.execute(_PRUNE_WRITES, (thread,))
            await self.conn.commit()
            return cursor.rowcount

    async def _latest(self, thread: str, graph: str) -> dict[str, str] | None:
        """Where the checkpoint is that was written last in one of a thread's graphs."""
        async with self.lock, self.conn.execute(_LATEST, (thread, graph)) as cursor:
            found = await cursor.fetchone()
        return None if found is None else {"thread_id": thread, "checkpoint_ns": graph, "checkpoint_id": found[0]}

    @asynccontextmanager
    async def _undone_on_error(self) -> AsyncGenerator[None]:
        """Map errors, and end a transaction that one has left open: the next commit would keep half of it."""
        try:
            with _mapped(self._path):
                yield
        except StorageError:
            async with self.lock:
                await self.conn.rollback()
            raise


def serializer_of(allowed: Sequence[type]) -> JsonPlusSerializer:
    """How state is stored: of our own classes only those that were named come back as themselves."""
    return JsonPlusSerializer(
        pickle_fallback=False,
        allowed_json_modules=None,
        allowed_msgpack_modules=[(kind.__module__, kind.__name__) for kind in allowed],
    )


@asynccontextmanager
async def open_checkpointer(path: Path, allowed: Sequence[type]) -> AsyncGenerator[CheckpointStore]:
    """The checkpoint store of a file, made where it is missing.

    Args:
        path: a file that nothing else uses.
        allowed: every class of ours that state, or a `Send`, can hold. Any other comes back as plain data, without an
            error, so a test must reload at every node. Tuples come back as lists, also within a dataclass; only a
            pydantic model, which is validated again, has them back.

    Raises:
        StorageError: it cannot be opened.
    """
    try:
        await asyncio.to_thread(make_private_file, path)
    except OSError as error:
        raise from_system(error, path) from error
    serializer = serializer_of(allowed)
    with _mapped(path):
        connection = await aiosqlite.connect(path, timeout=BUSY_SECONDS)
    try:
        with _mapped(path):
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = 1", "mmap_size = 0"):
                await connection.execute(f"PRAGMA {pragma}")
            store = CheckpointStore(connection, path, serializer)
            await store.setup()
        yield store
    finally:
        await asyncio.shield(_close(connection))


async def _close(connection: aiosqlite.Connection) -> None:
    try:
        await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        pass  # all is committed; whoever opens the file next finds the rest in its log
    finally:
        await connection.close()


@contextmanager
def _mapped(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a wrong call, not a trouble of the file
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error


# The order of writing is that of the rowids: a new row gets one more than the greatest there is, and `VACUUM` copies
# rows in their order (a test says so).
_LATEST = """
SELECT checkpoint_id FROM checkpoints WHERE thread_id = ?1 AND checkpoint_ns = ?2 ORDER BY rowid DESC LIMIT 1
"""
_PRUNE = """
DELETE FROM checkpoints WHERE thread_id = ?1 AND rowid NOT IN (
    SELECT newer.rowid FROM checkpoints AS newer
    WHERE newer.thread_id = ?1 AND newer.checkpoint_ns = checkpoints.checkpoint_ns
    ORDER BY newer.rowid DESC LIMIT ?2
)
"""
_PRUNE_WRITES = """
DELETE FROM writes WHERE thread_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM checkpoints AS kept WHERE kept.thread_id = writes.thread_id
    AND kept.checkpoint_ns = writes.checkpoint_ns AND kept.checkpoint_id = writes.checkpoint_id
)
"""
