"""A disk without room: the run ends with a clear error, whoever follows it comes to an end, and the next run works."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.storage.runs import RunState
from tests.engine.world import asked, world


def limit_pages(connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()


def lift_limit(connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchone()


@pytest.mark.parametrize(("kind", "node"), [("node.started", "intent"), ("work.plan_drafted", "planner")])
async def test_full_database_ends_the_run_and_its_followers(tmp_path, kind, node):
    async with world(tmp_path) as ours:
        database = ours.app.log._database
        run = await ours.start()
        await ours.until(run, kind, node)
        await database.write(limit_pages)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, result.error.error_class) == ("error", 3, "DiskFull")
        assert "corral clean" in result.error.hint
        assert ours.engine.manage_resources().live == ()
        await database.write(lift_limit)
        assert (await ours.run()).status == "done", "with room again the same program goes on"


async def test_run_whose_end_could_not_be_kept_goes_on_after_a_restart(tmp_path):
    async with world(tmp_path) as ours:
        database = ours.app.log._database
        run = await ours.start()
        await ours.until(run, "work.plan_drafted")
        await database.write(limit_pages)
        result = await ours.end_of(run)
        assert result.error.error_class == "DiskFull"
        before = asked(*ours.simulators)
        await database.write(lift_limit)
        record = await ours.record(run)
        if record.state is RunState.FINISHED:
            assert record.status == "error"
            return
        await ours.engine.resume(run)
        assert (await ours.end_of(run)).status == "done"
        assert asked(*ours.simulators) > before


async def test_task_is_not_taken_when_it_cannot_be_kept(tmp_path):
    async with world(tmp_path) as ours:
        await ours.run()
        database = ours.app.log._database
        await database.write(limit_pages)
        outcomes = [await outcome(ours) for _ in range(40)]
        assert "DiskFull" in outcomes
        await database.write(lift_limit)
        assert (await ours.run()).status == "done"


async def outcome(ours) -> str:
    try:
        run = await ours.start("Implement add in calc.py " + "x" * 3000)
    except Exception as error:  # noqa: BLE001 - which one is what the test asks
        return type(error).__name__
    async with asyncio.timeout(60):
        return (await ours.engine.result(run)).status
