"""Slots, queue, loads, reloads, keep_alive and cancelling, held against the simulator's own log of the truth."""

import asyncio
from itertools import pairwise

import pytest

from infrastructure.simulator import LoadOutcome, ModelSpec, Outcome
from infrastructure.simulator.records import UnloadReason
from tests.simulator.talk import HI, Sim, ask, begin, begin_chat, chat, get, loaded, settings, text_of, words

LONG = ModelSpec(name="long", text=words(40))
ENDLESS = ModelSpec(name="endless", pieces=("a", " b"), loop_to=0, tokenizer="bytes")
A, B, C = (ModelSpec(name=name, text=f"{name} says {words(20)}") for name in "abc")


async def test_one_slot_serves_calls_one_after_the_other_in_order_of_arrival():
    async with Sim(settings(LONG)) as sim:
        sim.hold("hi")
        first = await begin_chat(sim, "long", "1")
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        second = await begin_chat(sim, "long", "2")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        third = await begin_chat(sim, "long", "3")
        await sim.truth.until(lambda truth: len(truth.running()) == 3)
        sim.release("hi")

        for talk in (third, second, first):
            await talk.lines()

        assert sim.truth.most_at_once() == 1
        assert [span.request for span in sim.truth.slots] == [0, 1, 2]
        spans = sim.truth.slots
        assert all(before.end <= after.start for before, after in pairwise(spans))
        assert [sim.truth.request_of(name).outcome for name in "123"] == [Outcome.DONE] * 3


async def test_as_many_slots_as_num_parallel_are_busy_at_once():
    async with Sim(settings(LONG, num_parallel=3)) as sim:
        await asyncio.gather(*(chat(sim, "long") for _ in range(7)))

        assert sim.truth.most_at_once("long:latest") == 3
        assert {span.slot for span in sim.truth.slots} == {0, 1, 2}


async def test_what_total_leaves_after_load_prompt_and_eval_is_the_wait_for_the_slot():
    async with Sim(settings(LONG, decode_tokens_per_second=400)) as sim:
        sim.hold("hi")
        first = await begin_chat(sim, "long")
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        second = await begin_chat(sim, "long")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        sim.release("hi")
        last = (await second.lines())[-1]
        await first.lines()

        parts = ("load_duration", "prompt_eval_duration", "eval_duration")
        waited = (last["total_duration"] - sum(last[part] for part in parts)) / 1e9
        record = sim.truth.requests[1]
        assert waited >= record.slot_taken_at - record.received_at - last["load_duration"] / 1e9 - 1e-3
        assert record.slot_taken_at >= sim.truth.slots[0].end


async def test_a_token_takes_longer_the_more_slots_are_busy():
    async def eval_duration(calls: int) -> int:
        async with Sim(settings(LONG, num_parallel=4, decode_slowdown=0.5)) as sim:
            await ask(sim, "/api/generate", model="long")
            answers = await asyncio.gather(*(chat(sim, "long") for _ in range(calls)))
            return max(lines[-1]["eval_duration"] for lines in answers)

    assert await eval_duration(4) > 1.5 * await eval_duration(1)


async def test_a_long_prompt_on_one_slot_delays_the_stream_on_the_other_batch_by_batch():
    quick = {"prefill_tokens_per_second": 10_000, "num_parallel": 2, "num_ctx": 32768}
    async with Sim(settings(ENDLESS, LONG, **quick)) as sim:
        stream = await begin_chat(sim, "endless")
        await stream.line()
        await begin(sim, "/api/chat", {"model": "endless", "messages": [{"role": "user", "content": "x" * 5120}]}, "p")
        await sim.truth.until(lambda truth: truth.request_of("p").first_token_at is not None)
        reader, other = sim.truth.requests[0], sim.truth.request_of("p")

        made_meanwhile = reader.tokens_made
        assert other.first_token_at - other.slot_taken_at >= 0.5
        assert made_meanwhile < 0.5 * 5000 / 2


