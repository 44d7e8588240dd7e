"""A disk without room: the run ends with a clear error, whoever follows it comes to an end, and the next run works."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress

import pytest

from backend.bootstrap import open_application
from infrastructure.storage.errors import DiskFull
from infrastructure.storage.runs import RunState
from infrastructure.tasks import TaskSpec
from tests.engine.world import CODER, TASK, asked, repository, settings_of, simulator, world


def limit_pages(connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()


def lift_limit(connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchone()


@pytest.mark.parametrize(("kind", "node"), [("node.started", "intent"), ("work.plan_drafted", "planner")])
async def test_full_database_ends_the_run_and_its_followers(tmp_path, kind, node):
    async with world(tmp_path) as ours:
        database = ours.app.log._database
        ours.simulators[0].hold(CODER)
        run = await ours.start()
        await ours.until(run, kind, node)
        await database.write(limit_pages)
        ours.simulators[0].release(CODER)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, result.error.error_class) == ("error", 3, "DiskFull")
        assert "corral clean" in result.error.hint
        assert ours.engine.manage_resources().live == ()
        await database.write(lift_limit)
        assert (await ours.run()).status == "done", "with room again the same program goes on"


async def test_run_whose_end_could_not_be_kept_goes_on_after_a_restart(tmp_path):
    async with world(tmp_path) as ours:
        database = ours.app.log._database
        ours.simulators[0].hold(CODER)
        run = await ours.start()
        await ours.until(run, "work.plan_drafted")
        await database.write(limit_pages)
        ours.simulators[0].release(CODER)
        result = await ours.end_of(run)
        assert result.error.error_class == "DiskFull"
        before = asked(*ours.simulators)
        await database.write(lift_limit)
        assert (await ours.record(run)).state is RunState.RUNNING
        await ours.leave()
        async with open_application(ours.settings) as app:
            assert (await app.runs.get(run)).state is RunState.INTERRUPTED
            await app.engine.resume(run)
            assert (await app.engine.result(run)).status == "done"
        assert asked(*ours.simulators) >= before


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


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system of some hundred kilobytes, where this machine lets us have one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [400, 500, 700, 900], indirect=True)
async def test_wherever_the_room_runs_out_the_run_ends_in_words(tmp_path, small_disk):
    """Database, checkpoints, content store, snapshot and trees share the disk: each may be the first to fail."""
    (small_disk / "world").mkdir()
    server = simulator(tmp_path)
    async with server:
        settings = settings_of(small_disk / "world", [server])
        repo = repository(tmp_path / "repo")
        with suppress(DiskFull):  # already the application, or the task, found no room
            async with open_application(settings) as app:
                run = await app.engine.start(TaskSpec(task=TASK, repo=repo))
                events = [stored async for stored in app.engine.follow(run)]
                result = await app.engine.result(run)
                assert events
                if result.status != "done":
                    assert (result.status, result.exit_code, result.error.error_class) == ("error", 3, "DiskFull")
                    assert result.error.hint
