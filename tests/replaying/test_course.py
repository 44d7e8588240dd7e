"""The order of a replay: streams of steps, steps that ran again, and a race whose winner is known."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import (
    BudgetSpent,
    CandidateEnded,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    Noted,
)
from infrastructure.events.log import Stored
from infrastructure.replaying.following import Diverged, Follower
from infrastructure.replaying.racing import RecordedRace
from infrastructure.replaying.streams import StreamKey, course_of
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.race import Lost, Place

LOST = Lost("another passed first")
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def told(*events):
    """Events of one run; a number among them begins that execution."""
    execution, stored = 1, []
    for event in events:
        if isinstance(event, int):
            execution = event
        else:
            stored.append(Stored("r", len(stored) + 1, NOW, execution, event))
    return tuple(stored)


def step(node, candidate=None, *inside, whole=True, round=1):
    where = {"node": node, "candidate": candidate, "round": round}
    events = [NodeStarted(**where), *(each.model_copy(update=where) for each in inside)]
    return (*events, NodeCompleted(**where, seconds=1.0)) if whole else tuple(events)


def place(number):
    return Place(round=1, number=number, first=1)


def ended(number, outcome):
    return CandidateEnded(node="coder", candidate=number, round=1, outcome=outcome, attempts=1, reason=LOST.reason)


def follower(*events):
    budget = Budget(limits=BudgetSettings(), now=lambda: 0.0, started=0.0)
    return Follower(SimpleNamespace(events=told(*events)), budget), budget


WHOLE = StreamKey()


def nodes(course, key=WHOLE):
    return [(each.node, each.execution) for each in course.streams[key]]


# ------------------------------------------------------------------------------------------- streams


def test_step_that_was_cut_off_counts_as_it_went_the_last_time():
    course = course_of(told(*step("intent"), *step("planner", whole=False), 2, *step("planner"), *step("tester")))
    assert nodes(course) == [("intent", 1), ("planner", 2), ("tester", 2)]


def test_step_whose_end_was_told_but_not_kept_counts_once():
    course = course_of(told(*step("intent"), *step("planner"), 2, *step("planner"), *step("tester")))
    assert nodes(course) == [("intent", 1), ("planner", 2), ("tester", 2)]


def test_same_step_of_a_later_round_is_another():
    course = course_of(told(*step("planner"), 2, *step("planner", round=2)))
    assert nodes(course) == [("planner", 1), ("planner", 2)]


def test_candidates_have_streams_of_their_own():
    mixed = (
        *step("coder", 1, whole=False), *step("coder", 2, whole=False), *step("write", 2), *step("write", 1),
    )  # fmt: skip
    course = course_of(told(*mixed))
    assert nodes(course, StreamKey(1, inner=True)) == nodes(course, StreamKey(2, inner=True)) == [("write", 1)]
    assert course.open == {1, 2}


def test_ending_that_is_told_again_keeps_its_first_place():
    course = course_of(told(ended(2, "done"), ended(1, "lost"), 2, ended(2, "done")))
    assert course.endings == ((1, 2, "done"), (1, 1, "lost"))


def test_budget_counts_as_spent_only_in_the_execution_that_found_it_so():
    spent = BudgetSpent(budget="calls", limit=1)
    course = course_of(told(*step("planner", None, spent), *step("choose"), 2, *step("deliver")))
    choose, deliver = course.streams[StreamKey()][1:]
    assert (course.spent_before(choose), course.spent_before(deliver)) == ("calls", None)


@pytest.mark.parametrize(
    ("events", "cut"),
    [
        (step("deliver"), False),
        (step("responder"), False),
        (step("responder", None, BudgetSpent(budget="calls", limit=1)), True),
        (step("planner"), True),
        (step("deliver", whole=False), True),
        (step("intent", None, NodeFailed(error_class="E", error_message="m"), whole=False), True),
    ],
)
def test_run_is_broken_off_unless_it_came_to_its_last_step(events, cut):
    assert course_of(told(*events)).cut(StreamKey()) is cut


# ----------------------------------------------------------------------------------------- following


async def test_step_that_was_left_out_for_a_budget_is_left_out_again():
    one, _ = follower(*step("planner", None, BudgetSpent(budget="tokens", limit=1)), *step("choose"), *step("deliver"))
    assert await one.enter("planner", 1, None) is None
    assert await one.enter("tester", 1, None) == "tokens"
    assert await one.enter("choose", 1, None) is None


async def test_other_step_than_recorded_is_a_divergence():
    one, _ = follower(*step("intent"), *step("responder"))
    await one.enter("intent", 1, None)
    with pytest.raises(Diverged, match=r"run_baseline of the run: in the recording responder \(round 1\) came next"):
        await one.enter("run_baseline", 1, None)


async def test_budget_stands_at_each_step_as_it_did():
    spent = BudgetSpent(budget="calls", limit=1)
    one, budget = follower(*step("planner", None, spent), *step("choose"), 2, *step("deliver"))
    for node, found in (("planner", None), ("choose", "calls"), ("deliver", None)):
        await one.enter(node, 1, None)
        assert budget.spent == found


async def test_step_after_the_end_of_a_stopped_run_waits_and_that_is_the_end():
    one, _ = follower(*step("intent"), Noted(node="intent", text="x"))
    await one.enter("intent", 1, None)
    waiting = asyncio.create_task(one.enter("run_baseline", 1, None))
    await one.broken_off()
    assert not waiting.done()
    waiting.cancel()


# --------------------------------------------------------------------------------------------- racing


async def test_recorded_order_of_endings_holds_whoever_is_faster():
    one, _ = follower(
        *step("coder", 1, whole=False), *step("coder", 2, whole=False), *step("coder", 3, whole=False),
        ended(3, "failed"), ended(2, "done"), ended(1, "lost"),
    )  # fmt: skip
    race, order, may = RecordedRace(one), [], {number: asyncio.Event() for number in (1, 2, 3)}

    async def work(number):
        await may[number].wait()
        return "passed"

    async def run(number):
        final = await race.run(place(number), work(number))
        order.append((number, final))
        if number == 2:
            assert race.won(1, 2)

    tasks = [asyncio.create_task(run(number)) for number in (1, 2, 3)]
    for number in (1, 2, 3):  # the loser is through first, the first to end last
        may[number].set()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == [(3, "passed"), (2, "passed"), (1, LOST)]


async def test_winner_waits_until_the_losers_have_come_as_far_as_they_did():
    one, _ = follower(
        *step("coder", 1, whole=False), *step("coder", 2, whole=False), ended(2, "done"), ended(1, "lost")
    )
    race, dry = RecordedRace(one), asyncio.Event()

    async def loser():
        await dry.wait()
        await one.wait(StreamKey(1, inner=True))

    async def winner():
        return "passed"

    losing = asyncio.create_task(race.run(place(1), loser()))
    winning = asyncio.create_task(race.run(place(2), winner()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not winning.done()
    dry.set()
    assert (await winning, await losing) == ("passed", LOST)


async def test_error_of_a_candidate_that_lost_is_told():
    one, _ = follower(*step("coder", 1, whole=False), ended(1, "lost"))

    async def broken():
        raise Diverged("write:1:1#0", "another question")

    with pytest.raises(Diverged):
        await RecordedRace(one).run(place(1), broken())
