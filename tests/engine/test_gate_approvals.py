"""Gates of runs among the approvals: listed with the others, answered by id or by run, each answer for one question."""

from __future__ import annotations

import asyncio

import pytest

from backend.bootstrap import open_application
from infrastructure.events.catalogue import ApprovalDecided, ApprovalGiven
from infrastructure.running.errors import RunNotWaiting
from infrastructure.running.left import PROCESS_ENDED
from infrastructure.sessions.approvals import (
    AlreadyDecided,
    ApprovalState,
    Approve,
    DecisionRefused,
    Edit,
    Reject,
    Respond,
    StaleApproval,
)
from infrastructure.storage.runs import RunState
from tests.engine.world import world


@pytest.mark.parametrize(("decision", "status"), [(Approve("fine"), "done"), (Reject("no"), "cancelled")])
async def test_gate_is_answered_by_its_id(tmp_path, decision, status):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        question = await ours.until(run, "approval.asked")
        (waiting,) = await ours.app.approvals.pending()
        assert (waiting.owner, waiting.key, waiting.gate, waiting.id) == (run, "patch:1", "patch", question.id)
        assert "+    return a + b" in waiting.action.description
        told = await ours.app.approvals.decide(waiting.id, decision, by="page", nonce=waiting.nonce)
        assert (told.state, told.decision, told.by) == (ApprovalState.USED, decision, "page")
        assert (await ours.end_of(run)).status == status
        assert [event.decision for event in ours.events(ApprovalDecided)] == [told.decision.__class__.__name__.lower()]
        assert await ours.app.approvals.pending() == ()


