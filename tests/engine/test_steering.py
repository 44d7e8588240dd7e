"""What is asked of a run at the same time: one thing after another, each to its end, and nobody is left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import RunCreated
from infrastructure.running.errors import RunIsOver, RunNotWaiting
from infrastructure.running.left import SHUT_DOWN
from infrastructure.running.live import LiveRun, StopKind
from infrastructure.running.steering import Steering
from infrastructure.storage.runs import RunState
from infrastructure.tasks import TaskSpec
from tests.engine.test_stopping import in_the_repair, long_repair
from tests.engine.world import REPAIR, World, world

LOOKS = 40


async def has_had_time(ours: World) -> None:
    """Let others go on for as long as it takes to read the table that often."""
    for _ in range(LOOKS):
        await ours.app.runs.list()


@asynccontextmanager
async def waiting(folder):
    """A run that waits for an answer to its patch."""
    async with world(folder) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        yield ours, run


def meanwhile(ours: World, monkeypatch, act: Callable[[], Awaitable[object]]) -> asyncio.Future[object]:
    """Before it is first written down how a run rests or ends, let `act` begin and have all the time it needs."""
    real = ours.app.log.append_with
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    began: list[asyncio.Task[object]] = []

    async def late(*arguments):
        if not began:
            began.append(asyncio.ensure_future(act()))
            began[0].add_done_callback(lambda done: told.set_result(done.exception()))
            await has_had_time(ours)
        return await real(*arguments)

    monkeypatch.setattr(ours.app.log, "append_with", late)
    return told


def executions(run: str) -> list[asyncio.Task[object]]:
    """Executions of a run that are under way, whoever knows of them."""
    return [task for task in asyncio.all_tasks() if task.get_name() == f"run {run}" and not task.done()]


# ------------------------------------------------------------------------------------ meeting an answer
async def test_answer_that_comes_while_its_run_is_interrupted_finds_it_interrupted(tmp_path, monkeypatch):
    async with waiting(tmp_path) as (ours, run):
        answered = meanwhile(ours, monkeypatch, lambda: ours.engine.answer(run, "patch:1", True))
        await ours.engine.interrupt(run, "lunch")
        assert isinstance(await answered, RunNotWaiting)
        assert executions(run) == []
        assert ours.engine.manage_resources().live == ()
        assert (await ours.record(run)).state is RunState.INTERRUPTED
        await ours.engine.resume(run)
        async for stored in ours.engine.follow(run):
            if stored.event.kind == "approval.asked" and stored.execution == 2:
                break
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"


async def test_answer_that_comes_while_its_run_is_cancelled_finds_it_over(tmp_path, monkeypatch):
    async with waiting(tmp_path) as (ours, run):
        answered = meanwhile(ours, monkeypatch, lambda: ours.engine.answer(run, "patch:1", True))
        await ours.engine.cancel(run)
        assert isinstance(await answered, RunNotWaiting)
        assert executions(run) == []
        result = await ours.end_of(run)
        assert (result.status, result.exit_code) == ("cancelled", 130)
        assert ours.kinds().count("run.started") == ours.kinds().count("run.finished") == 1


@pytest.mark.parametrize("first", ["answer", "interrupt", "cancel"])
@pytest.mark.parametrize("second", ["answer", "interrupt", "cancel", "resume"])
async def test_whatever_meets_a_waiting_run_leaves_table_log_and_engine_of_one_mind(tmp_path, first, second):
    async with waiting(tmp_path) as (ours, run):
        asks = {
            "answer": lambda: ours.engine.answer(run, "patch:1", True),
            "interrupt": lambda: ours.engine.interrupt(run, "lunch"),
            "cancel": lambda: ours.engine.cancel(run),
            "resume": lambda: ours.engine.resume(run),
        }
        told = await asyncio.gather(asks[first](), asks[second](), return_exceptions=True)
        assert {type(each) for each in told} <= {type(None), RunNotWaiting, RunIsOver}
        await ours.engine.drain(SHUT_DOWN)
        assert executions(run) == []
        record = await ours.record(run)
        last = (await ours.app.log.read(run))[-1].event.kind
        assert (record.state, last) in (
            (RunState.FINISHED, "run.finished"),
            (RunState.INTERRUPTED, "run.interrupted"),
        )


# ------------------------------------------------------------------------------------ coming too early, or late
async def test_run_that_is_interrupted_before_its_first_step_rests_and_nobody_waits_for_ever(tmp_path):
    async with world(tmp_path) as ours:
        starting = asyncio.ensure_future(ours.start())
        while not (live := ours.engine.manage_resources().live):  # noqa: ASYNC110 - between two steps of the loop
            await asyncio.sleep(0)
        ending = asyncio.ensure_future(ours.engine.result(live[0]))
        await ours.engine.interrupt(live[0], "at once")
        run = await starting
        assert (await ending).reason == "at once"
        assert ours.engine.manage_resources().live == ()
        assert (await ours.end_of(run)).reason == "at once"
        assert ours.kinds() == ["run.created", "run.started", "run.interrupted"]
        assert [stored.execution for stored in ours.seen] == [0, 1, 1]
        await ours.engine.resume(run)
        assert (await ours.end_of(run)).status == "done"


async def test_task_of_a_run_is_not_cancelled_before_it_can_say_what_became_of_it():
    live = LiveRun("run", TaskSpec(task="t", repo="/"), Settings(), asyncio.get_running_loop().create_future())
    live.begin(live.spec)

    async def execution() -> str:
        try:
            live.has_begun()
        except asyncio.CancelledError:
            return live.reason
        return "worked"

    live.task = asyncio.ensure_future(execution())
    live.stop_now(StopKind.INTERRUPT, "early")
    assert await live.task == "early"


async def test_whoever_waits_for_a_run_is_cancelled_when_the_loop_cancels_its_task(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",))
        live = ours.engine._live[run]
        ending = asyncio.ensure_future(ours.engine.result(run))
        await ours.until(run, "approval.asked")
        live.begin(live.spec)
        live.task = asyncio.ensure_future(asyncio.sleep(0))
        live.task.add_done_callback(lambda task: ours.engine._after(live, live.begun, task))
        live.task.cancel()  # before its first step, as the end of the loop does
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert live.begun.is_set()
        assert ours.engine.manage_resources().live == ()


async def test_resume_that_comes_during_an_interruption_goes_on_after_it(tmp_path, monkeypatch):
    async with world(tmp_path, long_repair(tmp_path)) as ours:
        run = await in_the_repair(ours)

        async def resume() -> None:
            ours.simulators[0].release(REPAIR)
            await ours.engine.resume(run)

        resumed = meanwhile(ours, monkeypatch, resume)
        await ours.engine.interrupt(run, "lunch")
        assert await resumed is None
        assert ours.engine.manage_resources().live == (run,)
        assert (await ours.engine.result(run)).status == "done"
        kinds = [stored.event.kind for stored in await ours.app.log.read(run, 0, 1000)]
        turns = [kind for kind in kinds if kind in ("run.started", "run.interrupted", "run.finished")]
        assert turns == ["run.started", "run.interrupted", "run.started", "run.finished"]


async def test_resume_that_comes_while_a_run_comes_to_its_end_finds_nothing_to_do(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:

        async def resume() -> None:
            (record,) = await ours.app.runs.list()
            await ours.engine.resume(record.run)

        resumed = meanwhile(ours, monkeypatch, resume)
        run = await ours.start()
        assert await resumed is None
        assert (await ours.end_of(run)).status == "done"
        assert ours.kinds().count("run.started") == 1


# ------------------------------------------------------------------------------------ whoever asks goes away
async def test_interruption_whose_caller_is_cancelled_is_written_down_to_its_end(tmp_path, monkeypatch):
    async with waiting(tmp_path) as (ours, run):

        async def leave() -> None:
            caller.cancel()

        left = meanwhile(ours, monkeypatch, leave)
        caller = asyncio.ensure_future(ours.engine.interrupt(run, "lunch"))
        assert await left is None
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert (await ours.end_of(run)).reason == "lunch"
        assert ours.kinds()[-1] == "run.interrupted"
        assert ours.engine.manage_resources().live == ()


async def test_task_whose_caller_is_cancelled_while_it_is_taken_is_begun_all_the_same(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:
        append = ours.app.log.append
        created = asyncio.Event()

        async def leaving(run, execution, event):
            if isinstance(event, RunCreated):
                caller.cancel()
                created.set()
                await has_had_time(ours)
            return await append(run, execution, event)

        monkeypatch.setattr(ours.app.log, "append", leaving)
        caller = asyncio.ensure_future(ours.start())
        await created.wait()
        with pytest.raises(asyncio.CancelledError):
            await caller
        (record,) = await ours.app.runs.list()
        await ours.engine._steering.settled()
        assert (await ours.end_of(record.run)).status == "done"


# ------------------------------------------------------------------------------------ bringing all to rest
async def test_run_that_breaks_while_all_are_brought_to_rest_keeps_no_other_from_it(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:
        runs = [await ours.start(approve=("plan",)) for _ in range(3)]
        for run in runs:
            await ours.until(run, "approval.asked")
        broken, *others = runs
        ending = asyncio.ensure_future(ours.engine.result(broken))
        append_with = ours.app.log.append_with

        async def breaking(run, *work):
            if run == broken:
                raise ZeroDivisionError
            await has_had_time(ours)
            return await append_with(run, *work)

        monkeypatch.setattr(ours.app.log, "append_with", breaking)
        with pytest.raises(ExceptionGroup) as told:
            await ours.engine.drain("closing")
        assert [type(error) for error in told.value.exceptions] == [ZeroDivisionError]
        assert [(await ours.record(run)).state for run in others] == [RunState.INTERRUPTED] * 2
        assert ours.engine.manage_resources().live == ()
        with pytest.raises(ZeroDivisionError):
            await ending


async def test_run_that_was_being_taken_when_all_are_brought_to_rest_is_brought_to_rest_too(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:
        append = ours.app.log.append
        draining: list[asyncio.Task[None]] = []

        async def late(run, execution, event):
            if isinstance(event, RunCreated):
                draining.append(asyncio.ensure_future(ours.engine.drain("closing")))
                await has_had_time(ours)
            return await append(run, execution, event)

        monkeypatch.setattr(ours.app.log, "append", late)
        run = await ours.start(approve=("plan",))
        await draining[0]
        assert ours.engine.manage_resources().live == ()
        assert (await ours.record(run)).reason == "closing"


# ------------------------------------------------------------------------------------ the order itself
async def test_one_hand_at_a_time_in_the_order_of_asking_and_other_runs_do_not_wait():
    steering = Steering()
    seen: list[str] = []
    begun, open_ = asyncio.Event(), asyncio.Event()

    async def work(name: str) -> str:
        seen.append(f"{name} begins")
        if name == "first":
            begun.set()
            await open_.wait()
        seen.append(f"{name} ends")
        return name

    asked = [asyncio.ensure_future(steering.alone("run", lambda name=name: work(name))) for name in ("first", "second")]
    await begun.wait()
    assert await steering.alone("another", lambda: work("another")) == "another"
    open_.set()
    assert await asyncio.gather(*asked) == ["first", "second"]
    assert seen == ["first begins", "another begins", "another ends", "first ends", "second begins", "second ends"]


async def test_work_goes_on_without_its_caller_and_is_waited_for_in_the_end():
    steering = Steering()
    begun, open_, done = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await open_.wait()
        done.append(True)
        raise ZeroDivisionError

    caller = asyncio.ensure_future(steering.alone("run", work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    open_.set()
    await steering.settled()
    assert done == [True]


async def test_nothing_is_kept_of_runs_that_nobody_steers():
    steering = Steering()

    async def nothing() -> None:
        return

    for number in range(20):
        await steering.alone(f"run {number}", nothing)
    await steering.settled()
    await asyncio.sleep(0)
    assert len(steering._locks) == len(steering._tasks) == 0