async def test_cancelling_a_stream_frees_the_slot_at_once_and_wastes_at_most_two_tokens():
    async with Sim(settings(ENDLESS)) as sim:
        stream = await begin_chat(sim, "endless", "gone")
        for _ in range(5):
            await stream.line()
        stream.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").slot_freed_at is not None)

        record = sim.truth.request_of("gone")
        assert record.tokens_after_leaving <= 2
        assert sim.truth.in_slots() == []


async def test_a_cancelled_stream_keeps_its_slot_until_the_batch_beside_it_is_evaluated():
    slow = {"prefill_tokens_per_second": 10_000, "num_parallel": 2, "num_ctx": 32768}
    async with Sim(settings(ENDLESS, **slow)) as sim:
        stream = await begin_chat(sim, "endless", "gone")
        await stream.line()
        await begin(sim, "/api/generate", {"model": "endless", "prompt": "x" * 5120}, "long")
        await sim.truth.until(lambda truth: len(truth.in_slots()) == 2)
        await sim.truth.until(lambda truth: truth.request_of("long").prefilled_tokens > 0 or bool(truth.slots))
        stream.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").slot_freed_at is not None)

        record = sim.truth.request_of("gone")
        assert record.tokens_after_leaving <= 1, "that of the batch under way"
        assert record.cancel_seconds <= 2 * 512 / 10_000
        assert sim.truth.request_of("long").first_token_at is None, "the prompt is read on"


async def test_cancelling_while_the_prompt_is_read_frees_the_slot_at_the_end_of_the_batch():
    slow = {"prefill_tokens_per_second": 20_000, "num_ctx": 262_144}
    big = ENDLESS.model_copy(update={"context_length": 262_144})
    async with Sim(settings(big, **slow)) as sim:
        prompt = "x" * 200_000
        talk = await begin(sim, "/api/generate", {"model": "endless", "prompt": prompt}, "gone")
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        talk.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").slot_freed_at is not None)

        record = sim.truth.request_of("gone")
        assert record.tokens_made == 0
        assert record.slot_freed_at > record.left_at
        assert record.slot_freed_at - record.slot_taken_at >= 512 / 20_000
        assert record.slot_freed_at - record.slot_taken_at < 200_000 / 20_000


async def test_a_call_that_leaves_while_it_waits_for_a_slot_never_takes_one():
    async with Sim(settings(ENDLESS, LONG)) as sim:
        busy = await begin_chat(sim, "endless")
        await busy.line()
        waiting = await begin_chat(sim, "endless", "gone")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        waiting.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").outcome is Outcome.CANCELLED)

        assert sim.truth.request_of("gone").slot is None
        busy.leave()


async def test_a_prefix_in_the_cache_shows_in_the_duration_only():
    plain = {"prefill_tokens_per_second": 1000, "num_ctx": 4096}
    async with Sim(settings(LONG, **plain)) as sim:
        body = {"model": "long", "prompt": "the same long text " * 50, "stream": False}
        _, cold = await ask(sim, "/api/generate", **body)
        _, warm = await ask(sim, "/api/generate", **body)

        assert warm["prompt_eval_count"] == cold["prompt_eval_count"] > 100
        assert warm["prompt_eval_duration"] * 10 < cold["prompt_eval_duration"]
        assert sim.truth.requests[1].cached_tokens == cold["prompt_eval_count"] - 1


async def test_a_prefix_pushed_out_of_its_slot_comes_back_from_memory_on_the_newer_version_only():
    async def again(version: str) -> float:
        async with Sim(settings(LONG, prefill_tokens_per_second=1000, version=version)) as sim:
            for prompt in ("one text " * 100, "two words " * 100, "one text " * 100):
                _, answer = await ask(sim, "/api/generate", model="long", prompt=prompt, raw=True, stream=False)
            return answer["prompt_eval_duration"] / answer["prompt_eval_count"]

    assert await again("0.32.15") * 10 < await again("0.24.0")


