"""Which old things may go, and their removal.

Owns the decision (pure) and its order. What can go without a word being written goes first, since a disk may be full;
of all else, what names a thing goes before the thing, so that a crash leaves nothing that points nowhere. Runs that can
still go on lose nothing, so an engine may work meanwhile.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from backend.store import Store
from infrastructure.batch import BatchPlace, BatchRegistry, BatchView
from infrastructure.config.settings import RetentionSettings
from infrastructure.ids import RunId
from infrastructure.sessions.images import images_of
from infrastructure.storage.blobs import YOUNG_SECONDS
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import DiskFull
from infrastructure.storage.recordings import RecordingReader
from infrastructure.storage.runs import RunReader, RunRecord, RunState
from infrastructure.workspace import WorkspaceError
from infrastructure.workspace.packing import pack_snapshot, to_bytes

_PAGE = 500
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What goes.

    Attributes:
        trees: Runs whose working trees go, and names of folders that belong to no run.
        text_before: The streamed text of runs that ended before this goes.
        runs: Runs that are forgotten altogether.
        batches: Ids of batches that are forgotten; what lies in their own folders stays.
        events_before: The program's own events of before this go, and those of sessions that are gone.
    """

    trees: tuple[str, ...]
    text_before: datetime
    runs: tuple[RunId, ...]
    events_before: datetime
    batches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What went; bytes of trees, of contents, and of what was free in the databases."""

    trees: int = 0
    tree_bytes: int = 0
    texts: int = 0
    runs: int = 0
    events: int = 0
    batches: int = 0
    blob_bytes: int = 0
    shrunk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What there is to decide about.

    Attributes:
        records: All runs.
        folders: The folders with working trees by name, and the bytes in each.
        batches: All batches, each with whether its records are still in its folder.
    """

    records: Sequence[RunRecord]
    folders: Mapping[str, int]
    batches: Sequence[tuple[BatchView, bool]] = ()


def plan_cleaning(kept: Kept, retention: RetentionSettings, now: datetime) -> Cleaning:
    """Decide by the age of what has ended.

    Args:
        kept: What there is.
        retention: The limits, in days.
        now: The time.
    """
    records, folders = kept.records, kept.folders
    ended = {record.run: record.ended for record in records if record.state is RunState.FINISHED and record.ended}
    known = {record.run for record in records}
    trees = [
        name
        for name in sorted(folders)
        if name not in known or _old(ended.get(RunId(name)), min(retention.trees_days, retention.runs_days), now)
    ]
    return Cleaning(
        trees=tuple(trees),
        text_before=_before(now, retention.tokens_days),
        runs=tuple(run for run, instant in ended.items() if _old(instant, retention.runs_days, now)),
        batches=tuple(
            view.id
            for view, has_records in kept.batches
            if _is_over(view, has_records) and _old(view.updated, retention.runs_days, now)
        ),
        events_before=_before(now, retention.runs_days),
    )


async def look(runs: RunReader, directory: DataDirectory) -> Kept:
    """Everything that a data directory keeps."""
    views = await BatchRegistry(directory).list()
    folders = await asyncio.to_thread(tree_folders, directory.trees)  # before the runs: one that begins now has a row
    return Kept(
        records=await all_runs(runs),
        folders=folders,
        batches=await asyncio.to_thread(
            lambda: [(each, BatchPlace(Path(each.out)).records.exists()) for each in views]
        ),
    )


async def all_runs(runs: RunReader) -> tuple[RunRecord, ...]:
    """Every run there is."""
    found: list[RunRecord] = []
    while page := await runs.list(_PAGE, found[-1].run if found else None):
        found += page
    return tuple(found)


def tree_folders(trees: Path) -> dict[str, int]:
    """The folders with working trees, and the bytes in each. Blocking."""
    if not trees.is_dir():
        return {}
    return {folder.name: _size(folder) for folder in trees.iterdir() if folder.is_dir()}


