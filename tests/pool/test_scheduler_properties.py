"""What holds for the scheduler whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from infrastructure.pool.calls import Call
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.lanes import Lane
from infrastructure.pool.placement import best_server, choose
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import Band, CallState, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket

SERVERS = {"one": 1, "two": 2, "three": 3}
LANES = [Lane("a:latest"), Lane("a:latest", (("num_ctx", 8192),)), Lane("b:latest")]
NEXT = {
    CallState.PLACED: CallState.CONNECTING,
    CallState.CONNECTING: CallState.WAITING,
    CallState.WAITING: CallState.STREAMING,
}


class SchedulerLife(RuleBasedStateMachine):
    """Calls come, go, fail and are cancelled; servers come and go; slots are freed late."""

    calls = Bundle("calls")
    closing = Bundle("closing")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(SERVERS, queue_length=12)
        self.tickets: list[Ticket] = []
        self.cancelling: list[Slot] = []
        self.now = 0.0

    @rule(target=calls, lane=st.sampled_from(LANES), band=st.sampled_from(Band), patience=st.floats(0.1, 50))
    def arrive(self, lane: Lane, band: Band, patience: float) -> Ticket | None:
        try:
            ticket, _ = self.scheduler.enqueue(lane, Call(band=band), now=self.now, expires_at=self.now + patience)
        except PoolSaturated:
            assert not any(waiting.call.band.order > band.order for waiting in self.scheduler.queue.in_order()), (
                "a less urgent call kept its place"
            )
            return None
        self.tickets.append(ticket)
        return ticket

    @rule(server=st.sampled_from(list(SERVERS)), models=st.sets(st.sampled_from(["a:latest", "b:latest"])))
    def server_up(self, server: str, models: set[str]) -> None:
        self.scheduler.up(server, models=models, loaded=sorted(models)[:1], now=self.now)

    @rule(server=st.sampled_from(list(SERVERS)))
    def server_down(self, server: str) -> None:
        self.scheduler.down(server, "gone", self.now)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for ticket in self.scheduler.expire(self.now):
            assert ticket.expires_at <= self.now
        assert all(ticket.expires_at > self.now for ticket in self.scheduler.queue.in_order())

    @rule()
    def place(self) -> None:
        before = list(self.scheduler.queue.in_order())
        placed = self.scheduler.place(self.now)
        assert choose(self.scheduler.queue, list(self.scheduler.servers.values())) is None
        for ticket in placed:
            assert ticket.slot is not None
            # Nobody older of the same or a higher band, who could have had that very slot, still waits.
            for other in before[: before.index(ticket)]:
                same_places = (other.lane, other.excluded) == (ticket.lane, ticket.excluded)
                assert not (same_places and other.state is CallState.QUEUED)

    @rule()
    def preempt(self) -> None:
        waiting = sum(self.scheduler.queue.count(band) for band in (Band.INTERACTIVE, Band.BATCH))
        victims = self.scheduler.preempt()
        assert len(victims) <= waiting
        for ticket, slot in victims:
            assert ticket.call.band is Band.SPECULATIVE
            self.cancelling.append(slot)

    @rule(ticket=calls, begun=st.booleans())
    def advance(self, ticket: Ticket | None, begun: bool) -> None:
        if ticket is not None and ticket.state in NEXT:
            self.scheduler.advance(ticket, NEXT[ticket.state])
            ticket.begun = begun and ticket.state is CallState.STREAMING

    @rule(ticket=calls)
    def finish(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.state in (CallState.WAITING, CallState.STREAMING):
            self.scheduler.end(ticket)

    @rule(ticket=calls, state=st.sampled_from([CallState.FAILED, CallState.CANCELLED]))
    def stop(self, ticket: Ticket | None, state: CallState) -> None:
        if ticket is None:
            return
        if ticket.state is CallState.QUEUED:
            self.scheduler.withdraw(ticket, state)
        elif ticket.state.holds_slot:
            self.cancelling.append(self.scheduler.stop(ticket, state))

    @rule(ticket=calls)
    def move(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.state in NEXT and ticket.slot is not None:
            self.cancelling.append(self.scheduler.move(ticket, exclude=ticket.slot.server, now=self.now))

    @rule(ticket=calls)
    def come_back(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.state is CallState.PREEMPTED:
            if ticket.begun:
                ticket.become(CallState.FAILED)
            else:
                self.scheduler.return_preempted(ticket, self.now)

    @rule(data=st.data())
    def connection_closed(self, data: st.DataObject) -> None:
        if self.cancelling:
            slot = self.cancelling.pop(data.draw(st.integers(0, len(self.cancelling) - 1)))
            self.scheduler.free(slot)

    # ------------------------------------------------------------------------------------ invariants
    @invariant()
    def every_call_is_in_one_place(self) -> None:
        waiting = list(self.scheduler.queue.in_order())
        assert len(set(waiting)) == len(waiting) == len(self.scheduler.queue)
        for ticket in self.tickets:
            assert (ticket in waiting) == (ticket.state is CallState.QUEUED) == (ticket in self.scheduler.queue)
            assert (ticket.slot is not None) == ticket.state.holds_slot
            if ticket.slot is not None:
                assert ticket.slot.ticket is ticket
                assert ticket.slot.state is SlotState.BUSY
                assert ticket.slot.lane == ticket.lane

    @invariant()
    def no_slot_is_lost_or_made_up(self) -> None:
        in_flight = [ticket for ticket in self.tickets if ticket.state.holds_slot]
        for name, server in self.scheduler.servers.items():
            slots = [slot for slots in server.lanes().values() for slot in slots]
            taken = [slot for slot in slots if slot.state is not SlotState.FREE]
            assert all(len(slots) <= server.capacity for slots in server.lanes().values())
            assert server.in_flight == len(taken)
            closing = [slot for slot in self.cancelling if slot.server == name]
            assert len(taken) == len([each for each in in_flight if each.slot in slots]) + len(closing)
        for band in Band:
            assert self.scheduler.in_flight[band] == sum(each.call.band is band for each in in_flight)

    @invariant()
    def the_queue_is_ordered_by_band_and_age(self) -> None:
        order = [(ticket.call.band.order, ticket.number) for ticket in self.scheduler.queue.in_order()]
        assert order == sorted(order)
        heads = [ticket for ticket, _ in self.scheduler.queue.lines()]
        assert [(head.call.band.order, head.number) for head in heads] == sorted(
            (head.call.band.order, head.number) for head in heads
        )
        assert len(self.scheduler.queue) <= 12 + len(self.tickets)

    @invariant()
    def a_stranded_call_is_one_that_no_server_may_take(self) -> None:
        stranded = self.scheduler.stranded()
        for ticket in self.scheduler.queue.in_order():
            possible = [
                server
                for server in self.scheduler.servers.values()
                if server.health is Health.UP
                and server.name not in ticket.excluded
                and ticket.lane.model in (server.models or ())
            ]
            assert (ticket in stranded) == (not possible)
            if not possible:
                assert best_server(ticket, list(self.scheduler.servers.values())) is None


TestSchedulerLife = SchedulerLife.TestCase
TestSchedulerLife.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
