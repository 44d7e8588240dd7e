"""Turns in the queue, where a call and its slot miss each other by one step of the loop."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from infrastructure.config.settings import LaneSettings, PoolSettings, ServerSettings
from infrastructure.pool.calls import Call
from infrastructure.pool.dispatcher import Dispatcher
from infrastructure.pool.errors import DeadlinePassed, PoolClosed
from infrastructure.pool.lanes import Lane
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.ticket import Slot, Ticket
from infrastructure.transport.errors import OllamaError, ServerUnreachable

LANE = Lane("a:latest")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A call that does nothing with its slot."""

    left: frozenset[str] = frozenset()
    ends_at = float("inf")

    def __init__(self, dispatcher: Dispatcher, band: Band, deadline: float | None = None) -> None:
        self.dispatcher = dispatcher
        self.errand = SimpleNamespace(settings=LaneSettings(model=LANE.model), lane=LANE)
        self.ticket: Ticket = dispatcher.admit(LANE, Call(band=band, deadline=deadline))
        self.interrupted: list[OllamaError | None] = []
        dispatcher.register(self)
        self.turn = asyncio.create_task(dispatcher.turn(self.ticket))

    def interrupt(self, slot: Slot, error: OllamaError | None) -> None:
        self.interrupted.append(error)
        self.dispatcher.free(slot)

    def tell_position(self, position: int) -> None:
        raise AssertionError("not within this test")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def dispatcher(clock: Clock):
    made = Dispatcher({"one": ServerSettings(url="http://127.0.0.1:1", slots=1)}, PoolSettings(), clock)
    made.scheduler.roster.up("one", models=["a:latest"], loaded=["a:latest"], now=clock.now)
    yield made
    await made.aclose()


def nothing_is_taken(dispatcher: Dispatcher) -> bool:
    return not dispatcher.scheduler.servers["one"].in_flight and not len(dispatcher.scheduler.queue)


async def test_a_call_cancelled_between_its_placing_and_its_next_step_gives_the_slot_back(dispatcher: Dispatcher):
    holder, waiting = Run(dispatcher, Band.BATCH), Run(dispatcher, Band.BATCH)
    slot = await holder.turn
    await asyncio.sleep(0)
    dispatcher.scheduler.stop(holder.ticket, CallState.FAILED)
    dispatcher.free(slot)
    assert waiting.ticket.state is CallState.PLACED
    waiting.turn.cancel()
    await asyncio.wait([waiting.turn])

    assert waiting.turn.cancelled()
    assert waiting.ticket.state is CallState.CANCELLED
    assert nothing_is_taken(dispatcher)


async def test_a_speculative_call_that_has_not_seen_its_slot_waits_on_for_the_next(dispatcher: Dispatcher):
    holder, guess = Run(dispatcher, Band.BATCH), Run(dispatcher, Band.SPECULATIVE)
    slot = await holder.turn
    await asyncio.sleep(0)
    dispatcher.scheduler.stop(holder.ticket, CallState.FAILED)
    dispatcher.free(slot)
    assert guess.ticket.state is CallState.PLACED
    person = Run(dispatcher, Band.INTERACTIVE)
    dispatcher.pump()
    slot = await person.turn

    assert not guess.turn.done()
    assert guess.ticket.state is CallState.QUEUED
    assert guess.interrupted == []
    dispatcher.scheduler.stop(person.ticket, CallState.FAILED)
    dispatcher.free(slot)
    assert (await guess.turn).ticket is guess.ticket
    dispatcher.free(dispatcher.scheduler.stop(guess.ticket, CallState.FAILED))


async def test_closing_takes_a_slot_back_that_its_call_has_not_seen(dispatcher: Dispatcher):
    holder, waiting = Run(dispatcher, Band.BATCH), Run(dispatcher, Band.BATCH)
    slot = await holder.turn
    await asyncio.sleep(0)
    dispatcher.scheduler.stop(holder.ticket, CallState.FAILED)
    dispatcher.free(slot)
    assert waiting.ticket.state is CallState.PLACED
    await dispatcher.aclose()
    await asyncio.wait([waiting.turn])

    assert isinstance(waiting.turn.exception(), PoolClosed)
    assert nothing_is_taken(dispatcher)


async def test_closing_interrupts_calls_that_use_their_slot(dispatcher: Dispatcher):
    holder = Run(dispatcher, Band.BATCH)
    await holder.turn
    await dispatcher.aclose()

    (error,) = holder.interrupted
    assert isinstance(error, PoolClosed)
    assert nothing_is_taken(dispatcher)


async def test_a_waiting_call_is_refused_when_its_deadline_passes(dispatcher: Dispatcher, clock: Clock):
    holder = Run(dispatcher, Band.BATCH)
    slot = await holder.turn
    waiting = Run(dispatcher, Band.BATCH, deadline=5)
    await asyncio.sleep(0)
    clock.now += 4.9
    dispatcher.pump()
    await asyncio.sleep(0)
    assert not waiting.turn.done()
    clock.now += 0.1
    dispatcher.pump()
    await asyncio.wait([waiting.turn])

    assert isinstance(waiting.turn.exception(), DeadlinePassed)
    dispatcher.scheduler.stop(holder.ticket, CallState.FAILED)
    dispatcher.free(slot)
    assert nothing_is_taken(dispatcher)


async def test_drain_waits_for_the_last_call(dispatcher: Dispatcher):
    holder = Run(dispatcher, Band.BATCH)
    slot = await holder.turn
    draining = asyncio.create_task(dispatcher.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    dispatcher.scheduler.stop(holder.ticket, CallState.FAILED)
    dispatcher.free(slot)
    dispatcher.forget(holder)
    await draining


async def test_a_server_that_failed_another_call_is_looked_at_before_a_call_is_refused(clock: Clock):
    """One reset stream is no word about the server: a call that has nowhere else to go must not be lost for it."""
    servers = {name: ServerSettings(url=f"http://127.0.0.1:{port}") for port, name in ((1, "one"), (2, "two"))}
    dispatcher = Dispatcher(servers, PoolSettings(), clock)
    for name in servers:
        dispatcher.scheduler.roster.up(name, models=["a:latest"], loaded=["a:latest"], now=clock.now)
    run = Run(dispatcher, Band.BATCH)
    slot = await run.turn
    other = "two" if slot.server == "one" else "one"
    dispatcher.scheduler.roster.up(other, models=["a:latest"], loaded=["a:latest"], now=clock.now)
    dispatcher.blame(other, LANE, ServerUnreachable("reset"), answering=False)
    dispatcher.move(run.ticket, slot.server)
    dispatcher.free(slot)

    assert run.ticket.state is CallState.QUEUED
    assert dispatcher.inventory.looking(other)
    await dispatcher.aclose()


async def test_a_look_that_began_before_a_call_was_made_does_not_refuse_it(clock: Clock):
    """The server may have come up meanwhile: it is looked at once more."""
    dispatcher = Dispatcher({"one": ServerSettings(url="http://127.0.0.1:1")}, PoolSettings(), clock)
    dispatcher.scheduler.roster.look_begins("one")
    run = Run(dispatcher, Band.BATCH)
    dispatcher.scheduler.roster.down("one", "refused", clock.now)
    dispatcher.pump()

    assert run.ticket.state is CallState.QUEUED
    assert dispatcher.inventory.looking("one")
    await dispatcher.aclose()