async def test_a_conversation_finds_its_prefix_whoever_asks_and_another_one_finds_none():
    async with Sim(settings(LONG, num_parallel=2)) as sim:
        first = "a long story about a horse. " * 30
        await ask(sim, "/api/generate", model="long", prompt=first, raw=True, stream=False)
        await ask(sim, "/api/generate", model="long", prompt=first + "And then?", raw=True, stream=False)
        await ask(sim, "/api/generate", model="long", prompt="Something else. " * 30, raw=True, stream=False)

        cold, longer, other = sim.truth.requests
        assert (cold.cached_tokens, cold.prefilled_tokens) == (0, cold.prompt_tokens)
        assert longer.cached_tokens == cold.prompt_tokens
        assert longer.prefilled_tokens == longer.prompt_tokens - longer.cached_tokens
        assert (longer.slot, longer.restored_tokens) == (cold.slot, 0)
        assert (other.slot, other.cached_tokens) == (1, 0)


async def test_a_prompt_given_up_half_read_is_known_as_far_as_it_was_read():
    async with Sim(settings(ENDLESS, prefill_tokens_per_second=5000, num_ctx=32768)) as sim:
        body = {"model": "endless", "prompt": "x" * 20_000, "raw": True, "options": {"num_predict": 1}}
        talk = await begin(sim, "/api/generate", body, "gone")
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        talk.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").slot_freed_at is not None)
        short = body | {"prompt": "x" * 2000}
        await (await begin(sim, "/api/generate", short, "again")).lines()

        assert sim.truth.request_of("again").cached_tokens == sim.truth.request_of("gone").prefilled_tokens == 512


@pytest.mark.parametrize(("rate", "most"), [(None, 0.1), (1000.0, 2.0)])
async def test_how_fast_a_prompt_comes_back_can_be_set(rate: float | None, most: float):
    async with Sim(settings(LONG, prefill_tokens_per_second=1000, restore_tokens_per_second=rate)) as sim:
        for prompt in ("one text " * 50, "two words " * 50, "one text " * 50):
            _, answer = await ask(sim, "/api/generate", model="long", prompt=prompt, raw=True, stream=False)
        restored = sim.truth.requests[2].restored_tokens

        assert restored == answer["prompt_eval_count"] - 1
        rate_seen = answer["prompt_eval_duration"] / 1e9 * 1000 / answer["prompt_eval_count"]
        assert most / 2 < rate_seen + most / 2 <= 1.1 * most


@pytest.mark.parametrize(("kept", "expected"), [(8, [False, True, False]), (0, [False, False, False])])
async def test_what_a_slot_holds_is_put_away_before_another_prompt(kept: int, expected: list[bool]):
    async with Sim(settings(LONG, put_away_seconds=0.5, kept_prompts=kept)) as sim:
        unsaid: list[float] = []
        for prompt in ("one text " * 50, "two words " * 50, "two words " * 50 + "and more"):
            _, answer = await ask(sim, "/api/generate", model="long", prompt=prompt, raw=True, stream=False)
            said = sum(answer[f"{part}_duration"] for part in ("load", "prompt_eval", "eval"))
            unsaid.append((answer["total_duration"] - said) / 1e9)

        assert [seconds >= 0.5 for seconds in unsaid] == expected


async def test_of_streams_that_are_left_some_keep_their_slot_until_the_model_is_put_out():
    async with Sim(settings(ENDLESS, num_parallel=2, loses_slots_every=2)) as sim:
        for _ in range(4):
            busy = await begin_chat(sim, "endless")
            await busy.line()
            busy.leave()
            await sim.truth.until(lambda truth: not truth.in_slots())
        late = await begin_chat(sim, "endless")
        reading = asyncio.ensure_future(late.line())
        status, answer = await ask(sim, "/api/generate", model="endless", keep_alive=0)
        assert (status, answer["done_reason"]) == (200, "unload")
        assert not reading.done()
        late.leave()
        reading.cancel()
        await sim.truth.until(lambda truth: len(truth.unloads) == 1)
        again = await begin_chat(sim, "endless")
        await again.line()
        again.leave()


async def test_no_prompt_comes_back_where_none_is_kept():
    async with Sim(settings(LONG, kept_prompts=0)) as sim:
        for prompt in ("one text " * 50, "two words " * 50, "one text " * 50):
            await ask(sim, "/api/generate", model="long", prompt=prompt, raw=True, stream=False)

        assert [record.cached_tokens for record in sim.truth.requests] == [0, 0, 0]


