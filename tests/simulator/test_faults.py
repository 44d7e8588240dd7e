"""Models that misbehave because a test asked for it."""

import asyncio

import pytest

from infrastructure.simulator import Fault, FaultKind, ModelSpec, Outcome
from tests.simulator.talk import HI, Sim, ask, begin_chat, chat, loaded, settings, text_of, words

GOOD = ModelSpec(name="m", text=words(20))


def with_fault(kind: FaultKind, after_chunks: int = 0, **more: object) -> ModelSpec:
    return GOOD.model_copy(update={"fault": Fault(kind=kind, after_chunks=after_chunks, **more)})


async def test_drop_breaks_the_stream_off_after_its_chunks_and_frees_the_slot():
    async with Sim(settings(with_fault(FaultKind.DROP, 3))) as sim:
        talk = await begin_chat(sim, "m")
        lines = [await talk.line() for _ in range(3)]

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
            await talk.line()
        assert len(lines) == 3
        assert sim.truth.in_slots() == []
        assert sim.truth.requests[0].outcome is Outcome.FAILED


async def test_error_is_the_last_line_of_a_begun_stream_and_a_status_before_it():
    async with Sim(settings(with_fault(FaultKind.ERROR, 2, message="boom"))) as sim:
        lines = await chat(sim, "m")
        assert [line.get("error") for line in lines] == [None, None, "boom"]

        sim.set_fault("m", Fault(kind=FaultKind.ERROR, message="boom"))
        talk = await begin_chat(sim, "m")
        assert await talk.head() == 500
        assert await talk.lines() == [{"error": "boom"}]


async def test_busy_is_answered_as_a_full_queue_and_only_as_often_as_asked():
    async with Sim(settings(with_fault(FaultKind.BUSY, times=2))) as sim:
        statuses = [(await ask(sim, "/api/chat", model="m", messages=HI, stream=False))[0] for _ in range(3)]

        assert statuses == [503, 503, 200]


async def test_hang_sends_nothing_more_and_keeps_the_slot_until_the_client_leaves():
    async with Sim(settings(with_fault(FaultKind.HANG, 1, times=1))) as sim:
        talk = await begin_chat(sim, "m", "hangs")
        await talk.line()
        behind = await begin_chat(sim, "m", "behind")
        await sim.truth.until(lambda truth: truth.request_of("behind").outcome is Outcome.RUNNING)
        assert await loaded(sim) == ["m:latest"]
        assert sim.truth.request_of("behind").slot is None

        talk.leave()

        assert text_of(await behind.lines()) == words(20)


async def test_silent_end_ends_in_order_without_done():
    async with Sim(settings(with_fault(FaultKind.SILENT_END, 4))) as sim:
        lines = await chat(sim, "m")

        assert [line["done"] for line in lines] == [False] * 4


async def test_crash_ends_with_an_error_line_and_the_next_call_loads_again():
    async with Sim(settings(with_fault(FaultKind.CRASH, 2, times=1))) as sim:
        lines = await chat(sim, "m")
        assert lines[-1] == {"error": "an error was encountered while running the model: unexpected EOF"}
        assert await loaded(sim) == []

        assert text_of(await chat(sim, "m")) == words(20)
        assert len(sim.truth.loads) == 2


async def test_a_fault_can_be_taken_away():
    async with Sim(settings(with_fault(FaultKind.BUSY))) as sim:
        sim.set_fault("m", None)
        assert text_of(await chat(sim, "m")) == words(20)
        with pytest.raises(LookupError):
            sim.set_fault("nobody", None)


async def test_a_reader_that_stalls_stops_the_model_and_loses_nothing():
    endless = ModelSpec(name="m", pieces=tuple(f"piece {number} " * 200 for number in range(50)), loop_to=0)
    async with Sim(settings(endless, time_scale=0.0)) as sim:
        talk = await begin_chat(sim, "m", options={"num_predict": 5000})
        first = await talk.line()
        await sim.truth.until(lambda truth: truth.requests[0].tokens_made > 100)
        lines = [first, *await talk.lines()]

        assert text_of(lines).count("piece ") == 5000 * 200
        assert lines[-1]["eval_count"] == 5000
