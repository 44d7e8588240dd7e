"""What the log of the truth adds up to."""

import json
from dataclasses import replace

from infrastructure.simulator import ModelSpec, Outcome
from infrastructure.simulator.records import RequestRecord, SlotSpan
from infrastructure.simulator.timeline import Prefill, Waits
from infrastructure.simulator.truth import Truth
from tests.simulator.talk import Sim, begin, begin_chat, chat, get, settings, words

CALL = RequestRecord(0, "/api/chat", "m", received_at=1.0)


def truth_of(*records: RequestRecord) -> Truth:
    spans = [
        SlotSpan(record.model, 0, record.number, record.slot_taken_at, record.slot_freed_at)
        for record in records
        if record.slot_taken_at is not None and record.slot_freed_at is not None
    ]
    return Truth(list(records), spans)


def test_slots_are_counted_over_time_and_those_still_held_as_well():
    truth = truth_of(
        replace(CALL, slot_taken_at=1.0, slot_freed_at=4.0),
        replace(CALL, slot_taken_at=2.0, slot_freed_at=3.0),
        replace(CALL, slot_taken_at=4.0),
        replace(CALL, model="n", slot_taken_at=2.5, slot_freed_at=3.0),
    )

    assert truth.occupancy("m") == [(1.0, 1), (2.0, 2), (3.0, 1), (4.0, 1)]
    assert (truth.most_at_once("m"), truth.most_at_once()) == (2, 3)


def test_waits_are_from_arrival_to_the_slot_and_those_that_never_got_one_leave_the_queue():
    truth = truth_of(
        replace(CALL, slot_taken_at=1.0, ended_at=9.0),
        replace(CALL, slot_taken_at=3.0, ended_at=9.0),
        replace(CALL, received_at=2.0, slot_taken_at=7.0),
        replace(CALL, received_at=2.0, ended_at=4.0),
        replace(CALL, model="n", received_at=5.0),
    )

    assert truth.waits("m") == Waits(calls=3, median=2.0, most=5.0)
    assert truth.waits("nobody") == Waits(calls=0, median=0.0, most=0.0)
    assert truth.waiting("m") == [(1.0, 1), (2.0, 3), (3.0, 2), (4.0, 1), (7.0, 0)]
    assert truth.waiting("n") == [(5.0, 1)]


def test_prompt_tokens_and_waste_are_summed():
    truth = truth_of(
        replace(CALL, prefilled_tokens=100),
        replace(CALL, prefilled_tokens=10, cached_tokens=90, restored_tokens=90),
        replace(CALL, model="n", prefilled_tokens=7, tokens_after_leaving=2),
    )

    assert truth.prefill("m") == Prefill(evaluated=110, cached=90, restored=90)
    assert (truth.wasted_tokens("m"), truth.wasted_tokens()) == (0, 2)


def test_what_came_twice_is_found_by_its_id():
    truth = truth_of(*(replace(CALL, number=number, client_id=name) for number, name in enumerate("abca")))

    assert {name: [record.number for record in found] for name, found in truth.duplicates().items()} == {"a": [0, 3]}


async def test_a_server_tells_of_its_queue_its_loads_and_what_it_did_twice():
    model, other = ModelSpec(name="m", text=words(20)), ModelSpec(name="n", text=words(5))
    async with Sim(settings(model, other, max_loaded_models=1)) as sim:
        sim.hold("hi")
        first = await begin_chat(sim, "m", "1")
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        second, again = await begin_chat(sim, "m", "2"), await begin_chat(sim, "m", "2")
        await sim.truth.until(lambda truth: len(truth.running()) == 3)

        assert sim.truth.waiting("m:latest")[-1][1] == 2
        assert sim.truth.occupancy()[-1][1] == 1
        sim.release("hi")
        for talk in (first, second, again):
            await talk.lines()
        await chat(sim, "n")

        assert sim.truth.waiting()[-1][1] == sim.truth.occupancy()[-1][1] == 0
        waits = sim.truth.waits("m:latest")
        assert waits.calls == 3
        assert waits.most >= waits.median > 0
        assert list(sim.truth.duplicates()) == ["2"]
        assert [unload.model for unload in sim.truth.evictions()] == ["m:latest"]


async def test_the_truth_can_be_asked_from_outside():
    async with Sim(settings(ModelSpec(name="m", text=words(20)))) as sim:
        talk = await begin(sim, "/api/generate", {"model": "m", "prompt": "hi", "raw": True}, "mine")
        await talk.lines()
        truth = await get(sim, "/simulator/truth")

        (record,) = truth["requests"]
        assert (record["client_id"], record["outcome"]) == ("mine", Outcome.DONE)
        assert truth["models"]["m:latest"]["prefill"] == {"evaluated": 1, "cached": 0, "restored": 0}
        assert truth["models"]["m:latest"]["most_at_once"] == 1
        assert json.dumps(truth["loads"])