async def test_an_empty_prompt_to_a_busy_model_is_answered_without_a_slot():
    async with Sim(settings(ENDLESS)) as sim:
        busy = await begin_chat(sim, "endless")
        await busy.line()

        status, answer = await ask(sim, "/api/generate", model="endless")

        assert (status, answer["done_reason"]) == (200, "load")
        assert sim.truth.most_at_once() == 0  # no span has ended
        busy.leave()


# ------------------------------------------------------------------------------------------- loading


async def test_models_load_one_after_the_other_and_a_loaded_one_goes_on_meanwhile():
    async with Sim(settings(A, B, C, load_seconds=0.25)) as sim:
        await chat(sim, "a")
        first, second = await begin_chat(sim, "b"), await begin_chat(sim, "c")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        await chat(sim, "a", "passes")
        assert len(sim.truth.loads) == 1, "a call for the loaded model does not wait for the loads"
        await asyncio.gather(first.lines(), second.lines())

        loads = sim.truth.loads
        assert [load.model for load in loads] == ["a:latest", "b:latest", "c:latest"]
        assert loads[1].end <= loads[2].start


async def test_a_model_being_loaded_is_not_in_ps():
    slow = A.model_copy(update={"load_seconds": 600.0})
    async with Sim(settings(slow)) as sim:
        talk = await begin_chat(sim, "a")
        await sim.truth.until(lambda truth: bool(truth.running()))

        assert await loaded(sim) == []
        talk.leave()


async def test_load_duration_holds_the_wait_for_other_loads():
    async with Sim(settings(A, B, load_seconds=0.4)) as sim:
        first = await begin_chat(sim, "a")
        await sim.truth.until(lambda truth: bool(truth.running()))
        last = (await chat(sim, "b"))[-1]
        await first.lines()

        assert last["load_duration"] >= 0.45e9  # its own, and something of the other one, however late it was asked


async def test_leaving_during_ones_own_load_aborts_it_and_the_next_call_loads_from_zero():
    slow = A.model_copy(update={"load_seconds": 600.0})
    async with Sim(settings(slow, B)) as sim:
        talk = await begin_chat(sim, "a")
        await sim.truth.until(lambda truth: bool(truth.running()))
        behind = await begin_chat(sim, "b")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        talk.leave()
        await behind.lines()

        assert [(load.model, load.outcome) for load in sim.truth.loads] == [
            ("a:latest", LoadOutcome.ABORTED),
            ("b:latest", LoadOutcome.READY),
        ]
        assert await loaded(sim) == ["b:latest"]


async def test_a_busy_model_starves_the_other_one_until_it_has_nothing_left():
    async with Sim(settings(A, B, max_loaded_models=1, decode_tokens_per_second=2000)) as sim:
        sim.hold("hi")
        early = [await begin_chat(sim, "a", f"a{number}") for number in range(3)]
        await sim.truth.until(lambda truth: bool(truth.in_slots()))
        other = await begin_chat(sim, "b", "b")
        await sim.truth.until(lambda truth: len(truth.running("b:latest")) == 1)
        late = [await begin_chat(sim, "a", f"late{number}") for number in range(3)]
        await sim.truth.until(lambda truth: len(truth.running("a:latest")) == 6)
        sim.release("hi")

        await asyncio.gather(*(talk.lines() for talk in (*early, other, *late)))

        spans = sim.truth.slots
        assert [sim.truth.requests[span.request].model for span in spans] == ["a:latest"] * 6 + ["b:latest"]
        assert [unload.reason for unload in sim.truth.unloads] == [UnloadReason.EVICTED]


async def test_503_only_where_a_model_must_be_loaded_never_for_a_loaded_one():
    async with Sim(settings(A, B, max_queue=2, load_seconds=0.02)) as sim:
        await chat(sim, "a")
        same = await asyncio.gather(*(ask(sim, "/api/chat", model="a", messages=HI) for _ in range(8)))
        other = await asyncio.gather(*(ask(sim, "/api/chat", model="b", messages=HI) for _ in range(8)))

        assert [status for status, _ in same] == [200] * 8
        refused = [answer for status, answer in other if status == 503]
        assert len(refused) in (5, 6)  # two wait; one more if the first was already taken out to be loaded
        assert refused[0] == {"error": "server busy, please try again.  maximum pending requests exceeded"}


