"""Leaving a call in every state: the slot is free on both sides, and the server stops."""

from __future__ import annotations

import asyncio
import gc

import pytest

from infrastructure.config.settings import PoolSettings
from infrastructure.connection_pool import Call, CallState, CallUpdate, OllamaConnectionPool, Reply
from infrastructure.pool.errors import PoolClosed, PoolDraining, PoolSaturated, Preempted
from infrastructure.simulator import FaultKind, ModelSpec, Outcome, Simulator, Truth
from tests.pool.servers import MODELS, ask, faulty, paced, pool_over, simulator

SLOW_PROMPT = ModelSpec(name="reader", text="read", prefill_tokens_per_second=20)
SPECULATIVE = Call(band="speculative")


def none_in_slots(truth: Truth) -> bool:
    return not truth.in_slots()


class Reached:
    """Says when a call has reached a state."""

    def __init__(self, state: CallState) -> None:
        self.state = state
        self.event = asyncio.Event()

    def __call__(self, update: CallUpdate) -> None:
        if update.state is self.state:
            self.event.set()


async def settled(pool: OllamaConnectionPool, server: Simulator) -> None:
    """Nothing is held on either side, and the next call is served."""
    await server.truth.until(none_in_slots)
    (shown,) = pool.snapshot().servers
    assert shown.in_flight == 0
    assert all(lane.busy == lane.cancelling == 0 for lane in shown.lanes)
    assert sum(pool.snapshot().queued.values()) == 0
    assert await pool.generate(model="words", prompt="hi", options={"num_predict": 1})


BEFORE_FIRST_BYTE = [CallState.QUEUED, CallState.PLACED, CallState.CONNECTING, CallState.WAITING]


@pytest.mark.parametrize(
    ("state", "model"),
    [
        *((state, model) for state in BEFORE_FIRST_BYTE for model in ("endless", "reader")),
        (CallState.STREAMING, "endless"),
    ],
)
async def test_cancelling_a_call_in_any_state_frees_its_slot(state: CallState, model: str):
    server = simulator([SLOW_PROMPT, *MODELS], time_scale=1, load_seconds=0, decode_tokens_per_second=200)
    async with pool_over(server) as pool:
        reached = Reached(state)
        call = asyncio.create_task(pool.chat(model=model, messages=ask("word " * 200), watch=reached))
        await reached.event.wait()
        call.cancel()
        await asyncio.wait([call])

        assert call.cancelled()
        await settled(pool, server)
        assert pool.snapshot().calls.cancelled == 1
        assert all(record.tokens_after_leaving <= 2 for record in server.truth.requests)


async def test_cancelling_a_call_during_the_load_of_its_model_frees_its_slot():
    server = simulator(time_scale=1, load_seconds=60)
    async with pool_over(server) as pool:
        call = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await server.truth.until(lambda truth: bool(truth.running()))
        call.cancel()
        await asyncio.wait([call])

        await server.truth.until(lambda truth: not truth.running())
        assert pool.snapshot().servers[0].in_flight == 0


async def test_a_call_that_waits_in_the_queue_leaves_it_when_cancelled():
    server = paced()
    async with pool_over(server) as pool:
        holder = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        waiting = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await asyncio.sleep(0)
        assert sum(pool.snapshot().queued.values()) == 1
        waiting.cancel()
        await asyncio.wait([waiting])

        assert sum(pool.snapshot().queued.values()) == 0
        holder.cancel()
        await asyncio.wait([holder])
        await settled(pool, server)


async def test_leaving_a_stream_stops_the_server_within_two_tokens():
    server = paced()
    async with pool_over(server) as pool:
        async with pool.stream_chat(model="endless", messages=ask()) as stream:
            async for _ in stream:
                break

        await settled(pool, server)
        record = server.truth.requests[0]
        assert record.outcome is Outcome.CANCELLED
        assert record.tokens_after_leaving <= 2