async def test_answering_the_run_uses_its_approval(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",))
        await ours.until(run, "approval.asked")
        (waiting,) = await ours.app.approvals.pending(run)
        await ours.engine.answer(run, "plan:1", True, "go")
        told = await ours.app.approvals.get(waiting.id)
        assert (told.state, told.decision) == (ApprovalState.USED, Approve("go"))
        again = await ours.app.approvals.decide(waiting.id, Approve("go"), by="page", nonce=waiting.nonce)
        assert again == told, "the same answer once more changes nothing"
        with pytest.raises(AlreadyDecided):
            await ours.app.approvals.decide(waiting.id, Reject(), by="page", nonce=waiting.nonce)
        assert (await ours.end_of(run)).status == "done"


async def test_of_two_answers_at_once_one_counts(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        (waiting,) = await ours.app.approvals.pending()
        by_id = ours.app.approvals.decide(waiting.id, Reject(), by="page", nonce=waiting.nonce)
        outcomes = await asyncio.gather(by_id, ours.engine.answer(run, "patch:1", True), return_exceptions=True)
        assert sum(isinstance(each, (RunNotWaiting, AlreadyDecided)) for each in outcomes) == 1
        result = await ours.end_of(run)
        assert len(ours.events(ApprovalDecided)) == 1
        assert result.status == ("done" if ours.events(ApprovalDecided)[0].decision == "approve" else "cancelled")


async def test_answer_to_what_was_asked_before_is_refused(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        (old,) = await ours.app.approvals.pending()
        await ours.engine.interrupt(run, "lunch")
        assert (await ours.app.approvals.get(old.id)).state is ApprovalState.WITHDRAWN
        with pytest.raises(StaleApproval):
            await ours.app.approvals.decide(old.id, Approve(), by="page", nonce=old.nonce)
        await ours.engine.resume(run)
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and stored.event.kind == "approval.asked":
                break
        (new,) = await ours.app.approvals.pending()
        assert (new.id, new.sha) == (old.id, old.sha)
        with pytest.raises(StaleApproval):
            await ours.app.approvals.decide(old.id, Approve(), by="page", nonce=old.nonce)
        await ours.app.approvals.decide(new.id, Approve(), by="page", nonce=new.nonce)
        assert (await ours.end_of(run)).status == "done"


@pytest.mark.parametrize("decision", [Edit({}), Respond("x")])
async def test_patch_can_only_be_approved_or_rejected(tmp_path, decision):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        (waiting,) = await ours.app.approvals.pending()
        with pytest.raises(DecisionRefused):
            await ours.app.approvals.decide(waiting.id, decision, by="page", nonce=waiting.nonce)
        assert await ours.app.approvals.pending() == (waiting,)


async def test_cancelled_run_asks_nothing(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        await ours.until(run, "approval.asked")
        await ours.engine.cancel(run)
        assert await ours.app.approvals.pending() == ()


async def test_gate_that_waits_without_a_process_is_answered_by_id_after_a_restart(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        assert (await ours.end_of(run)).status == "needs_input"
        await ours.leave()
        async with open_application(ours.settings) as app:
            (waiting,) = await app.approvals.pending()
            await app.approvals.decide(waiting.id, Approve(), by="page", nonce=waiting.nonce)
            assert (await app.engine.result(run)).status == "done"


async def test_run_whose_answer_was_lost_with_its_process_can_be_answered_again(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        assert (await ours.end_of(run)).status == "needs_input"
        (waiting,) = await ours.app.approvals.pending()
        # What a process leaves that is killed between the use of the answer and the step that goes on with it.
        await ours.app.approvals.settle(waiting, Approve(), by="page", sha=waiting.sha)
        await ours.engine.answer(run, "patch:1", True)
        assert (await ours.end_of(run)).status == "done"


async def answered_and_stopped(ours, run, monkeypatch, *, approved: bool) -> None:
    """Answer a run, and close the engine in order before the graph has come to the answer."""
    question = await ours.until(run, "approval.asked")

    async def never(live, given):
        await asyncio.Event().wait()

    monkeypatch.setattr(ours.engine._executor, "_drive", never)
    await ours.engine.answer(run, question.approval, approved, "because")
    await ours.leave()


@pytest.mark.parametrize(("approved", "status"), [(True, "done"), (False, "cancelled")])
@pytest.mark.parametrize("gate", ["plan", "patch"])
async def test_answer_that_was_taken_holds_when_the_engine_stops_before_the_run_goes_on(
    tmp_path, monkeypatch, gate, approved, status
):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=(gate,))
        await answered_and_stopped(ours, run, monkeypatch, approved=approved)
        async with open_application(ours.settings) as app:
            assert (await app.runs.get(run)).state is RunState.INTERRUPTED
            await app.engine.resume(run, no_input=True)
            assert (await app.engine.result(run)).status == status
            events = [stored.event for stored in await app.log.read(run)]
            assert [event.kind for event in events].count("approval.asked") == 1
            assert [(event.approved, event.reason) for event in events if isinstance(event, ApprovalGiven)] == [
                (approved, "because")
            ]


async def test_guests_run_goes_on_by_itself_with_the_answer_that_was_taken(tmp_path, monkeypatch):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",), guest=True)
        await answered_and_stopped(ours, run, monkeypatch, approved=True)
        async with open_application(ours.settings) as app:
            assert (await app.engine.result(run)).status == "done"


async def test_run_that_was_killed_between_its_answer_and_its_beginning_goes_on_with_it(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        assert (await ours.end_of(run)).status == "needs_input"
        (waiting,) = await ours.app.approvals.pending()
        await ours.app.approvals.settle(waiting, Reject("no"), by="page", sha=waiting.sha)
        await ours.leave()
        async with open_application(ours.settings) as app:
            assert (await app.runs.get(run)).reason == PROCESS_ENDED
            await app.engine.resume(run)
            result = await app.engine.result(run)
            assert (result.status, result.reason) == ("cancelled", "the patch was turned down")


async def test_answer_to_another_question_than_the_run_waits_with_is_asked_for_again(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        question = await ours.until(run, "approval.asked")
        await ours.engine.interrupt(run, "lunch")
        other = question.model_copy(update={"question": "another patch"})
        asked = await ours.app.approvals.ask_gate(
            run, "patch:1", other, sha="0" * 64, execution=1, allowed=("approve",)
        )
        await ours.app.approvals.settle(asked, Approve(), by="page", sha="0" * 64)
        await ours.engine.resume(run, no_input=True)
        assert (await ours.engine.result(run)).status == "needs_input"


async def test_question_that_changed_is_not_answered_by_an_old_yes(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",))
        question = await ours.until(run, "approval.asked")
        (waiting,) = await ours.app.approvals.pending()
        other = question.model_copy(update={"question": "another patch"})
        await ours.app.approvals.ask_gate(run, "patch:1", other, sha="0" * 64, execution=1, allowed=("approve",))
        with pytest.raises(RunNotWaiting):
            await ours.engine.answer(run, "patch:1", True)
        with pytest.raises(StaleApproval):
            await ours.app.approvals.decide(waiting.id, Approve(), by="page", nonce=waiting.nonce)
        await ours.engine.cancel(run)