async def test_a_cancelled_call_still_counts_in_the_queue_until_its_turn():
    slow = A.model_copy(update={"load_seconds": 600.0})
    async with Sim(settings(slow, B, max_queue=1)) as sim:
        loading = await begin_chat(sim, "a")
        await sim.truth.until(lambda truth: len(truth.running()) == 1)
        queued = await begin_chat(sim, "b", "gone")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        queued.leave()
        await sim.truth.until(lambda truth: truth.request_of("gone").outcome is Outcome.CANCELLED)

        status, _ = await ask(sim, "/api/chat", model="b", messages=HI)

        assert status == 503
        loading.leave()


@pytest.mark.parametrize(
    ("version", "first", "second", "reloads"),
    [
        ("0.32.15", {"options": {"num_ctx": 8192}}, {}, True),
        ("0.32.15", {"options": {"num_ctx": 4096}}, {}, False),
        ("0.32.15", {"options": {"num_batch": 64}}, {}, True),
        ("0.32.15", {"options": {"num_thread": 2}}, {}, True),
        ("0.32.15", {"options": {"num_gpu": 3}}, {}, False),
        ("0.32.15", {"options": {"num_gpu": 3}}, {"options": {"num_gpu": 4}}, True),
        ("0.32.15", {}, {"options": {"num_predict": 3, "temperature": 0.1, "num_keep": 7}}, False),
        ("0.32.15", {}, {"shift": False}, True),
        ("0.32.15", {}, {"shift": True}, False),
        ("0.32.15", {}, {"truncate": False}, False),
        ("0.32.15", {}, {"options": {"use_mmap": False}}, False),
        ("0.24.0", {}, {"options": {"use_mmap": False}}, True),
        ("0.24.0", {}, {"shift": False}, False),
    ],
)
async def test_what_forces_a_reload(version: str, first: dict, second: dict, reloads: bool):
    async with Sim(settings(A, version=version)) as sim:
        await chat(sim, "a", **first)
        await chat(sim, "a", **second)

        assert len(sim.truth.loads) == 1 + reloads
        assert [unload.reason for unload in sim.truth.unloads] == [UnloadReason.RELOAD] * reloads


async def test_aliases_of_the_same_weights_share_a_runner_under_the_first_name():
    alias = A.model_copy(update={"name": "alias", "weights": "1" * 64})
    async with Sim(settings(A.model_copy(update={"weights": "1" * 64}), alias)) as sim:
        await chat(sim, "a")
        lines = await chat(sim, "alias")

        assert lines[-1]["model"] == "alias"
        assert len(sim.truth.loads) == 1
        assert await loaded(sim) == ["a:latest"]


async def test_the_idle_model_with_the_smallest_keep_alive_is_evicted_first():
    async with Sim(settings(A, B, C, max_loaded_models=2)) as sim:
        await chat(sim, "a", keep_alive="10m")
        await chat(sim, "b", keep_alive="20m")
        await chat(sim, "c")

        assert await loaded(sim) == ["b:latest", "c:latest"]


async def test_a_load_that_another_model_made_room_for_waits_until_its_memory_is_free():
    async with Sim(settings(A, B, max_loaded_models=1, recovery_seconds=0.05)) as sim:
        await chat(sim, "a")
        last = (await chat(sim, "b"))[-1]

        (gone,), (_, load) = sim.truth.unloads, sim.truth.loads
        assert load.start - gone.at >= 0.049  # the loop may wake a little early
        assert last["load_duration"] >= 49e6


async def test_models_that_do_not_fit_into_memory_together_push_each_other_out():
    async with Sim(settings(A, B, C, memory_bytes=A.size + B.size)) as sim:
        for name in "abc":
            await chat(sim, name)

        assert len(await loaded(sim)) == 2
        assert [unload.reason for unload in sim.truth.unloads] == [UnloadReason.EVICTED]


# ---------------------------------------------------------------------------------------- keep_alive


