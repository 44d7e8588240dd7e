"""A request that is named begins one run, however often it comes, and whatever happens in between."""

import asyncio

import pytest

from infrastructure.ids import RunId, new_run_id
from infrastructure.storage.database import Database
from infrastructure.storage.runs import KeyReused, RequestKey, RunStore
from infrastructure.storage.schema import MIGRATIONS
from tests.storage.moves import finished


async def create(runs: RunStore, request: RequestKey | None) -> RunId:
    run = new_run_id()
    record = await runs.create(run=run, thread=run, task="t", repo="/r", request_json="{}", request=request)
    return record.run


async def test_the_same_request_gives_the_same_run_also_after_a_restart(tmp_path):
    async with Database(tmp_path / "corral.db") as database:
        first = await create(RunStore(database), RequestKey("k", "sha"))
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        assert await runs.keyed(RequestKey("k", "sha")) == first
        assert await create(runs, RequestKey("k", "sha")) == first
        assert len(await runs.list()) == 1


async def test_of_many_at_once_one_begins_the_run(tmp_path):
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        found = await asyncio.gather(*(create(runs, RequestKey("k", "sha")) for _ in range(20)))
        assert len(set(found)) == 1


async def test_another_request_by_the_same_name_is_refused(tmp_path):
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        first = await create(runs, RequestKey("k", "sha"))
        for attempt in (create(runs, RequestKey("k", "other")), runs.keyed(RequestKey("k", "other"))):
            with pytest.raises(KeyReused) as refused:
                await attempt
            assert refused.value.run == first


async def test_requests_without_a_name_are_not_one_another(tmp_path):
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        assert await create(runs, None) != await create(runs, None)
        assert await runs.keyed(RequestKey("", "")) is None


async def test_a_name_is_free_again_when_its_run_is_forgotten(tmp_path):
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        first = await create(runs, RequestKey("k", "sha"))
        await finished(runs, first, "done", "none", "{}")
        await runs.remove(first)
        assert await create(runs, RequestKey("k", "other")) != first


async def test_runs_of_an_older_file_have_no_name(tmp_path):
    async with Database(tmp_path / "corral.db", migrations=MIGRATIONS[:1]) as database:
        sql = "INSERT INTO runs (run, thread, task, repo, request_json, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
        values = ("1", "1", "t", "/r", "{}", "queued", "2026-01-01T00:00:00+00:00")
        await database.write(lambda connection: connection.execute(sql, values))
    async with Database(tmp_path / "corral.db") as database:
        runs = RunStore(database)
        assert [record.run for record in await runs.list()] == ["1"]
        assert await create(runs, RequestKey("k", "sha")) != "1"
        assert {state: count for (state, _), count in (await runs.counts()).items()} == {"queued": 2}
