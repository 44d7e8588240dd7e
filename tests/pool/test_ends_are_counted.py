"""How a call ended is counted, told and observed as its caller saw it, whatever it was waiting for when it was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from infrastructure.config.settings import PoolSettings
from infrastructure.connection_pool import Call, CallState, CallUpdate, ChunkStream, OllamaConnectionPool
from infrastructure.pool.errors import PoolClosed, PoolDraining, PoolSaturated
from infrastructure.pool.hedging import Hedge
from infrastructure.pool.observing import CallEnd
from infrastructure.simulator import Fault, FaultKind, Simulator
from infrastructure.transport.answer import Streamed
from infrastructure.transport.errors import StreamBroken
from tests.pool.servers import ask, faulty, paced, pool_over, simulator
from tests.pool.test_hedging import all_free, free, warmed

SPECULATIVE = Call(band="speculative")
DONE, FAILED, CANCELLED = CallState.DONE, CallState.FAILED, CallState.CANCELLED


class Closing:
    """Closes that wait for the other side, as they do over some wires: each says that it has begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        close = Streamed.__aexit__
        self._begun = asyncio.Semaphore(0)
        self._held = True
        self._goes_on = asyncio.Event()

        async def close_later(answer: Streamed, *error: Any) -> None:
            try:
                if self._held:
                    self._begun.release()
                    await self._goes_on.wait()
            finally:
                await close(answer, *error)

        monkeypatch.setattr(Streamed, "__aexit__", close_later)

    async def begun(self) -> None:
        """One more is under way."""
        await self._begun.acquire()

    def let_go(self) -> None:
        """They wait no longer, nor does any that follows."""
        self._held = False
        self._goes_on.set()


@pytest.fixture
def closing(monkeypatch: pytest.MonkeyPatch) -> Closing:
    return Closing(monkeypatch)


class Ends:
    """What is told of one call, and what an observer hears of all."""

    def __init__(self) -> None:
        self.states: list[CallState] = []
        self.heard: list[CallEnd] = []

    def watch(self, update: CallUpdate) -> None:
        self.states.append(update.state)

    def ended(self, end: CallEnd) -> None:
        self.heard.append(end)

    def are(self, pool: OllamaConnectionPool, *states: CallState) -> None:
        """The calls ended so, the watched one last: by the counters, the observer and the watcher."""
        calls = pool.snapshot().calls
        counted = {DONE: calls.done, FAILED: calls.failed, CANCELLED: calls.cancelled}
        assert counted == {state: states.count(state) for state in counted}
        assert [end.state for end in self.heard] == list(states)
        assert all((end.reply is not None) is (end.state is DONE) for end in self.heard)
        assert [state for state in self.states if state.final] == [states[-1]]
        assert self.states[-1] is states[-1]


@asynccontextmanager
async def observed(*servers: Simulator, **more: Any) -> AsyncIterator[tuple[OllamaConnectionPool, Ends]]:
    """A pool, whose slots are all free in the end, and no client has a call that is not over."""
    async with pool_over(*servers, **more) as pool:
        ends = Ends()
        pool.observe(ends)
        yield pool, ends
        assert all_free(pool)
        assert pool.snapshot().clients == {}