async def test_a_stream_that_is_dropped_without_closing_frees_its_slot():
    server = paced()
    async with pool_over(server) as pool:
        async for _ in pool.stream_chat(model="endless", messages=ask()):
            break
        gc.collect()

        await server.truth.until(none_in_slots)
        assert await pool.generate(model="words", prompt="hi", options={"num_predict": 1})


async def test_a_stream_that_was_never_read_asks_nothing():
    server = simulator()
    async with pool_over(server) as pool, pool.stream_chat(model="words", messages=ask()):
        pass

    assert not server.truth.requests


async def test_a_cancelled_embedding_frees_its_slot():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server) as pool:
        call = asyncio.create_task(pool.embed(model="words", input="hi"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

        assert pool.snapshot().servers[0].in_flight == 0


# ---------------------------------------------------------------------------------------- pre-emption
async def test_a_speculative_call_gives_way_and_begins_anew_if_nobody_saw_a_part():
    server = paced()
    async with pool_over(server) as pool:
        seen: list[CallUpdate] = []
        guess = asyncio.create_task(
            pool.chat(model="endless", messages=ask(), options={"num_predict": 30}, call=SPECULATIVE, watch=seen.append)
        )
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        asked = await pool.chat(model="endless", messages=ask(), options={"num_predict": 3})
        answered_first = not guess.done()
        guessed = await guess

    assert asked.text == "again andagain"
    assert answered_first
    assert guessed.metrics.completion_tokens == 30
    assert guessed.text == "".join([" and" if n % 2 else "again" for n in range(30)])
    states = [update.state for update in seen]
    assert states.count(CallState.QUEUED) == states.count(CallState.PLACED) == 2
    assert CallState.PREEMPTED in states
    assert server.truth.most_at_once() == 1


async def test_a_speculative_call_gives_way_before_its_first_byte_even_as_a_stream():
    server = simulator([SLOW_PROMPT], time_scale=1, load_seconds=0)
    async with pool_over(server) as pool:
        waiting = Reached(CallState.WAITING)
        stream = pool.stream_chat(model="reader", messages=ask("word " * 30), call=SPECULATIVE, watch=waiting)
        guess = asyncio.create_task(anext(stream))
        await waiting.event.wait()
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        asked = await pool.chat(model="reader", messages=ask())
        assert not guess.done()

        assert (await guess).text == asked.text == "read"
        await stream.aclose()
        assert pool.snapshot().calls.preempted == 1


async def test_a_speculative_stream_whose_reader_has_had_a_part_fails_with_that_part():
    server = paced()
    async with pool_over(server) as pool:
        stream = pool.stream_chat(model="endless", messages=ask(), call=SPECULATIVE)
        first = await anext(stream)
        # The reader is busy meanwhile, and yet:
        assert (await pool.chat(model="endless", messages=ask(), options={"num_predict": 3})).text
        with pytest.raises(Preempted) as caught:
            await anext(stream)

        assert caught.value.partial.text.startswith(first.text)
        assert pool.snapshot().calls.preempted == 1
        await settled(pool, server)


async def test_a_speculative_stream_that_is_being_read_fails_and_its_task_is_not_cancelled():
    server = paced()
    async with pool_over(server) as pool:

        async def read() -> int:
            try:
                async for _ in pool.stream_chat(model="endless", messages=ask(), call=SPECULATIVE):
                    pass
            except Preempted:
                await asyncio.sleep(0)  # the task goes on as if nothing had happened
                return asyncio.current_task().cancelling()
            raise AssertionError("the endless stream ended")

        reader = asyncio.create_task(read())
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        await pool.chat(model="endless", messages=ask(), options={"num_predict": 3})

        assert await reader == 0


async def test_a_speculative_call_keeps_its_slot_while_another_is_free():
    server = paced(slots=2)
    async with pool_over(server, slots=2) as pool:
        guess = asyncio.create_task(
            pool.chat(model="words", messages=ask(), options={"num_predict": 5}, call=SPECULATIVE)
        )
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        await pool.chat(model="words", messages=ask())
        await guess

        assert pool.snapshot().calls.preempted == 0


async def test_batch_calls_do_not_lose_their_slots():
    server = paced()
    async with pool_over(server) as pool:
        job = asyncio.create_task(pool.chat(model="words", messages=ask(), call=Call(band="batch")))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        await pool.chat(model="words", messages=ask())

        assert job.done()
        assert pool.snapshot().calls.preempted == 0


async def test_a_person_goes_before_waiting_jobs():
    server = paced()
    async with pool_over(server) as pool:
        ended: list[str] = []

        async def one(name: str, call: Call) -> None:
            await pool.chat(model="words", messages=ask(), call=call)
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(one("running", Call(band="batch")))
            await server.truth.until(lambda truth: bool(truth.in_slots()))
            for name in ("job 1", "job 2"):
                group.create_task(one(name, Call(band="batch")))
            await asyncio.sleep(0)
            group.create_task(one("person", Call()))

        assert ended == ["running", "person", "job 1", "job 2"]


# --------------------------------------------------------------------------------- refusing and ending
async def test_a_full_queue_refuses_with_the_time_to_come_again():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server, settings=PoolSettings(queue_length=2)) as pool:
        calls = [asyncio.create_task(pool.generate(model="words", prompt="hi"))]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        calls += [asyncio.create_task(pool.generate(model="words", prompt="hi")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(PoolSaturated) as caught:
            await pool.generate(model="words", prompt="hi")

        assert caught.value.queued == 2
        assert caught.value.retry_after >= 1
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


async def test_a_full_queue_makes_room_for_a_more_urgent_call():
    server = paced()
    async with pool_over(server, settings=PoolSettings(queue_length=2)) as pool:
        job = Call(band="batch")
        holder = asyncio.create_task(pool.chat(model="words", messages=ask(), call=job))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        waiting = [asyncio.create_task(pool.chat(model="words", messages=ask(), call=job)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await pool.generate(model="words", prompt="hi")
        await asyncio.wait([holder, *waiting])

        assert isinstance(waiting[1].exception(), PoolSaturated)
        assert waiting[0].result().text


async def test_drain_finishes_calls_in_hand_and_refuses_new_ones():
    server = paced()
    async with pool_over(server) as pool:
        calls = [asyncio.create_task(pool.chat(model="words", messages=ask())) for _ in range(3)]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        draining = asyncio.create_task(pool.drain())
        await asyncio.sleep(0)
        with pytest.raises(PoolDraining):
            await pool.generate(model="words", prompt="hi")
        await draining

        assert [call.result().text for call in calls] == ["one two three four five"] * 3
        assert pool.snapshot().draining


async def test_closing_ends_every_call_in_every_state_with_pool_closed():
    server = paced(slots=2)
    async with server:
        pool = OllamaConnectionPool([server.url])
        running = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        waiting = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        await asyncio.gather(pool.aclose(), pool.aclose())
        await asyncio.wait([running, waiting])

        assert isinstance(running.exception(), PoolClosed)
        assert isinstance(waiting.exception(), PoolClosed)
        await server.truth.until(none_in_slots)
        with pytest.raises(PoolClosed):
            await pool.generate(model="words", prompt="hi")
        with pytest.raises(PoolClosed):
            await pool.models()
        await pool.aclose()


async def test_closing_while_the_reader_of_a_stream_is_busy_ends_the_stream():
    server = paced()
    async with server:
        pool = OllamaConnectionPool([server.url])
        stream = pool.stream_chat(model="endless", messages=ask())
        await anext(stream)
        await pool.aclose()

        await server.truth.until(none_in_slots)
        with pytest.raises(PoolClosed):
            await anext(stream)


async def test_closing_goes_on_when_its_caller_is_cancelled():
    server = paced()
    async with server:
        pool = OllamaConnectionPool([server.url])
        running = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        closing = asyncio.create_task(pool.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing, running])

        assert closing.cancelled()
        assert isinstance(running.exception(), PoolClosed)
        assert pool.snapshot().servers[0].in_flight == 0


async def test_a_pool_that_was_never_used_closes():
    pool = OllamaConnectionPool(["http://127.0.0.1:1"])
    await pool.aclose()
    assert pool.snapshot().closed


async def test_no_task_is_left_behind():
    server = paced()
    async with pool_over(server) as pool:
        for model in ("words", "endless"):
            async with pool.stream_chat(model=model, messages=ask()) as stream:
                await anext(stream)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_guess_that_loses_its_slot_by_its_own_first_byte_begins_anew():
    """Its first byte opens the lane, so that an urgent call takes the slot: the guess's caller was never cancelled."""
    server = simulator(time_scale=1, load_seconds=0.05, decode_tokens_per_second=1000)

    async def read() -> str:
        stream = pool.stream_chat(model="words", messages=ask("guess"), call=SPECULATIVE)
        return "".join([chunk.text async for chunk in stream])

    async with pool_over(server) as pool:
        guess = asyncio.create_task(read())
        await server.truth.until(lambda truth: bool(truth.requests))
        urgent = await pool.chat(model="words", messages=ask("urgent"))
        await asyncio.wait([guess])
        assert not guess.cancelled()
        assert guess.result() == urgent.text == "one two three four five"
        assert pool.snapshot().calls.preempted == 1
        await settled(pool, server)


@pytest.mark.parametrize("placed", [False, True], ids=["queued", "placed"])
async def test_a_call_that_is_left_while_it_moves_is_counted_and_holds_nothing(placed: bool):
    servers = simulator([faulty(FaultKind.HANG)]), simulator([faulty(FaultKind.HANG)])
    async with pool_over(*servers) as pool:
        call, first, _ = await waiting_at_one(pool, servers)
        pool._dispatcher.take_back(first.url, lambda _: True)
        if placed:
            pool._dispatcher.pump()
        call.cancel()
        await asyncio.wait([call])

        assert call.cancelled()
        counts = pool.snapshot().calls
        assert (counts.moved, counts.cancelled) == (1, 1)
        assert not any(server.in_flight for server in pool.snapshot().servers)
        assert not sum(pool.snapshot().queued.values())


async def test_a_call_that_moves_and_has_a_slot_at_once_is_told_of_both():
    servers = simulator([faulty(FaultKind.HANG)]), simulator([faulty(FaultKind.HANG)])
    async with pool_over(*servers) as pool:
        call, first, told = await waiting_at_one(pool, servers)
        pool._dispatcher.take_back(first.url, lambda _: True)
        pool._dispatcher.pump()
        (other,) = (server for server in servers if server is not first)
        await other.truth.until(lambda truth: bool(truth.in_slots()))
        call.cancel()
        await asyncio.wait([call])

        then = told[told.index(CallState.WAITING) + 1 :]
        assert then[: then.index(CallState.CONNECTING)] == [CallState.QUEUED, CallState.PLACED]


async def waiting_at_one(
    pool: OllamaConnectionPool, servers: tuple[Simulator, Simulator]
) -> tuple[asyncio.Task[Reply], Simulator, list[CallState]]:
    """A call that waits at one of two servers, that one, and the states that were told."""
    told: list[CallState] = []
    call = asyncio.create_task(pool.chat(model="words", messages=ask(), watch=lambda update: told.append(update.state)))
    reached = [asyncio.create_task(server.truth.until(lambda truth: bool(truth.in_slots()))) for server in servers]
    await asyncio.wait(reached, return_when=asyncio.FIRST_COMPLETED)
    first = next(server for server, task in zip(servers, reached, strict=True) if task.done())
    for task in reached:
        task.cancel()
    await asyncio.wait(reached)
    return call, first, told
