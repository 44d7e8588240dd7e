"""Recorded answers: a step that runs again asks no model for what it was told before."""

from __future__ import annotations

import pytest

from infrastructure.events.catalogue import CallCompleted, CallReplayed
from infrastructure.simulator import Break
from infrastructure.storage.runs import RunState
from tests.engine.world import DEBUGGER, asked, paced, simulator, task, world


async def replay(ours, run) -> None:
    """Let a run begin once more from its very first step, with what was recorded."""
    await ours.app.checkpoints.adelete_thread(run)
    await ours.engine.resume(run)


@pytest.mark.parametrize("way", [Break.WRONG, Break.GARBAGE, Break.SYNTAX])
async def test_run_that_begins_again_asks_nobody_and_ends_the_same(tmp_path, way):
    """With useless answers too: the second question of a step is recorded as well as the first."""
    server = simulator(tmp_path, task(**{"break": way}), first_time_right=0.0)
    async with world(tmp_path, server, repairs=1, rounds=1) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        first = await ours.end_of(run)
        before = asked(server)
        completed = [event.call for event in ours.events(CallCompleted)]
        assert before == len(completed)
        if (await ours.record(run)).state is RunState.FINISHED:
            pytest.skip("this way ends before the gate")
        await replay(ours, run)
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and stored.event.kind == "approval.asked":
                break
        assert asked(server) == before
        await ours.engine.answer(run, "patch:1", True)
        last = await ours.end_of(run)
        replayed = [event.call for event in ours.events(CallReplayed)]
        assert replayed == completed[: len(replayed)]
        assert len(replayed) == len(completed)
        assert (last.patch, last.attempts, last.model_calls) == (first.patch, first.attempts, first.model_calls)


async def test_question_asked_twice_in_a_step_is_recorded_twice(tmp_path):
    """The coder says nothing usable, is asked again, and the run stops in the next step."""
    server = paced(tmp_path, task(always_broken=True, **{"break": Break.GARBAGE}))
    async with world(tmp_path, server, repairs=1, rounds=1) as ours:
        server.hold(DEBUGGER)
        run = await ours.start()
        await ours.until(run, "work.edits_rejected", "write")
        await ours.engine.interrupt(run, "enough")
        assert (await ours.end_of(run)).exit_code == 130
        calls = [call.step + f"#{call.ordinal}" for call in await ours.app.calls.of_run(run)]
        assert calls.count("write:1:1#0") == calls.count("write:1:1#1") == 1
        server.release(DEBUGGER)
        await replay(ours, run)
        result = await ours.end_of(run)
        assert result.status == "failed"
        again = [event.call for event in ours.events(CallReplayed)]
        assert {"intent#0", "planner:1#0", "write:1:1#0", "write:1:1#1"} <= set(again)
        completed = [event.call for event in ours.events(CallCompleted)]
        assert len(completed) == len(set(completed)), "no question was answered twice"


async def test_budget_counts_recorded_answers_of_earlier_executions_once(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        first = await ours.end_of(run)
        await replay(ours, run)
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and stored.event.kind == "approval.asked":
                break
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).model_calls == first.model_calls