async def left(task: asyncio.Task[Any]) -> None:
    """Its caller is cancelled, and sees that."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def asked(pool: OllamaConnectionPool, ends: Ends, **more: Any) -> ChunkStream:
    return pool.stream_chat(**{"model": "words", "messages": ask(), "watch": ends.watch, **more})


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [None, FaultKind.HALF_LINE], ids=["answered", "broken"])
async def test_a_call_left_while_its_end_is_being_closed_is_cancelled(
    closing: Closing, fault: FaultKind | None, whole: bool
):
    server = simulator() if fault is None else simulator([faulty(fault, after_chunks=2)])
    async with observed(server) as (pool, ends):
        stream = asked(pool, ends, whole=whole)
        task = asyncio.create_task(stream.whole())
        await closing.begun()
        await left(task)

        ends.are(pool, CANCELLED)
        assert stream.reply is None


async def test_a_call_that_nobody_leaves_ends_when_its_connection_is_closed(closing: Closing):
    async with observed(simulator()) as (pool, ends):
        task = asyncio.create_task(asked(pool, ends).whole())
        await closing.begun()
        assert pool.snapshot().calls.done == 0
        closing.let_go()

        assert (await task).text == "one two three four five"
        ends.are(pool, DONE)


async def test_a_call_left_while_it_moves_to_another_server_is_cancelled(closing: Closing):
    servers = [simulator([faulty(FaultKind.HALF_LINE)]) for _ in range(2)]
    async with observed(*servers) as (pool, ends):
        task = asyncio.create_task(asked(pool, ends).whole())
        await closing.begun()
        await left(task)

        ends.are(pool, CANCELLED)
        assert pool.snapshot().calls.moved == ends.states.count(CallState.QUEUED) - 1 == 1
        assert not sum(pool.snapshot().queued.values())


@pytest.mark.parametrize("placed", [False, True], ids=["queued", "placed"])
async def test_a_move_is_told_of_a_call_that_is_left_in_the_same_moment(placed: bool):
    servers = simulator([faulty(FaultKind.HANG)]), simulator([faulty(FaultKind.HANG)])
    async with observed(*servers) as (pool, ends):
        task = asyncio.create_task(asked(pool, ends).whole())
        reached = [asyncio.create_task(server.truth.until(lambda truth: bool(truth.in_slots()))) for server in servers]
        await asyncio.wait(reached, return_when=asyncio.FIRST_COMPLETED)
        first = next(server for server, each in zip(servers, reached, strict=True) if each.done())
        for each in reached:
            each.cancel()
        pool._dispatcher.take_back(first.url, lambda _: True)
        if placed:
            pool._dispatcher.pump()
        await left(task)

        ends.are(pool, CANCELLED)
        assert pool.snapshot().calls.moved == ends.states.count(CallState.QUEUED) - 1 == 1


async def test_a_guess_left_while_it_gives_way_is_cancelled(closing: Closing):
    server = paced()
    async with observed(server) as (pool, ends):
        guess = asyncio.create_task(asked(pool, ends, model="endless", call=SPECULATIVE, whole=True).whole())
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        urgent = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 3}))
        await closing.begun()
        await left(guess)
        closing.let_go()
        await urgent

        assert [end.state for end in ends.heard] == [CANCELLED, DONE]
        assert ends.states[-2:] == [CallState.PREEMPTED, CANCELLED]
        calls = pool.snapshot().calls
        assert (calls.cancelled, calls.done, calls.preempted) == (1, 1, 1)


async def test_a_guess_that_gives_way_while_the_pool_closes_has_failed(closing: Closing):
    server = paced()
    async with observed(server) as (pool, ends):
        guess = asyncio.create_task(asked(pool, ends, model="endless", call=SPECULATIVE, whole=True).whole())
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        urgent = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await closing.begun()
        end = asyncio.create_task(pool.aclose())
        await asyncio.wait([urgent])
        closing.let_go()
        await end
        with pytest.raises(PoolClosed):
            await guess

        assert isinstance(urgent.exception(), PoolClosed)
        ends.are(pool, FAILED, FAILED)


async def test_a_reader_who_leaves_is_cancelled_and_may_be_cancelled_in_that(closing: Closing):
    async with observed(paced()) as (pool, ends):
        stream = asked(pool, ends, model="endless")
        await anext(stream)
        leaving = asyncio.create_task(stream.aclose())
        await closing.begun()
        await left(leaving)

        ends.are(pool, CANCELLED)


@pytest.mark.parametrize("reads_on", [True, False], ids=["reads on", "leaves"])
async def test_a_busy_reader_of_a_pool_that_closed_has_failed_only_if_it_reads_on(reads_on: bool):
    async with observed(paced()) as (pool, ends):
        stream = asked(pool, ends, model="endless")
        await anext(stream)
        await pool.aclose()
        if reads_on:
            with pytest.raises(PoolClosed):
                await anext(stream)
        else:
            await stream.aclose()

        ends.are(pool, FAILED if reads_on else CANCELLED)


async def test_a_call_that_is_broken_off_and_left_at_once_is_cancelled():
    server = simulator([faulty(FaultKind.HANG)])
    async with observed(server) as (pool, ends):
        task = asyncio.create_task(asked(pool, ends).whole())
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        (run,) = pool._dispatcher.runs()
        pool._dispatcher.break_off(run, StreamBroken(message="it hangs"))
        await left(task)

        ends.are(pool, CANCELLED)


async def test_a_call_left_on_its_way_to_the_second_server_is_cancelled(
    closing: Closing, monkeypatch: pytest.MonkeyPatch
):
    closing.let_go()
    servers = simulator(slots=2), simulator(slots=2)
    async with observed(*servers, slots=2) as (pool, ends):
        await warmed(pool, *servers)
        pool.drain_server("gpu1")
        servers[0].set_fault("words", Fault(kind=FaultKind.HANG, times=1))
        task = asyncio.create_task(asked(pool, ends).whole())
        adopt = Hedge.adopt

        def adopt_and_leave(hedge: Hedge, *ticket: Any) -> None:
            adopt(hedge, *ticket)
            task.cancel()

        monkeypatch.setattr(Hedge, "adopt", adopt_and_leave)
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)
        with pytest.raises(asyncio.CancelledError):
            await task

        ends.are(pool, *[DONE] * 24, CANCELLED)
        await free(*servers)


async def test_an_embedding_that_is_left_is_cancelled():
    server = simulator([faulty(FaultKind.HANG)])
    async with observed(server) as (pool, ends):
        task = asyncio.create_task(pool.embed(model="words", input="hi", watch=ends.watch))
        await server.truth.until(lambda truth: bool(truth.running()))
        await left(task)

        ends.are(pool, CANCELLED)
        assert ends.heard[0].operation == "embeddings"


async def test_a_shared_question_is_cancelled_when_the_last_who_waits_leaves(closing: Closing):
    async with observed(simulator([faulty(FaultKind.HALF_LINE, after_chunks=2)])) as (pool, ends):
        both = [asyncio.create_task(pool.chat(model="words", messages=ask(), options={"seed": 1})) for _ in range(2)]
        await closing.begun()
        await left(both[0])
        assert not ends.heard
        await left(both[1])

        assert [end.state for end in ends.heard] == [CANCELLED]
        assert pool.snapshot().calls.cancelled == 1


async def test_what_is_refused_at_the_door_has_failed():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server, settings=PoolSettings(queue_length=1)) as pool:
        calls = [asyncio.create_task(pool.generate(model="words", prompt="hi"))]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        calls.append(asyncio.create_task(pool.generate(model="words", prompt="hi")))
        await asyncio.sleep(0)
        with pytest.raises(PoolSaturated):
            await pool.generate(model="words", prompt="hi")
        draining = asyncio.create_task(pool.drain())
        await asyncio.sleep(0)
        with pytest.raises(PoolDraining):
            await pool.generate(model="words", prompt="hi")
        for call in calls:
            await left(call)
        await draining

        counts = pool.snapshot().calls
        assert (counts.failed, counts.cancelled) == (2, 2)


@pytest.mark.parametrize("state", [CallState.QUEUED, CallState.STREAMING, DONE])
async def test_an_error_of_whoever_watches_fails_the_call(state: CallState):
    def broken(update: CallUpdate) -> None:
        if update.state is state:
            raise ZeroDivisionError

    async with observed(simulator()) as (pool, ends):
        stream = asked(pool, ends, watch=broken)
        with pytest.raises(ZeroDivisionError):
            await stream.whole()

        assert stream.reply is None
        assert [end.state for end in ends.heard] == [FAILED]
        assert (pool.snapshot().calls.failed, pool.snapshot().calls.done) == (1, 0)
