"""Approvals: asked once, answered once, used once, and there again after a restart."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from infrastructure.danger.levels import Danger
from infrastructure.events.catalogue import ApprovalAsked, ApprovalDecided
from infrastructure.sessions.approvals import (
    AlreadyDecided,
    AlreadyUsed,
    ApprovalExpired,
    ApprovalMismatch,
    ApprovalState,
    Approve,
    DecisionRefused,
    Edit,
    NotApproved,
    Reject,
    Respond,
    StaleApproval,
    UnknownApproval,
    call_sha,
)
from infrastructure.sessions.rulebook import UnknownRule
from infrastructure.sessions.waiting import ApprovalsClosed
from tests.approvals.conftest import SESSION, Clock, command, opened

MAKE = call_sha("run_command", {"command": "make"})


async def asked(desk, text="make", key="call-1", **more):
    return await desk.manager.request(SESSION, key, command(text), **more)


async def say(desk, approval, decision=None, **more):
    given = {"by": "page", "nonce": approval.nonce, **more}
    return await desk.manager.decide(approval.id, decision or Approve(), **given)


async def test_same_key_asks_once(desk):
    first = await asked(desk)
    assert await asked(desk) == first
    assert await desk.manager.pending() == (first,)
    assert [event.approval for event in await desk.events()] == [first.id]
    with pytest.raises(ApprovalMismatch):
        await asked(desk, "make all")


async def test_danger_is_judged_here_and_the_asker_can_only_raise_it(desk, workspace):
    pushed = await asked(desk, "git push", workspace=str(workspace))
    assert (pushed.action.danger, bool(pushed.action.why)) == (Danger.DANGEROUS, True)


async def test_approved_is_used_once_and_for_what_was_shown(desk):
    approval = await asked(desk)
    with pytest.raises(NotApproved):
        await desk.manager.use(approval.id, MAKE)
    await say(desk, approval)
    with pytest.raises(StaleApproval):
        await desk.manager.use(approval.id, call_sha("run_command", {"command": "make all"}))
    used = await desk.manager.use(approval.id, MAKE)
    assert (used.state, used.arguments) == (ApprovalState.USED, {"command": "make"})
    with pytest.raises(AlreadyUsed):
        await desk.manager.use(approval.id, MAKE)


async def test_of_many_who_use_it_at_once_one_may(desk):
    approval = await asked(desk)
    await say(desk, approval)
    outcomes = await asyncio.gather(*(desk.manager.use(approval.id, MAKE) for _ in range(8)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == [*["AlreadyUsed"] * 7, "Approval"]


async def test_edit_is_bound_to_the_edited_arguments(desk):
    approval = await asked(desk)
    edited = await say(desk, approval, Edit({"command": "make lint"}))
    with pytest.raises(StaleApproval):
        await desk.manager.use(approval.id, MAKE)
    used = await desk.manager.use(approval.id, edited.sha)
    assert used.arguments == {"command": "make lint"}
    assert edited.sha == call_sha("run_command", {"command": "make lint"})


@pytest.mark.parametrize("decision", [Reject("not now"), Respond("it was made already")])
async def test_what_was_not_approved_cannot_be_used(desk, decision):
    approval = await asked(desk)
    assert (await say(desk, approval, decision)).decision == decision
    with pytest.raises(NotApproved):
        await desk.manager.use(approval.id, MAKE)


async def test_same_answer_again_changes_nothing_and_another_is_refused(desk):
    approval = await asked(desk)
    first = await say(desk, approval)
    assert await say(desk, approval) == first
    with pytest.raises(AlreadyDecided):
        await say(desk, approval, Reject())
    await desk.manager.use(approval.id, MAKE)
    assert (await say(desk, approval)).state is ApprovalState.USED
    assert len([event for event in await desk.events() if isinstance(event, ApprovalDecided)]) == 1


async def test_answer_needs_the_nonce_of_the_question(desk):
    approval = await asked(desk)
    with pytest.raises(StaleApproval):
        await say(desk, approval, nonce="another")
    with pytest.raises(UnknownApproval):
        await desk.manager.decide("nothing", Approve(), by="page", nonce="")


async def test_only_what_is_allowed_can_be_answered(desk):
    approval = await asked(desk, allowed=("approve", "reject"))
    with pytest.raises(DecisionRefused, match="edit is not allowed"):
        await say(desk, approval, Edit({}))


async def test_waiter_gets_the_answer_and_none_is_left(desk):
    approval = await asked(desk)
    waiting = [asyncio.create_task(desk.manager.wait(approval.id)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    told = await say(desk, approval)
    assert [await each for each in waiting[1:]] == [told, told]
    assert await desk.manager.wait(approval.id) == told, "one who comes later need not wait"
    with pytest.raises(UnknownApproval):
        await desk.manager.wait("nothing")
    assert desk.manager.waiting == 0


async def test_waiters_are_let_go_when_it_closes(tmp_path):
    async with opened(tmp_path, watched=True) as desk:
        approval = await asked(desk)
        waiting = asyncio.create_task(desk.manager.wait(approval.id))
        await desk.manager.get(approval.id)
        await desk.manager.aclose()
        with pytest.raises(ApprovalsClosed):
            await waiting
        assert desk.manager.waiting == 0


async def test_nobody_in_time_is_a_no_and_is_told(desk):
    approval = await asked(desk, expires=desk.clock() + timedelta(seconds=60))
    waiting = asyncio.create_task(desk.manager.wait(approval.id))
    await desk.manager.get(approval.id)
    assert await desk.manager.expire_due() == ()
    desk.clock.move(60)
    assert await desk.manager.pending() == ()
    with pytest.raises(ApprovalExpired):
        await say(desk, approval)
    assert (await waiting).state is ApprovalState.EXPIRED
    told = [event for event in await desk.events() if isinstance(event, ApprovalDecided)]
    assert [(event.decision, event.by) for event in told] == [("expired", "time")]
    with pytest.raises(NotApproved):
        await desk.manager.use(approval.id, MAKE)
    assert await desk.manager.expire_due() == (), "it expires once"


async def test_watch_looks_at_the_wall_clock_again_after_a_minute_at_most(tmp_path):
    """A machine that sleeps stops the clock of the loop, and not that on the wall."""
    clock, suspended = Clock(), asyncio.Event()

    async def pause(seconds: float) -> None:
        clock.slept.append(seconds)
        await suspended.wait()

    clock.pause = pause
    async with opened(tmp_path, clock, watched=True) as desk:
        approval = await asked(desk, expires=clock() + timedelta(hours=72))
        waiter = asyncio.ensure_future(desk.manager.wait(approval.id))
        while not clock.slept:  # noqa: ASYNC110 - until the watch rests
            await asyncio.sleep(0)
        assert max(clock.slept) <= 60
        clock.move(100 * 3600)
        suspended.set()
        assert (await waiter).state is ApprovalState.EXPIRED


async def test_watch_expires_by_itself_when_the_time_has_come(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock, watched=True) as desk:
        approval = await asked(desk, expires=clock() + timedelta(hours=1))
        assert (await desk.manager.wait(approval.id)).state is ApprovalState.EXPIRED
        assert sum(clock.slept[:60]) == 3600


async def test_pending_decided_and_used_are_there_after_a_restart(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock) as desk:
        first, second, third = [await asked(desk, key=f"call-{number}") for number in range(3)]
        late = await asked(desk, key="late", expires=clock() + timedelta(seconds=1))
        await say(desk, second)
        await say(desk, third)
        await desk.manager.use(third.id, MAKE)
    clock.move(10)
    async with opened(tmp_path, clock, watched=True) as desk:
        assert await desk.manager.pending(SESSION) == (first,)
        assert (await desk.manager.use(second.id, MAKE)).state is ApprovalState.USED
        with pytest.raises(AlreadyUsed):
            await desk.manager.use(third.id, MAKE)
        assert (await desk.manager.get(late.id)).state is ApprovalState.EXPIRED
        assert await desk.manager.find(SESSION, "call-0") == first


async def test_withdrawn_is_no_longer_asked(desk):
    approval = await asked(desk)
    waiting = asyncio.create_task(desk.manager.wait(approval.id))
    await desk.manager.get(approval.id)
    await desk.manager.withdraw(SESSION)
    assert (await waiting).state is ApprovalState.WITHDRAWN
    assert await desk.manager.pending() == ()
    with pytest.raises(StaleApproval):
        await say(desk, approval)


async def test_question_and_answer_are_told_as_events(desk):
    approval = await asked(desk)
    await say(desk, approval, Reject("no"))
    question, answer = await desk.events()
    assert isinstance(question, ApprovalAsked)
    assert (question.id, question.gate, question.question) == (approval.id, "tool", "make")
    assert isinstance(answer, ApprovalDecided)
    assert (answer.id, answer.decision, answer.by, answer.reason) == (approval.id, "reject", "page", "no")


# ------------------------------------------------------------------------------------------------------ rules
async def test_yes_for_the_project_covers_its_like_there_and_nowhere_else(desk, workspace):
    approval = await asked(desk, "pytest -q tests", workspace=str(workspace))
    told = await say(desk, approval, scope="project")
    assert told.patterns == ("run_command: pytest *",)
    like = await asked(desk, "pytest -x | tail -5", "call-2", workspace=str(workspace))
    assert (like.state, like.by, like.rule) == (ApprovalState.DECIDED, "rule", told.rule)
    assert (await desk.manager.use(like.id, like.sha)).state is ApprovalState.USED
    elsewhere = await asked(desk, "pytest -x", "call-3", workspace=str(workspace.parent))
    assert elsewhere.state is ApprovalState.PENDING
    kinds = [type(event).__name__ for event in await desk.events()]
    assert kinds == ["ApprovalAsked", "ApprovalDecided", "ApprovalDecided", "ApprovalAsked"]


async def test_yes_for_this_run_ends_with_it_and_always_does_not(desk, workspace):
    run = await asked(desk, "make lint", workspace=str(workspace))
    await say(desk, run, scope="run")
    other = await desk.manager.request("another", "call-1", command("make lint"), workspace=str(workspace))
    assert other.state is ApprovalState.PENDING
    await say(desk, other, scope="always", patterns=("run_command: make *",))
    third = await desk.manager.request("a third", "call-1", command("make all"), workspace="")
    assert third.state is ApprovalState.PENDING, "without a workspace nothing is known of a command"
    fourth = await desk.manager.request("a third", "call-2", command("make all"), workspace=str(workspace))
    assert fourth.by == "rule"


async def test_rule_covers_no_dangerous_call_and_none_is_made_of_one(desk, workspace):
    place = {"workspace": str(workspace)}
    await say(
        desk, await asked(desk, "git status && git fetch", **place), scope="always", patterns=("run_command: git *",)
    )
    pushed = await asked(desk, "git push", "call-2", **place)
    assert pushed.state is ApprovalState.PENDING
    with pytest.raises(DecisionRefused, match="once only"):
        await say(desk, pushed, scope="always")
    mixed = await asked(desk, "git fetch && rm -rf build", "call-3", **place)
    assert mixed.state is ApprovalState.PENDING


async def test_pattern_can_be_edited_but_must_cover_the_call(desk, workspace):
    approval = await asked(desk, "pytest -q", workspace=str(workspace))
    for pattern, said in (
        ("run_command: make *", "does not cover"),
        ("pytest *", "no rule"),
        ("run_command: *", "program"),
    ):
        with pytest.raises(DecisionRefused, match=said):
            await say(desk, approval, scope="run", patterns=(pattern,))
    with pytest.raises(DecisionRefused, match="more than once"):
        await say(desk, approval, Reject(), scope="run")
    told = await say(desk, approval, scope="run", patterns=("run_command: pytest -q *",))
    assert told.patterns == ("run_command: pytest -q *",)


async def test_no_rule_can_be_made_of_what_is_not_known(desk, workspace):
    approval = await asked(desk, "make $TARGET", workspace=str(workspace))
    with pytest.raises(DecisionRefused, match="not known well enough"):
        await say(desk, approval, scope="run")


async def test_proposal_tells_what_else_it_would_have_covered(desk, workspace):
    place = {"workspace": str(workspace)}
    past = [
        await asked(desk, text, f"past-{text}", **place)
        for text in ("pytest a", "make", "pytest b && make", "pytest c")
    ]
    approval = await asked(desk, "pytest -q", **place)
    proposal = await desk.manager.rulebook.propose(approval)
    assert proposal.patterns == ("run_command: pytest *",)
    assert {each.id for each in proposal.past} == {past[0].id, past[3].id}
    wider = await desk.manager.rulebook.propose(approval, ("run_command: pytest *", "run_command: make *"))
    assert len(wider.past) == 4


async def test_rules_are_listed_kept_once_and_taken_back(desk, workspace):
    place = {"workspace": str(workspace)}
    for number in range(2):
        other = await desk.manager.request(f"session {number}", "call", command("make"), **place)
        if other.state is ApprovalState.PENDING:
            await say(desk, other, scope="project")
    (rule,) = await desk.manager.rulebook.rules()
    assert (rule.shown, rule.owner, rule.by) == ("run_command: make", str(workspace), "page")
    assert await desk.manager.rulebook.rules("other", "elsewhere") == ()
    await desk.manager.rulebook.delete(rule.id)
    with pytest.raises(UnknownRule):
        await desk.manager.rulebook.delete(rule.id)
    assert (await asked(desk, **place)).state is ApprovalState.PENDING


async def test_yes_that_makes_other_rules_is_another_answer(desk, workspace):
    approval = await asked(desk, workspace=str(workspace))
    narrow = await say(desk, approval, scope="project", patterns=("run_command: make",))
    assert await say(desk, approval, scope="project", patterns=("run_command: make",)) == narrow
    assert await say(desk, approval, scope="project") == narrow  # it names no other rule
    with pytest.raises(AlreadyDecided):
        await say(desk, approval, scope="project", patterns=("run_command: make *",))
    assert [rule.shown for rule in await desk.manager.rulebook.rules()] == ["run_command: make"]
