"""Candidates beside the first one run in idle slots: they give way, they are given up, and they get their turn."""

from __future__ import annotations

import asyncio

from infrastructure.events.catalogue import CandidateEnded
from infrastructure.pool.calls import Call
from infrastructure.simulator import Simulator
from infrastructure.workflow.race import NEVER_IDLE
from tests.engine.world import CODER, LONG, paced, simulator, task, world

PERSON = "How do you do?"
PERSONS = [{"role": "user", "content": PERSON}]
LONG_WRONG = LONG.replace("a + b", "a - b")


def being_written(server: Simulator, wanted: int) -> bool:
    """Whether so many calls stream side by side, which only candidates do here."""
    return sum(each.first_token_at is not None for each in server.truth.in_slots()) == wanted


async def test_every_candidate_that_was_asked_for_gets_its_turn_though_no_slot_is_idle(tmp_path):
    server = simulator(tmp_path, task(always_broken=True), num_parallel=1)
    async with world(tmp_path, server, repairs=0, rounds=1) as ours:
        result = await ours.run(candidates=3)
        assert (result.status, result.candidates) == ("failed", 3)
        assert [event.outcome for event in ours.events(CandidateEnded)] == ["failed"] * 3


async def test_candidates_that_are_wanted_only_in_idle_slots_are_given_up_where_there_is_none(tmp_path):
    server = paced(tmp_path, task(always_broken=True, broken={"calc.py": LONG_WRONG}), num_parallel=1)
    async with world(tmp_path, server, repairs=0, rounds=1) as ours:
        server.hold(CODER)
        server.hold(PERSON)
        run = await ours.start(candidates="auto")
        await ours.until(run, "call.placed", "write")
        person = asyncio.create_task(ours.app.pool.chat(model="oracle", messages=PERSONS))
        server.release(CODER)  # the slot is the person's from then on, and not idle while the tests run
        result = await ours.end_of(run)
        person.cancel()
        await asyncio.gather(person, return_exceptions=True)
        ended = ours.events(CandidateEnded)
        assert result.status == "failed"
        assert sorted(event.outcome for event in ended) == ["failed", "lost", "lost", "lost"]
        assert {event.reason for event in ended if event.outcome == "lost"} == {NEVER_IDLE}


async def test_candidates_fill_the_idle_slots_and_give_way_to_a_person(tmp_path):
    server = paced(tmp_path, task(files={"calc.py": LONG}), num_parallel=3)
    async with world(tmp_path, server) as ours:
        server.hold(CODER)
        run = await ours.start(candidates="auto")
        await server.truth.until(lambda _: being_written(server, 3))
        reply = await ours.app.pool.chat(model="oracle", messages=PERSONS, call=Call(client="person"))
        assert reply.text
        assert ours.app.pool.snapshot().calls.preempted == 1, "one of the guesses, and only one, has gone for it"
        await server.truth.until(lambda _: being_written(server, 3))  # and came back when the slot was idle again
        server.release(CODER)
        result = await ours.end_of(run)
        assert result.status == "done"
        async with asyncio.timeout(10):
            await server.truth.until(lambda truth: not truth.in_slots())