async def test_keep_alive_zero_unloads_when_the_answer_is_done():
    async with Sim(settings(A)) as sim:
        lines = await chat(sim, "a", keep_alive=0)

        assert text_of(lines)
        assert await loaded(sim) == []


async def test_a_model_goes_when_its_keep_alive_is_over():
    async with Sim(settings(A)) as sim:
        await chat(sim, "a", keep_alive="20ms")
        await sim.truth.until(lambda truth: bool(truth.unloads))

        assert sim.truth.unloads[0].reason is UnloadReason.EXPIRED
        assert sim.truth.unloads[0].at >= sim.truth.requests[0].ended_at + 0.015


async def test_any_request_changes_the_keep_alive_and_none_leaves_it():
    async with Sim(settings(A)) as sim:
        await chat(sim, "a", keep_alive=-1)
        await chat(sim, "a")
        forever = (await get(sim, "/api/ps"))["models"][0]["expires_at"]
        await chat(sim, "a", keep_alive="1h")
        hour = (await get(sim, "/api/ps"))["models"][0]["expires_at"]

        assert forever.startswith("23")
        assert hour.startswith("20")


async def test_unload_by_request_waits_for_the_running_answer():
    async with Sim(settings(ENDLESS)) as sim:
        stream = await begin_chat(sim, "endless")
        await stream.line()
        _, answer = await ask(sim, "/api/generate", model="endless", keep_alive=0)

        assert answer["done_reason"] == "unload"
        assert await loaded(sim) == ["endless:latest"]
        stream.leave()
        await sim.truth.until(lambda truth: bool(truth.unloads))
        assert sim.truth.unloads[0].reason is UnloadReason.ASKED


# ------------------------------------------------------------------------------------------- crashes


async def test_a_runner_that_dies_ends_its_stream_with_an_error_line_and_the_waiting_call_gets_a_new_one():
    async with Sim(settings(ENDLESS)) as sim:
        stream = await begin_chat(sim, "endless")
        await stream.line()
        waiting = await begin_chat(sim, "endless", options={"num_predict": 3})
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        sim.world.kill_runner("endless")

        lines = await stream.lines()
        assert lines[-1] == {"error": "an error was encountered while running the model: unexpected EOF"}
        assert (await waiting.lines())[-1]["done_reason"] == "length"
        assert len(sim.truth.loads) == 2


async def test_on_the_older_version_the_waiting_call_fails_with_the_runner():
    async with Sim(settings(ENDLESS, version="0.24.0")) as sim:
        stream = await begin_chat(sim, "endless")
        await stream.line()
        waiting = await begin_chat(sim, "endless")
        await sim.truth.until(lambda truth: len(truth.running()) == 2)
        sim.world.kill_runner("endless")

        assert await waiting.head() == 500
        assert (await waiting.lines())[0] == {"error": "llama runner process no longer running: -1 "}


async def test_stopping_the_server_breaks_streams_off():
    async with Sim(settings(ENDLESS)) as sim:
        stream = await begin_chat(sim, "endless")
        await stream.line()
        await sim.stop()

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
            await stream.lines()
        assert sim.truth.open_connections == 0


async def test_a_held_answer_stops_in_its_middle_and_others_go_on_until_it_is_released():
    async with Sim(settings(LONG, num_parallel=2)) as sim:
        sim.hold("wait for it")
        held = await begin(sim, "/api/generate", {"model": "long", "prompt": "now wait for it"}, "held")
        await held.line()
        await ask(sim, "/api/generate", model="long", prompt="do not wait")

        assert sim.truth.request_of("held").outcome is Outcome.RUNNING
        assert len(sim.truth.in_slots()) == 1
        sim.release("wait for it")
        await held.lines()
        assert sim.truth.request_of("held").outcome is Outcome.DONE


async def test_a_held_answer_is_cancelled_like_any_other():
    async with Sim(settings(LONG)) as sim:
        sim.hold("wait")
        held = await begin(sim, "/api/generate", {"model": "long", "prompt": "wait"}, "held")
        await held.line()
        held.leave()
        await sim.truth.until(lambda truth: truth.request_of("held").outcome is Outcome.CANCELLED)
        await sim.truth.until(lambda truth: not truth.in_slots())
