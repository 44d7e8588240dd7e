"""A disk without room: the run ends with a clear error, whoever follows it comes to an end, and the next run works."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from backend.bootstrap import open_application
from backend.readers import open_readers
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Stored, follow_file
from infrastructure.ids import RunId, new_run_id
from infrastructure.running.left import PROCESS_ENDED
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


async def full_at(ours, kind: str, node: str | None = None, **more: object) -> RunId:
    """A run whose database has no room from such an event on; it has come to its end, and that is not written."""
    ours.simulators[0].hold(CODER)
    run = await ours.start(**more)
    await ours.until(run, kind, node)
    await ours.app.log._database.write(limit_pages)
    ours.simulators[0].release(CODER)
    result = await ours.end_of(run)
    assert (result.status, result.error.error_class) == ("error", "DiskFull")
    assert (await ours.record(run)).state is RunState.RUNNING
    return run


@pytest.fixture
def pause(monkeypatch):
    """Sets the seconds between two attempts to write down how a run ended."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr("infrastructure.running.unkept.PAUSE_SECONDS", seconds)

    return set_to


def fail_ends(ours, monkeypatch, times: int) -> list[DiskFull]:
    """Let the disk have no room so many times for how an execution ended; the errors that were raised."""
    append_with, raised = ours.app.log.append_with, list[DiskFull]()

    async def full(run, execution, work):
        if len(raised) < times:
            raised.append(DiskFull(Path("corral.db"), "full"))
            raise raised[-1]
        return await append_with(run, execution, work)

    monkeypatch.setattr(ours.app.log, "append_with", full)
    return raised


@pytest.mark.parametrize("lifted", [True, False], ids=["room at the end", "no room to the end"])
async def test_run_whose_end_could_not_be_kept_goes_on_after_a_restart(tmp_path, pause, lifted):
    pause(3600)  # it is tried once more at the end, and never before
    async with world(tmp_path) as ours:
        run = await full_at(ours, "work.plan_drafted")
        before = asked(*ours.simulators)
        if lifted:
            await ours.app.log._database.write(lift_limit)
        await ours.leave()
        async with open_application(ours.settings) as app:
            record = await app.runs.get(run)
            assert (record.state, record.reason == PROCESS_ENDED) == (RunState.INTERRUPTED, not lifted)
            await app.engine.resume(run)
            assert (await app.engine.result(run)).status == "done"
        assert asked(*ours.simulators) >= before


async def test_run_that_the_full_disk_ended_rests_when_there_is_room_and_goes_on(tmp_path, pause, caplog):
    pause(0.01)
    async with world(tmp_path) as ours, open_readers(ours.settings) as readers:
        run = await full_at(ours, "work.plan_drafted")
        assert "how it ended could not be kept" in caplog.text
        late = asyncio.ensure_future(events_of(ours.app.log.follow(run, ends_when_interrupted=True)))
        elsewhere = asyncio.ensure_future(events_of(follow_file(readers.database, run, ends_when_interrupted=True)))
        await ours.app.log._database.write(lift_limit)
        told = await late
        assert told == await elsewhere
        assert (told[-1].kind, "the disk is full" in told[-1].reason) == ("run.interrupted", True)
        assert [event.kind for event in told].count("run.interrupted") == 1
        assert ours.engine._unkept.of(run) is None
        assert (await ours.engine.result(run)).reason == told[-1].reason
        await ours.engine.resume(run)
        assert (await ours.end_of(run)).status == "done"
        assert ours.kinds()[-1] == "run.finished"


async def test_what_a_run_came_to_is_kept_when_there_is_room_for_its_end(tmp_path, pause, monkeypatch):
    pause(0.01)
    async with world(tmp_path) as ours:
        raised = fail_ends(ours, monkeypatch, times=3)
        run = await ours.start()
        events = await events_of(ours.app.log.follow(run))
        assert len(raised) == 3
        assert [event.kind for event in events].count("run.finished") == 1
        assert (events[-1].kind, events[-1].status) == ("run.finished", "done")
        result, record = await ours.engine.result(run), await ours.record(run)
        assert (result.status, result.patch != "", record.state) == ("done", True, RunState.FINISHED)
        (last,) = (await ours.app.log.read(run, after=len(events) - 1))[-1:]
        assert last.causation != "", "it has the same cause as if it had been kept at once"


async def test_question_and_interruption_that_could_not_be_kept_are_kept_when_there_is_room(
    tmp_path, pause, monkeypatch
):
    pause(0.01)
    async with world(tmp_path) as ours:
        raised = fail_ends(ours, monkeypatch, times=3)
        run = await ours.start(approve=("plan",))
        async with aclosing(ours.app.log.follow(run)) as following:  # the engine's own end: nobody is to wait there
            question = await anext(stored.event async for stored in following if stored.event.kind == "approval.asked")
        assert len(raised) == 3
        assert (await ours.record(run)).state is RunState.WAITING
        ours.simulators[0].hold(CODER)
        await ours.engine.answer(run, question.approval, approved=True)
        await ours.until(run, "node.started", "coder")
        raised.clear()
        await ours.engine.interrupt(run, "by a test")
        events = await events_of(ours.app.log.follow(run, ends_when_interrupted=True))
        assert (events[-1].kind, events[-1].reason) == ("run.interrupted", "by a test")
        assert (await ours.record(run)).state is RunState.INTERRUPTED


async def test_end_that_somebody_else_wrote_meanwhile_is_not_written_again(tmp_path, pause):
    pause(3600)
    async with world(tmp_path) as ours:
        run = await full_at(ours, "work.plan_drafted")
        end = ours.engine._unkept.of(run)
        await ours.app.log._database.write(lift_limit)
        await ours.engine.cancel(run)
        assert ours.engine._unkept.of(run) is None
        ours.engine._unkept.add(run, end.result, end.unwritten)  # as if its write had been committed all the same
        await ours.engine._unkept.try_all()
        assert ours.engine._unkept.of(run) is None
        kinds = [event.kind for event in await events_of(ours.app.log.follow(run))]
        assert (kinds[-1], kinds.count("run.finished"), kinds.count("run.interrupted")) == ("run.finished", 1, 0)
        assert (await ours.record(run)).status == "cancelled"


async def test_fault_while_an_end_is_written_again_is_told_and_keeps_no_other_from_it(tmp_path, pause, caplog):
    pause(3600)
    async with world(tmp_path) as ours:
        run = await full_at(ours, "work.plan_drafted")
        end = ours.engine._unkept.of(run)
        await ours.app.log._database.write(lift_limit)
        ours.engine._unkept.drop(run)
        missing = new_run_id()
        for each in (missing, run):
            ours.engine._unkept.add(each, end.result, end.unwritten)
        await ours.engine._unkept.try_all()
        assert f"run {missing}: how it ended cannot be kept" in caplog.text
        assert ours.engine._unkept.of(missing) is None
        assert (await ours.record(run)).state is RunState.INTERRUPTED


async def events_of(following: AsyncIterator[Stored]) -> list[AnyEvent]:
    return [stored.event async for stored in following]


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
