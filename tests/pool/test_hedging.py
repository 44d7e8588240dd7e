"""A call that is late with its first byte asks a second server, and takes whichever answers first."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import Band, Call, OllamaConnectionPool, Reply
from infrastructure.pool.asks import EmbedAsk
from infrastructure.pool.errand import Errand
from infrastructure.pool.estimates import Estimates
from infrastructure.pool.hedging import Hedge
from infrastructure.pool.lanes import Lane
from infrastructure.pool.lateness import LATE_SECONDS
from infrastructure.pool.retries import RetryBudget
from infrastructure.pool.states import CallState, SlotState
from infrastructure.simulator import Fault, FaultKind, Simulator
from infrastructure.transport.messages import EmbedRequest
from tests.pool.servers import ask, pool_over, simulator
from tests.pool.test_scheduler import A

TEXT = "one two three four five"


async def warmed(pool: OllamaConnectionPool, *servers: Simulator) -> None:
    """Both servers have the model loaded, and the pool knows how long a first byte takes."""
    for number in range(len(servers)):
        pool.drain_server(f"gpu{1 - number}")
        for _ in range(12):
            await pool.chat(model="words", messages=ask())
        pool.drain_server(f"gpu{1 - number}", draining=False)


async def hanging_on_both(pool: OllamaConnectionPool, *servers: Simulator) -> asyncio.Task[Reply]:
    """A call that both servers have taken, and neither answers."""
    await warmed(pool, *servers)
    for server in servers:
        server.set_fault("words", Fault(kind=FaultKind.HANG))
    answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
    for server in servers:
        await server.truth.until(lambda truth: bool(truth.in_slots()))
    return answering


def all_free(pool: OllamaConnectionPool) -> bool:
    return not any(server.in_flight for server in pool.snapshot().servers)


async def free(*servers: Simulator) -> None:
    for server in servers:
        await server.truth.until(lambda truth: not truth.in_slots())


@pytest.mark.parametrize("whole", [True, False])
async def test_a_hanging_server_is_passed_by(whole: bool):
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers)
        servers[0].set_fault("words", Fault(kind=FaultKind.HANG, times=1))
        pool.drain_server("gpu1")
        told: list[CallState] = []
        stream = pool.stream_chat(
            model="words", messages=ask(), whole=whole, watch=lambda update: told.append(update.state)
        )
        answering = asyncio.create_task(stream.whole())
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)
        reply = await answering

        assert (reply.text, reply.server) == (TEXT, "gpu1")
        assert CallState.QUEUED not in told[told.index(CallState.WAITING) :]
        assert pool.snapshot().calls.done == 25
        await free(*servers)
        assert all_free(pool)


async def test_a_call_that_is_late_while_no_other_slot_is_free_asks_another_server_as_soon_as_one_is():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers)
        servers[0].set_fault("words", Fault(kind=FaultKind.HANG, times=1))
        pool.drain_server("gpu1")
        answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        await asyncio.wait([answering], timeout=0.2)  # it is late by now
        pool.drain_server("gpu1", draining=False)

        assert (await answering).server == "gpu1"


async def test_the_first_server_may_still_be_faster():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers)
        pool.drain_server("gpu1")
        servers[0].hold("hi")
        servers[1].set_fault("words", Fault(kind=FaultKind.HANG))
        answering = asyncio.create_task(pool.chat(model="words", messages=ask("hi")))
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)
        servers[0].release("hi")

        assert (await answering).server == "gpu0"
        await free(*servers)
        assert all_free(pool)


async def test_a_cancelled_call_leaves_neither_server_at_work():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        answering = await hanging_on_both(pool, *servers)
        answering.cancel()
        await asyncio.wait([answering])
        await free(*servers)
        await pool.aclose()
        assert all_free(pool)
        assert pool.snapshot().calls.cancelled == 1


async def test_a_pool_that_closes_ends_both():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        answering = await hanging_on_both(pool, *servers)
        await pool.aclose()
        await asyncio.wait([answering])
        assert answering.exception() is not None
        assert all_free(pool)


async def test_a_guess_asks_nobody_else():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers)
        servers[0].set_fault("words", Fault(kind=FaultKind.HANG))
        pool.drain_server("gpu1")
        guess = asyncio.create_task(pool.chat(model="words", messages=ask(), call=Call(band=Band.SPECULATIVE)))
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)
        done, _ = await asyncio.wait([guess], timeout=0.3)
        assert not done
        assert not servers[1].truth.in_slots()
        guess.cancel()
        await asyncio.wait([guess])


async def test_a_call_that_moved_asks_one_further_server_and_leaves_none_at_work():
    """The first attempt's clock must not strike in the second one: its answer would find nobody who takes it."""
    servers = simulator(slots=2), simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers[:2])
        pool.drain_server("gpu0")
        pool.drain_server("gpu1")
        await pool.chat(model="words", messages=ask())
        pool.drain_server("gpu1", draining=False)
        pool.drain_server("gpu0", draining=False)
        pool.drain_server("gpu2")
        pool.drain_server("gpu1")
        conversation = Call(prefix="a conversation")
        await pool.chat(model="words", messages=ask(), call=conversation)
        pool.drain_server("gpu1", draining=False)
        pool.drain_server("gpu2", draining=False)
        pool._dispatcher.hedges = RetryBudget(start=2)
        servers[0].set_fault("words", Fault(kind=FaultKind.ERROR))
        for server in servers[1:]:
            server.set_fault("words", Fault(kind=FaultKind.HANG))
        answering = asyncio.create_task(pool.chat(model="words", messages=ask(), call=conversation))
        for server in servers[1:]:
            await server.truth.until(lambda truth: bool(truth.in_slots()))
        done, _ = await asyncio.wait([answering], timeout=4 * LATE_SECONDS)
        assert not done
        assert (pool.snapshot().calls.moved, pool.snapshot().calls.hedged) == (1, 1)
        answering.cancel()
        await asyncio.wait([answering])
        await free(*servers)
        assert all_free(pool)


def test_late_is_what_is_later_than_95_of_100():
    estimates = Estimates()
    for number in range(19):
        estimates.of(A).answered(float(number))
    assert estimates.late(A) is None
    for number in range(19, 100):
        estimates.of(A).answered(float(number))
    assert estimates.late(A) == 95
    for number in range(250, 100, -1):
        estimates.of(A).answered(float(number))
    assert estimates.late(A) == 196, "of the last hundred"


async def test_a_twin_that_is_given_up_before_its_first_step_keeps_no_slot():
    servers = simulator(slots=2), simulator(slots=2)
    async with pool_over(*servers, slots=2) as pool:
        await warmed(pool, *servers)
        dispatcher = pool._dispatcher
        ticket = dispatcher.admit(Lane("words:latest"), Call())
        slot = await dispatcher.turn(ticket)
        twin = dispatcher.twin(ticket)
        assert twin is not None
        ask = EmbedAsk(EmbedRequest(model="words", input=()))
        errand = Errand(ask=ask, settings=LaneSettings(model="words"), lane=twin.lane, options={})
        Hedge(errand, dispatcher, twin, lambda: None).give_up()
        dispatcher.free(dispatcher.scheduler.stop(ticket, CallState.CANCELLED))
        assert slot.state is SlotState.FREE
        assert all_free(pool)
