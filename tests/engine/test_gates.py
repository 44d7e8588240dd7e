"""Gates: a run waits for a person, in this process or another, and goes on from where it was."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.events.catalogue import ApprovalAsked, ApprovalGiven
from infrastructure.ids import ApprovalId
from infrastructure.running.errors import RunNotWaiting
from infrastructure.storage.runs import RunState
from tests.engine.world import asked, world


@pytest.mark.parametrize("gate", ["plan", "patch"])
@pytest.mark.parametrize(("approved", "status", "code"), [(True, "done", 0), (False, "cancelled", 130)])
async def test_run_waits_and_goes_on_with_the_answer(tmp_path, gate, approved, status, code):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=(gate,))
        question = await ours.until(run, "approval.asked")
        assert (await ours.record(run)).state is RunState.WAITING, "who sees the question can answer it at once"
        before = asked(*ours.simulators)
        await ours.engine.answer(run, question.approval, approved, "because")
        result = await ours.end_of(run)
        assert (result.status, result.exit_code) == (status, code)
        assert bool(result.patch) is (approved or gate == "patch")
        given = ours.events(ApprovalGiven)
        assert [(event.approved, event.reason) for event in given] == [(approved, "because")]
        assert len(ours.events(ApprovalAsked)) == 1, "a question is told once"
        if gate == "patch":
            assert asked(*ours.simulators) == before, "nothing is asked again"
        if not approved:
            assert result.reason == f"the {gate} was turned down"


async def test_both_gates_one_after_the_other(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan", "patch"))
        await ours.until(run, "approval.asked")
        await ours.engine.answer(run, "plan:1", True)
        await ours.until(run, "approval.asked", "approve_patch")
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"


async def test_answer_to_something_else_or_given_twice_is_refused(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        with pytest.raises(RunNotWaiting):
            await ours.engine.answer(run, "plan:1", True)
        outcomes = await asyncio.gather(
            *(ours.engine.answer(run, "patch:1", True) for _ in range(3)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "RunNotWaiting", "RunNotWaiting"]
        assert (await ours.end_of(run)).status == "done"
        assert len(ours.events(ApprovalGiven)) == 1


async def test_without_input_a_gate_ends_the_run_and_resume_asks(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code) == ("needs_input", 5)
        assert "+    return a + b" in result.patch
        assert ours.kinds()[-2:] == ["approval.asked", "run.interrupted"]
        record = await ours.record(run)
        assert (record.state, record.status) == (RunState.WAITING, "needs_input")
        assert await ours.engine.result(run) == result
        before = asked(*ours.simulators)
        await ours.engine.resume(run)
        await ours.until(run, "approval.asked")
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and isinstance(stored.event, ApprovalAsked):
                break
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"
        assert asked(*ours.simulators) == before


async def test_answer_goes_on_with_a_run_that_ended_for_want_of_one(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        assert (await ours.end_of(run)).status == "needs_input"
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"


async def test_answer_from_another_process_is_found(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        await ours.app.control.ask_answer(run, ApprovalId("patch:1"), False, "not today")
        result = await ours.end_of(run)
        assert (result.status, ours.events(ApprovalGiven)[0].reason) == ("cancelled", "not today")


async def test_waiting_run_that_is_interrupted_asks_again_when_it_goes_on(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        await ours.engine.interrupt(run, "lunch")
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, result.reason) == ("cancelled", 130, "lunch")
        with pytest.raises(RunNotWaiting):
            await ours.engine.answer(run, "patch:1", True)
        await ours.engine.resume(run)
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and isinstance(stored.event, ApprovalAsked):
                break
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"


async def test_waiting_run_can_be_cancelled_and_keeps_its_patch(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        await ours.engine.cancel(run)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, bool(result.patch)) == ("cancelled", 130, True)
        assert ours.kinds()[-1] == "run.finished"
