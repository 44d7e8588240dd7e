"""What a full disk or a killed engine left half done: a retry, or the next engine, puts it right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backend.bootstrap import open_application
from infrastructure.events.catalogue import RunCreated
from infrastructure.ids import RunId, new_run_id
from infrastructure.running.errors import RunIsOver, TaskRefused
from infrastructure.running.left import PROCESS_ENDED, SHUT_DOWN, as_left, goes_on, passes_on, rests_unasked
from infrastructure.running.recovery import task_of
from infrastructure.sessions.approvals import Approve
from infrastructure.storage.database import Database
from infrastructure.storage.errors import DiskFull
from infrastructure.storage.runs import RequestKey, RunRecord, RunState, RunStore
from infrastructure.storage.times import utc_now
from infrastructure.tasks import RunResult, TaskSpec, request_of
from tests.engine.world import QUESTION, TASK, World, asked, world
from tests.storage.moves import moved


def fail_once(ours: World, monkeypatch, kind: type[object]) -> None:
    """Let the disk have no room for the first event of a kind."""
    append = ours.app.log.append
    failed = []

    async def full(run, execution, event):
        if isinstance(event, kind) and not failed:
            failed.append(True)
            raise DiskFull(Path("corral.db"))
        return await append(run, execution, event)

    monkeypatch.setattr(ours.app.log, "append", full)


def spec_of(ours: World, **more: object) -> TaskSpec:
    return TaskSpec.model_validate({"task": TASK, "repo": ours.repo, **more})


async def left_behind(ours: World, *specs: str, state: RunState = RunState.RUNNING) -> list[RunId]:
    """Runs asked for so, as a killed engine leaves them in the table; nobody has told of them. Closes the engine."""
    await ours.leave()
    runs = [new_run_id() for _ in specs]
    async with Database(ours.app.directory.database) as database:
        store = RunStore(database)
        for run, spec in zip(runs, specs, strict=True):
            await store.create(run=run, thread=run, task=TASK, repo=str(ours.repo), request_json=spec)
            if state is not RunState.QUEUED:
                await store.begin(run, "killed")
                await moved(store, run, state)
    return runs


# ------------------------------------------------------------------------------------ asked again by its key
async def test_retry_begins_the_run_whose_creation_the_disk_had_no_room_for(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:
        spec = spec_of(ours)
        fail_once(ours, monkeypatch, RunCreated)
        with pytest.raises(DiskFull):
            await ours.engine.start(spec, request_of("k", spec))
        (record,) = await ours.app.runs.list()
        assert record.state is RunState.QUEUED
        run = await ours.engine.start(spec, request_of("k", spec))
        assert run == record.run
        result = await ours.end_of(run)
        assert (result.status, result.simulated) == ("done", True)
        assert ours.kinds()[:2] == ["run.created", "run.started"]
        assert ours.kinds().count("run.created") == 1


async def test_the_same_request_many_times_at_once_is_begun_once(tmp_path):
    async with world(tmp_path) as ours:
        spec = spec_of(ours)
        runs = await asyncio.gather(*(ours.engine.start(spec, request_of("k", spec)) for _ in range(8)))
        assert len(set(runs)) == 1
        assert (await ours.end_of(runs[0])).status == "done"
        assert ours.kinds().count("run.created") == ours.kinds().count("run.started") == 1
        before = asked(*ours.simulators)
        assert await ours.engine.start(spec, request_of("k", spec)) == runs[0], "and not again when it is over"
        assert asked(*ours.simulators) == before
        assert (await ours.record(runs[0])).execution == 1


async def test_retry_leaves_a_run_alone_that_its_user_stopped(tmp_path):
    async with world(tmp_path) as ours:
        spec = spec_of(ours, approve=("plan",))
        run = await ours.engine.start(spec, RequestKey("k", "sha"))
        await ours.until(run, "approval.asked")
        assert await ours.engine.start(spec, RequestKey("k", "sha")) == run
        assert (await ours.record(run)).state is RunState.WAITING
        await ours.engine.interrupt(run, "lunch")
        assert await ours.engine.start(spec, RequestKey("k", "sha")) == run
        assert (await ours.record(run)).reason == "lunch"


# ------------------------------------------------------------------------------------ left by a killed engine
@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
async def test_guests_run_that_nobody_has_told_of_goes_on_and_is_told_of(tmp_path, state):
    async with world(tmp_path) as ours:
        (run,) = await left_behind(ours, spec_of(ours, guest=True).model_dump_json(), state=state)
        async with open_application(ours.settings) as app:
            assert (await app.engine.result(run)).status == "done"
            kinds = [stored.event.kind for stored in await app.log.read(run)]
            assert kinds[0] == "run.interrupted"
            assert kinds[-1] == "run.finished"
            if state is RunState.QUEUED:
                assert kinds[1:3] == ["run.created", "run.started"]
                assert (await app.engine.result(run)).simulated


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.FINISHED])
async def test_run_whose_task_cannot_be_read_ends_as_an_error_and_the_others_go_on(tmp_path, state):
    async with world(tmp_path) as ours:
        good = spec_of(ours, guest=True).model_dump_json()
        newer = good.replace('"guest":true', '"guest":true,"wish":"of a newer Corral"')
        runs = await left_behind(ours, newer, good, "{", state=state)
        async with open_application(ours.settings) as app:
            for run in (runs[0], runs[2]):
                record = await app.runs.get(run)
                assert (record.state, record.status) == (RunState.FINISHED, "error")
                error = RunResult.model_validate_json(record.result_json).error
                assert error is not None
                assert (error.error_class, bool(error.hint)) == ("TaskRefused", True)
                assert "cannot be read" in error.message
                assert (await app.log.read(run))[-1].event.kind == "run.finished"
                with pytest.raises(RunIsOver):
                    await app.engine.resume(run)
            if state is RunState.INTERRUPTED:
                await app.engine.resume(runs[1])  # it rests without a reason, so it waits for its user
            assert (await app.engine.result(runs[1])).status == "done"


# ------------------------------------------------------------------------------------ half written by an older Corral
@pytest.mark.parametrize("result", ["as it was", "of a newer Corral"])
async def test_finished_run_without_its_last_event_is_told_of(tmp_path, result):
    async with world(tmp_path) as ours:
        run = await ours.start(text=QUESTION)
        ended = await ours.end_of(run)
        last = ours.seen[-1].event
        text = ended.model_dump_json(by_alias=True) if result == "as it was" else '{"wish": 1}'
        await ours.leave()
        await changed(ours, "DELETE FROM events WHERE kind = 'run.finished'")
        await changed(ours, "UPDATE runs SET result_json = ?", text)
        async with open_application(ours.settings) as app:
            told = [stored.event async for stored in app.engine.follow(run)][-1]
            assert (told.kind, told.status, told.judge, told.exit_code) == (
                "run.finished", last.status, last.judge, last.exit_code,
            )  # fmt: skip
        async with open_application(ours.settings) as app:
            kinds = [stored.event.kind for stored in await app.log.read(run)]
            assert kinds.count("run.finished") == 1, "and once"


async def test_run_that_rests_without_saying_so_is_told_of(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",))
        await ours.until(run, "approval.asked")
        await ours.engine.interrupt(run, "lunch")
        await ours.leave()
        await changed(ours, "DELETE FROM events WHERE kind = 'run.interrupted'")
        async with open_application(ours.settings) as app:
            told = [stored.event async for stored in app.engine.follow(run)][-1]
            assert (told.kind, told.reason) == ("run.interrupted", "lunch")


@pytest.mark.parametrize("no_input", [False, True])
async def test_run_that_waits_for_a_question_that_was_never_put_is_asked_about(tmp_path, no_input):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",), no_input=no_input)
        await ours.until(run, "approval.asked")
        await ours.leave()
        await changed(ours, "DELETE FROM approvals")
        await changed(ours, "DELETE FROM events WHERE kind IN ('approval.asked', 'run.interrupted')")
        result = "x" if no_input else ""
        await changed(ours, "UPDATE runs SET state = 'waiting', result_json = ?", result)
        async with open_application(ours.settings) as app:
            kinds = [stored.event.kind for stored in await app.log.read(run)]
            assert kinds.count("run.interrupted") == no_input
            (asking,) = await app.approvals.pending(run)
            assert kinds.count("approval.asked") == 1
            await app.approvals.decide(asking.id, Approve(), by="page", nonce=asking.nonce)
            assert (await app.engine.result(run)).status == "done"


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.INTERRUPTED])
async def test_replay_whose_keeping_was_broken_off_is_finished_and_never_gone_on_with(tmp_path, state):
    async with world(tmp_path) as ours:
        (run,) = await left_behind(ours, spec_of(ours, guest=True).model_dump_json(), state=state)
        await changed(ours, "UPDATE runs SET owner = 'replay' WHERE state <> 'queued'")
        await changed(ours, "INSERT INTO recordings (run, replay_of) VALUES (?, 'another')", run)
        async with open_application(ours.settings) as app:
            record = await app.runs.get(run)
            assert (record.state, record.status) == (RunState.FINISHED, "cancelled")
            assert (await app.log.read(run))[-1].event.kind == "run.finished"
            with pytest.raises(RunIsOver):
                await app.engine.resume(run)


async def changed(ours: World, sql: str, *values: str) -> None:
    async with Database(ours.app.directory.database) as database:
        await database.write(lambda connection: connection.execute(sql, values).rowcount)


async def test_question_of_a_run_that_was_killed_while_it_went_on_is_no_longer_asked(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",), no_input=True)
        assert (await ours.end_of(run)).status == "needs_input"
        await ours.leave()
        async with Database(ours.app.directory.database) as database:
            await RunStore(database).begin(run, "killed")
        async with open_application(ours.settings) as app:
            assert (await app.runs.get(run)).state is RunState.INTERRUPTED
            assert await app.approvals.pending() == ()
            result = await app.engine.result(run)
            assert (result.status, result.exit_code, result.reason) == ("cancelled", 130, PROCESS_ENDED)


# ------------------------------------------------------------------------------------ decisions
def record(state: RunState, *, reason: str = "", request: str = '{"task":"t","repo":"/r","guest":true}') -> RunRecord:
    run = new_run_id()
    return RunRecord(
        run=run, thread=run, task="t", repo="/r", request_json=request, state=state, created=utc_now(), reason=reason
    )


@pytest.mark.parametrize("state", RunState)
def test_run_in_hand_is_left_at_rest_and_any_other_as_it_is(state):
    before = record(state, reason="why")
    left = as_left(before)
    if state in (RunState.QUEUED, RunState.RUNNING):
        assert (left.state, left.reason) == (RunState.INTERRUPTED, PROCESS_ENDED)
        assert rests_unasked(left)
        assert passes_on(left) == passes_on(before) is True
    else:
        assert left == before


@pytest.mark.parametrize(
    ("state", "reason", "guests", "others"),
    [
        (RunState.QUEUED, "", True, True),
        (RunState.RUNNING, "", True, True),
        (RunState.WAITING, "waits for an answer to plan:1", True, True),
        (RunState.INTERRUPTED, SHUT_DOWN, True, False),
        (RunState.INTERRUPTED, PROCESS_ENDED, True, False),
        (RunState.INTERRUPTED, "by a person", False, False),
        (RunState.FINISHED, "", False, False),
    ],
)
def test_more_is_to_come_of_a_run_that_is_not_at_rest_and_of_a_guests_that_nobody_stopped(
    state, reason, guests, others
):
    assert goes_on(record(state, reason=reason)) is guests
    assert goes_on(record(state, reason=reason, request='{"task":"t","repo":"/r"}')) is others


def test_task_that_cannot_be_read_is_refused_with_the_place_of_its_problem():
    with pytest.raises(TaskRefused, match="cannot be read: wish: Extra inputs"):
        task_of(record(RunState.QUEUED, request='{"task":"t","repo":"/r","wish":1}'))
