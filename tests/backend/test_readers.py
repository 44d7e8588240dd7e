"""What whoever only reads is told of a run: where it stands, and not only what the table says of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from backend.bootstrap import open_application
from backend.readers import RunsAsTheyAre, open_readers
from infrastructure.config.settings import Paths, Settings
from infrastructure.engine import SHUT_DOWN
from infrastructure.events.log import follow_file
from infrastructure.ids import RunId, new_run_id
from infrastructure.running.left import PROCESS_ENDED
from infrastructure.storage.connection import Work
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock
from infrastructure.storage.runs import RunState, RunStore
from infrastructure.tasks import TaskSpec
from tests.engine.world import TASK, repository, settings_of, simulator
from tests.storage.moves import finished, moved

T = TypeVar("T")


@asynccontextmanager
async def killed(folder: Path, state: RunState) -> AsyncIterator[tuple[Settings, RunId]]:
    """A data directory as a killed engine leaves it, with a run in this state."""
    settings = Settings(paths=Paths(data=folder / "data"))
    directory = DataDirectory(settings.paths.data)
    await asyncio.to_thread(directory.prepare)
    async with Database(directory.database) as database:
        runs, run = RunStore(database), new_run_id()
        await runs.create(run=run, thread=run, task="t", repo="/r", request_json='{"task":"t","repo":"/r"}')
        if state is RunState.FINISHED:
            await finished(runs, run, "done", "none", "{}")
        elif state is not RunState.QUEUED:
            await runs.begin(run, "killed")
            await moved(runs, run, state, reason="why")
    yield settings, run


@pytest.mark.parametrize("state", RunState)
async def test_run_that_a_killed_engine_had_in_hand_is_told_as_interrupted(tmp_path: Path, state: RunState) -> None:
    async with killed(tmp_path, state) as (settings, run), open_readers(settings) as readers:
        record = await readers.runs.get(run)
        if state in (RunState.QUEUED, RunState.RUNNING):
            assert (record.state, record.reason) == (RunState.INTERRUPTED, PROCESS_ENDED)
        else:
            assert record.state is state
        assert await readers.runs.list() == (record,)
        assert await readers.runs.unfinished() == (() if state is RunState.FINISHED else (record,))


@pytest.mark.parametrize("said", [True, False])
async def test_run_is_in_hand_as_long_as_somebody_holds_the_engine(tmp_path: Path, said: bool) -> None:
    async with killed(tmp_path, RunState.RUNNING) as (settings, run), open_readers(settings) as readers:
        with EngineLock(readers.directory.lock, verb="run") as lock:
            assert await asyncio.to_thread(lock.try_acquire)
            if not said:  # its process is not seen from here
                await asyncio.to_thread(readers.directory.lock.write_bytes, b"\n")
            assert (await readers.runs.get(run)).state is RunState.RUNNING
            assert [record.state for record in await readers.runs.list()] == [RunState.RUNNING]
        assert (await readers.runs.get(run)).state is RunState.INTERRUPTED


async def test_run_that_ends_while_it_is_looked_at_is_not_told_as_interrupted(tmp_path: Path) -> None:
    class Late:
        """A database in which the run ends, and its engine goes, right after it was read."""

        def __init__(self, database: Database, end: Callable[[], object]) -> None:
            self.database, self.end = database, end

        async def read(self, work: Work[T]) -> T:
            value = await self.database.read(work)
            if self.end is not None:
                end, self.end = self.end, None
                await end()
            return value

    async with killed(tmp_path, RunState.RUNNING) as (settings, run):
        directory = DataDirectory(settings.paths.data)
        async with Database(directory.database) as database:
            store = RunStore(database)
            reader = RunsAsTheyAre(Late(database, lambda: finished(store, run, "done", "given", "{}")), directory.lock)
            record = await reader.get(run)
        assert (record.state, record.status) == (RunState.FINISHED, "done")


async def test_what_readers_say_before_is_what_the_next_engine_says_in_the_table(tmp_path: Path) -> None:
    async with killed(tmp_path, RunState.RUNNING) as (settings, run):
        async with open_readers(settings) as readers:
            before = await readers.runs.get(run)
        async with open_application(settings) as application:
            assert await application.runs.get(run) == before
            async with (
                open_readers(settings) as readers,
                aclosing(follow_file(readers.database, run, ends_when_interrupted=True)) as events,
            ):
                assert [stored.event.kind async for stored in events] == ["run.interrupted"]


async def test_run_of_an_engine_that_lives_is_told_as_it_is_and_at_rest_when_it_was_shut_down(tmp_path: Path) -> None:
    async with simulator(tmp_path) as server:
        settings = settings_of(tmp_path, [server])
        async with open_application(settings) as application, open_readers(settings) as readers:
            spec = TaskSpec(task=TASK, repo=repository(tmp_path / "repo"), approve=("plan",))
            run = await application.engine.start(spec)
            assert (await readers.runs.get(run)).state in (RunState.RUNNING, RunState.WAITING)
        async with open_readers(settings) as readers:
            assert (await readers.runs.get(run)).reason == SHUT_DOWN