async def clean_up(store: Store, cleaning: Cleaning, *, young_seconds: float = YOUNG_SECONDS) -> Removed:
    """Remove what was decided on, and then every content that nothing names any more.

    Args:
        store: What it is removed from.
        cleaning: The decision.
        young_seconds: Contents that were put within as many stay: who put them may yet name them.
    """
    sizes = await asyncio.to_thread(tree_folders, store.directory.trees)
    packed = [name for name in cleaning.trees if await needs_packing(store.recordings, cleaning, name)]
    for name in cleaning.trees:
        if name not in packed:
            await remove_tree(store.directory, name)
    for batch in cleaning.batches:
        await BatchRegistry(store.directory).remove(batch)
    for name in packed:
        await _pack_away(store, name)
    for run in cleaning.runs:
        await store.runs.remove(run)
        await store.checkpoints.adelete_thread(run)
    return Removed(
        trees=len(cleaning.trees),
        tree_bytes=sum(sizes.get(name, 0) for name in cleaning.trees),
        texts=await store.log.prune_text(cleaning.text_before),
        runs=len(cleaning.runs),
        events=await store.log.prune_old(cleaning.events_before),
        batches=len(cleaning.batches),
        blob_bytes=await store.blobs.sweep(await _named_contents(store), young_seconds),
    )


async def needs_packing(recordings: RecordingReader, cleaning: Cleaning, name: str) -> bool:
    """Whether a run that stays began with files which nothing but this tree has."""
    if name in cleaning.runs:
        return False
    kept = await recordings.of_run(RunId(name))
    return bool(kept.setup_json) and not kept.snapshot


async def remove_tree(directory: DataDirectory, name: str) -> None:
    """Remove a run's working trees."""
    await asyncio.to_thread(shutil.rmtree, directory.tree(name))


async def pack_tree(directory: DataDirectory, name: str) -> bytes:
    """The files that a run began with, in one piece, so that it can be replayed without its trees.

    Empty for a snapshot that is too large to keep, or was never finished: it goes with the trees.
    """
    try:
        packed = await pack_snapshot(directory.tree(name))
    except WorkspaceError:
        return b""
    return await asyncio.to_thread(to_bytes, packed)


async def keep_pack(store: Store, name: str, packed: bytes) -> None:
    """Keep what `pack_tree` gave."""
    if packed:
        await store.recordings.keep_snapshot(RunId(name), await store.blobs.put(packed))


def shas_in(value: object) -> Iterator[str]:
    """Every SHA-256 that a value of the graph's state holds, however deep."""
    if isinstance(value, str):
        if _SHA.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        yield from _shas_of(cast("Mapping[object, object]", value).values())
    elif isinstance(value, BaseModel):
        yield from _shas_of(getattr(value, name) for name in type(value).model_fields)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _shas_of(getattr(value, field.name) for field in fields(value))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _shas_of(cast("Iterable[object]", value))


def _shas_of(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield from shas_in(value)


async def _pack_away(store: Store, name: str) -> None:
    """Keep what only a tree has, and remove it; the other way round where only that makes the room for it."""
    packed = await pack_tree(store.directory, name)
    try:
        await keep_pack(store, name, packed)
    except DiskFull:
        await remove_tree(store.directory, name)
        await keep_pack(store, name, packed)
    else:
        await remove_tree(store.directory, name)


async def _named_contents(store: Store) -> frozenset[str]:
    """What recordings and checkpoints of the runs that stay name, what undoes writes, and images of messages."""
    named = {*await store.calls.request_blobs(), *await store.recordings.blobs(), *await store.writes.blobs()}
    named |= await images_of(store.database)
    for record in await all_runs(store.runs):
        async for value in _values_of(store, record.thread):
            named.update(shas_in(value))
    return frozenset(named)


async def _values_of(store: Store, thread: str) -> AsyncIterator[object]:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    async for checkpoint in store.checkpoints.alist(config):
        yield checkpoint.checkpoint["channel_values"]
        for _, _, written in checkpoint.pending_writes or ():
            yield written


def _is_over(view: BatchView, has_records: bool) -> bool:
    """Whether no command goes on with a batch: it is finished, or what it could go on from is gone."""
    return view.state == "finished" or (view.state not in ("running", "waiting") and not has_records)


def _old(ended: datetime | None, days: float, now: datetime) -> bool:
    return ended is not None and ended <= _before(now, days)


def _before(now: datetime, days: float) -> datetime:
    """So long ago; for more days than the calendar has, when nothing of ours was there yet."""
    try:
        return now - timedelta(days=days)
    except OverflowError:
        return _LONG_AGO


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
