"""A call that gets its slot at once, past the queue: the same decisions as by way of it, and nothing left behind."""

from __future__ import annotations

import gc
import random

import pytest

from infrastructure.pool.calls import Call, Reply
from infrastructure.pool.lanes import Lane
from infrastructure.pool.run import Run
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.ticket import Ticket
from infrastructure.transport.messages import Metrics
from tests.pool.servers import ask, pool_over, simulator

SERVERS = {"one": 1, "two": 2, "learned": None}
LANES = [Lane("a:latest"), Lane("a:latest", (("num_ctx", 8192),)), Lane("b:latest")]
BANDS = [Band.INTERACTIVE, Band.INTERACTIVE, Band.BATCH, Band.SPECULATIVE]
STEPS = 400


class Life:
    """A scheduler that is driven as the dispatcher drives it: what can be decided is decided after each change."""

    def __init__(self, *, at_once: bool) -> None:
        self.scheduler = Scheduler(SERVERS, queue_length=100, places=dict.fromkeys(SERVERS, 2))
        self.at_once = at_once
        self.now = 0.0
        self.tickets: list[Ticket] = []
        self.seated = 0
        for name in SERVERS:
            self.scheduler.roster.up(name, models=["a:latest", "b:latest"], loaded=["a:latest"], now=0)

    def pump(self) -> None:
        self.scheduler.expire(self.now)
        self.scheduler.place(self.now)
        for ticket, slot in self.scheduler.preempt(self.now):
            self.scheduler.free(slot)
            self.scheduler.return_preempted(ticket, self.now)
            self.scheduler.place(self.now)

    def arrive(self, lane: Lane, call: Call, tokens: int, excluded: frozenset[str]) -> None:
        ticket, _ = self.scheduler.enqueue(
            lane,
            call,
            now=self.now,
            expires_at=self.now + 30,
            prompt_tokens=tokens,
            read=call.band is Band.INTERACTIVE,
            excluded=excluded,
            at_once=self.at_once,
        )
        self.tickets.append(ticket)
        self.seated += ticket.slot is not None
        if ticket.slot is None or self.scheduler.crowded:
            self.pump()

    def end(self, number: int, state: CallState, metrics: Metrics) -> None:
        ticket = self.tickets[number]
        assert ticket.slot is not None
        for step in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
            self.scheduler.advance(ticket, step)
        self.scheduler.answered(ticket, ticket.slot.server, self.now)
        if state is CallState.DONE:
            self.scheduler.served(ticket, metrics, 1.0, self.now)
            self.scheduler.end(ticket)
        else:
            self.scheduler.roster.failed(ticket.slot.server, ticket.lane, self.now)
            self.scheduler.free(self.scheduler.stop(ticket, state))
        self.pump()

    def where(self) -> list[tuple[CallState, str | None]]:
        return [(each.state, each.slot.server if each.slot else None) for each in self.tickets]


@pytest.mark.parametrize("seed", range(20))
def test_a_call_past_the_queue_gets_the_slot_that_it_would_have_got_by_way_of_it(seed: int):
    chance = random.Random(seed)
    queued, direct = lives = Life(at_once=False), Life(at_once=True)
    for _ in range(STEPS):
        since = chance.choice([0.0, 0.1, 2.0])
        tokens = chance.choice([10, 4000])
        call = Call(
            client=chance.choice(["ann", "bob"]),
            band=chance.choice(BANDS),
            prefix=chance.choice([None, "talk", "chat"]),
        )
        lane, excluded = chance.choice(LANES), frozenset(chance.choice([(), (), (), ("one",)]))
        state = chance.choice([CallState.DONE] * 5 + [CallState.FAILED])
        metrics = Metrics(2_000_000_000, 0, tokens, 500_000_000, chance.randrange(500), 1_000_000_000)
        in_flight = [number for number, ticket in enumerate(queued.tickets) if ticket.slot is not None]
        ending = chance.choice(in_flight) if in_flight and chance.random() < 0.55 else None
        for life in lives:
            life.now += since
            if ending is None:
                life.arrive(lane, call, tokens, excluded)
            else:
                life.end(ending, state, metrics)

        assert direct.where() == queued.where()
    assert queued.seated == 0
    assert direct.seated > 10, "the way past the queue was not taken"


async def test_a_call_leaves_nothing_that_only_a_collection_of_garbage_would_free():
    async with pool_over(simulator(), simulator()) as pool:

        async def ask_twice() -> None:
            await pool.chat(model="words", messages=ask())
            async with pool.stream_chat(model="words", messages=ask()) as stream:
                assert [chunk async for chunk in stream]

        await ask_twice()
        gc.collect()
        gc.disable()
        try:
            await ask_twice()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, Run | Ticket | Reply)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    assert left == []
