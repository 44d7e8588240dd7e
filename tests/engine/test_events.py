"""What a run tells: in order, without a gap, everything that began with its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from infrastructure.events.catalogue import (
    CallCompleted,
    CallQueued,
    CallRestarted,
    CandidateEnded,
    NodeStarted,
    TextStreamed,
)
from infrastructure.events.log import Stored
from infrastructure.simulator import Fault, FaultKind
from tests.engine.world import QUESTION, simulator, task, world

ENDS = ("node.completed", "node.failed", "node.waiting")


def unended(events: Sequence[Stored]) -> list[tuple[int, str, int | None]]:
    """Steps that began and neither came to an end nor belong to a candidate that lost."""
    lost = {
        each.event.candidate
        for each in events
        if isinstance(each.event, CandidateEnded) and each.event.outcome == "lost"
    }
    balance = Counter[tuple[int, str, int | None]]()
    for each in events:
        key = (each.execution, each.event.node, each.event.candidate)
        balance[key] += (each.event.kind == "node.started") - (each.event.kind in ENDS)
        assert balance[key] >= 0, f"{key} ended before it began"
    return [key for key, open_steps in balance.items() if open_steps and key[2] not in lost]


@pytest.mark.parametrize(
    ("text", "share", "more"),
    [
        ("Implement add in calc.py", 1.0, {}),
        ("Implement add in calc.py", 0.0, {}),
        ("Implement add in calc.py", 1.0, {"candidates": 3}),
        ("Implement add in calc.py", 1.0, {"approve": ("patch",), "no_input": True}),
        (QUESTION, 1.0, {}),
    ],
    ids=["done", "repaired", "race", "waiting", "question"],
)
async def test_every_step_that_began_has_its_end_and_numbers_have_no_gap(tmp_path, text, share, more):
    async with world(tmp_path, simulator(tmp_path, first_time_right=share)) as ours:
        await ours.run(text, **more)
        assert [stored.seq for stored in ours.seen] == list(range(1, len(ours.seen) + 1))
        assert ours.kinds()[:2] == ["run.created", "run.started"]
        assert ours.kinds()[-1] == ("run.interrupted" if "approve" in more else "run.finished")
        assert [stored.at for stored in ours.seen] == sorted(stored.at for stored in ours.seen)
        assert unended(ours.seen) == []
        assert {stored.execution for stored in ours.seen} == {0, 1}


async def test_a_candidates_end_names_its_patch_also_where_it_failed(tmp_path):
    server = simulator(tmp_path, task(always_broken=True))
    async with world(tmp_path, server) as ours:
        result = await ours.run(candidates=2, repairs=0, rounds=1)
        ended = [stored.event for stored in ours.seen if stored.event.kind == "work.candidate_ended"]
        assert result.status == "failed"
        assert len(ended) == 2
        texts = {(await ours.app.blobs.get(event.patch)).decode() for event in ended}
        assert texts == {result.patch}


async def test_every_call_is_told_from_the_queue_to_its_completion(tmp_path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        result = await ours.run()
        calls: dict[str, list[str]] = {}
        for stored in ours.seen:
            if stored.event.kind.startswith("call."):
                calls.setdefault(stored.event.call, []).append(stored.event.kind)
        assert len(calls) == result.model_calls
        for name, kinds in calls.items():
            assert list(dict.fromkeys(kinds)) == [
                "call.queued", "call.placed", "call.waiting", "call.began", "call.text", "call.completed",
            ], name  # fmt: skip
        assert {"intent#0", "planner:1#0", "tester:1#0", "write:1:1#0", "debugger:1:1#0", "write:1:2#0"} <= set(calls)


async def test_streamed_text_together_is_the_answer(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run(QUESTION)
        told = [event.text for event in ours.events(TextStreamed) if event.role == "responder"]
        assert "".join(told).strip() == result.answer


async def test_events_of_a_candidate_carry_its_number_and_round(tmp_path):
    async with world(tmp_path, simulator(tmp_path, task(always_broken=True)), repairs=0, rounds=2) as ours:
        await ours.run(candidates=2)
        started = {(event.round, event.candidate) for event in ours.events(NodeStarted) if event.node == "write"}
        assert started == {(1, 1), (1, 2), (2, 3), (2, 4)}


async def test_stream_that_breaks_is_told_to_be_restarted_and_the_run_goes_on(tmp_path):
    fault = Fault(kind=FaultKind.DROP, after_chunks=2, times=1)
    async with world(tmp_path, simulator(tmp_path, fault=fault)) as ours:
        result = await ours.run()
        assert result.status == "done"
        restarted = ours.events(CallRestarted)
        assert [event.call for event in restarted] == ["intent#0"]
        completed = [event.call for event in ours.events(CallCompleted)]
        assert completed.count("intent#0") == 1
        assert [event.call for event in ours.events(CallQueued)].count("intent#0") == 2


async def test_stream_that_breaks_twice_ends_the_run_as_an_error_that_names_the_step(tmp_path):
    fault = Fault(kind=FaultKind.DROP, after_chunks=2)
    async with world(tmp_path, simulator(tmp_path, fault=fault)) as ours:
        result = await ours.run()
        assert (result.status, result.exit_code, result.error.error_class) == ("error", 3, "StreamBroken")
        assert result.error.hint
        failed = [stored.event for stored in ours.seen if stored.event.kind == "node.failed"]
        assert [(event.node, event.error_class) for event in failed] == [("intent", "StreamBroken")]
        assert unended(ours.seen) == []
        assert ours.kinds()[-1] == "run.finished"


async def test_follower_that_comes_late_or_starts_in_the_middle_sees_the_same(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run()
        rest = [stored async for stored in ours.engine.follow(result.run, after=10)]
        assert rest == ours.seen[10:]


async def test_two_followers_at_once_see_the_same(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        first = ours.engine.follow(run)
        head = [await anext(first) for _ in range(5)]
        await ours.end_of(run)
        assert head + [stored async for stored in first] == ours.seen
