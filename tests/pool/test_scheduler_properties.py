"""What holds for the scheduler whatever happens in whatever order: a state machine against a model of the truth."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from infrastructure.pool.calls import Call
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.fairness import OUTPUT_WEIGHT, PROMPT_WEIGHT
from infrastructure.pool.lanes import Lane
from infrastructure.pool.learning import MOST_SLOTS
from infrastructure.pool.placement import AGED_SECONDS, FAIR_TOKENS, may_serve, needs_no_load
from infrastructure.pool.quiet import GAP_SECONDS, PATIENCE_SECONDS
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.server_state import ServerState
from infrastructure.pool.states import Band, CallState, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket
from infrastructure.transport.messages import Metrics
from tests.fuzzing import examples

SERVERS = {"one": 1, "two": 2, "learned": None}
PLACES = {"one": 1, "two": 2, "learned": None}
LANES = [Lane("a:latest"), Lane("a:latest", (("num_ctx", 8192),)), Lane("b:latest")]
CLIENTS = ["ann", "bob"]
NEXT = {CallState.PLACED: CallState.CONNECTING, CallState.CONNECTING: CallState.WAITING}
QUEUE = 12
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
"""Without `explain`, which traces every line of a failing run: what fails would run into the timeout instead."""
SECOND = 1_000_000_000


class SchedulerLife(RuleBasedStateMachine):
    """Calls come, go, fail and are cancelled; servers come and go, load and forget; slots are freed late."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(SERVERS, queue_length=QUEUE, places=PLACES)
        self.tickets: list[Ticket] = []
        self.cancelling: list[Slot] = []
        self.now = 0.0

    # ---------------------------------------------------------------------------------------- calls
    @rule(
        target=calls,
        lane=st.sampled_from(LANES),
        band=st.sampled_from(Band),
        client=st.sampled_from(CLIENTS),
        prefix=st.sampled_from([None, "talk", "chat"]),
        tokens=st.sampled_from([10, 4000]),
        read=st.booleans(),
        patience=st.floats(0.1, 50),
    )
    def arrive(
        self, lane: Lane, band: Band, client: str, prefix: str | None, tokens: int, read: bool, patience: float
    ) -> Ticket | None:
        call = Call(band=band, client=client, prefix=prefix)
        try:
            ticket, _ = self.scheduler.enqueue(
                lane, call, now=self.now, expires_at=self.now + patience, prompt_tokens=tokens, read=read
            )
        except PoolSaturated:
            parks = self.parks(lane)
            rivals = [each for each in self.scheduler.queue.in_order() if self.parks(each.lane, each.excluded) is parks]
            assert len(rivals) >= QUEUE, "refused though there was a place"
            assert not any(each.call.band.order > band.order for each in rivals), "a less urgent call kept its place"
            return None
        self.tickets.append(ticket)
        return ticket

    def parks(self, lane: Lane, excluded: frozenset[str] = frozenset()) -> bool:
        """Whether only drained servers may serve it."""
        holders = [each for each in self.scheduler.servers.values() if lane.model in (each.models or ())]
        serving = any(each.serving for each in holders)
        return not excluded and not serving and any(each.draining for each in holders)

    @rule(ticket=calls)
    def advance(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.state in NEXT:
            self.scheduler.advance(ticket, NEXT[ticket.state])

    @rule(ticket=calls, begun=st.booleans())
    def answer(self, ticket: Ticket | None, begun: bool) -> None:
        if ticket is not None and ticket.state is CallState.WAITING:
            assert ticket.slot is not None
            self.scheduler.advance(ticket, CallState.STREAMING)
            self.scheduler.answered(ticket, ticket.slot.server, self.now)
            ticket.begun = begun

    @rule(ticket=calls, output=st.integers(0, 2000), wait=st.floats(0, 3), load=st.sampled_from([0.0, 2.0]))
    def finish(self, ticket: Ticket | None, output: int, wait: float, load: float) -> None:
        if ticket is None or ticket.state is not CallState.STREAMING:
            return
        metrics = Metrics(
            total_ns=int((wait + load + 2) * SECOND),
            load_ns=int(load * SECOND),
            prompt_ns=SECOND,
            decode_ns=SECOND,
            prompt_tokens=ticket.prompt_tokens,
            completion_tokens=output,
        )
        self.scheduler.served(ticket, metrics, wait + load + 2, self.now)
        self.scheduler.end(ticket)

    @rule(ticket=calls, state=st.sampled_from([CallState.FAILED, CallState.CANCELLED]))
    def stop(self, ticket: Ticket | None, state: CallState) -> None:
        if ticket is None:
            return
        if ticket.state is CallState.QUEUED:
            self.scheduler.withdraw(ticket, state)
        elif ticket.state.holds_slot:
            self.cancelling.append(self.scheduler.stop(ticket, state))

    @rule(ticket=calls, exclude=st.booleans())
    def move(self, ticket: Ticket | None, exclude: bool) -> None:
        if ticket is not None and ticket.slot is not None and ticket.state is not CallState.STREAMING:
            server = ticket.slot.server if exclude else None
            self.cancelling.append(self.scheduler.move(ticket, exclude=server, now=self.now))

    @rule(ticket=calls, lane=st.sampled_from(LANES))
    def change_lane(self, ticket: Ticket | None, lane: Lane) -> None:
        if ticket is not None and ticket.state is CallState.QUEUED:
            self.scheduler.change_lane(ticket, lane)

    @rule(ticket=calls)
    def come_back(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.state is CallState.PREEMPTED:
            if ticket.begun:
                self.scheduler.give_up_preempted(ticket, CallState.FAILED)
            else:
                self.scheduler.return_preempted(ticket, self.now)

    @rule(data=st.data())
    def connection_closed(self, data: st.DataObject) -> None:
        if self.cancelling:
            slot = self.cancelling.pop(data.draw(st.integers(0, len(self.cancelling) - 1)))
            self.scheduler.free(slot)

    # -------------------------------------------------------------------------------------- servers
    @rule(
        server=st.sampled_from(list(SERVERS)),
        models=st.sets(st.sampled_from(["a:latest", "b:latest"])),
        loaded=st.sets(st.sampled_from(["a:latest", "b:latest"])),
    )
    def server_up(self, server: str, models: set[str], loaded: set[str]) -> None:
        self.scheduler.residency.looks.discard(server)
        self.scheduler.roster.up(server, models=models, loaded=sorted(models & loaded)[: PLACES[server]], now=self.now)

    @rule(server=st.sampled_from(list(SERVERS)))
    def server_down(self, server: str) -> None:
        self.scheduler.roster.down(server, "gone", self.now)

    @rule(server=st.sampled_from(list(SERVERS)), draining=st.booleans())
    def server_drained(self, server: str, draining: bool) -> None:
        self.scheduler.roster.set_draining(server, draining)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for ticket in self.scheduler.expire(self.now):
            assert ticket.expires_at <= self.now
        assert all(ticket.expires_at > self.now for ticket in self.scheduler.queue.in_order())

    # ------------------------------------------------------------------------------------ decisions
    @rule()
    def place(self) -> None:
        waiting = list(self.scheduler.queue.in_order())
        room = {name: {lane: server.room(lane) for lane in LANES} for name, server in self.scheduler.servers.items()}
        placed = self.scheduler.place(self.now)
        for ticket in placed:
            assert ticket.slot is not None
            server = self.scheduler.servers[ticket.slot.server]
            assert room[server.name][ticket.lane], "given a slot where none was free"
            assert may_serve(server, ticket)
            assert ticket in waiting
        self._no_slot_is_left_idle()
        self._bands_are_strict(placed)
        assert self.scheduler.place(self.now) == [], "all that can be decided is decided at once"

    def _no_slot_is_left_idle(self) -> None:
        """No call waits that could start at once, but for a person's sake, or since a guess gives way for it."""
        for ticket in self.scheduler.queue.in_order():
            for server in self.scheduler.servers.values():
                if (
                    may_serve(server, ticket)
                    and needs_no_load(server, ticket.lane)
                    and server.open_to(ticket.lane)
                    and server.room(ticket.lane)
                ):
                    guess_first = server.guesses_first(ticket.lane) and self._is_for_others(ticket, server)
                    assert guess_first or self._kept_for_a_person(ticket, server.name), (ticket, server.name)

    def _is_for_others(self, ticket: Ticket, server: ServerState) -> bool:
        """Whether a call that is no guess waits for the lane there: this one, or one that goes before."""
        waiting = (each for each in self.scheduler.queue.in_order() if each.lane == ticket.lane)
        return any(each.call.band is not Band.SPECULATIVE and may_serve(server, each) for each in waiting)

    def _kept_for_a_person(self, ticket: Ticket, name: str) -> bool:
        """Whether it may wait although there is a slot: its prompt would make a stream stall, or a first token late."""
        if ticket.call.band is Band.INTERACTIVE or self.now - ticket.queued_since >= PATIENCE_SECONDS:
            return False
        speed = self.scheduler.estimates.prompt_speed(name, ticket.lane)
        gaps = speed is not None and min(ticket.prompt_tokens, 512) / speed > GAP_SECONDS
        late = ticket.prompt_tokens > (512 if speed is None else GAP_SECONDS * speed)
        return any(
            (person.read and gaps) or (person.first_byte_at is None and ticket.call.band is Band.SPECULATIVE and late)
            for person in self.scheduler.servers[name].berths[ticket.lane].serves(Band.INTERACTIVE)
        )

    def _bands_are_strict(self, placed: list[Ticket]) -> None:
        for ticket in placed:
            assert ticket.slot is not None
            server = self.scheduler.servers[ticket.slot.server]
            for other in self.scheduler.queue.in_order():
                if other.lane == ticket.lane and other.call.band.order < ticket.call.band.order:
                    aged = ticket.call.band is Band.BATCH and self.now - ticket.enqueued_at >= AGED_SECONDS
                    held = self._kept_for_a_person(other, server.name)
                    assert aged or held or not may_serve(server, other), "a lower band went first"

    @rule()
    def preempt(self) -> None:
        urgent = sum(self.scheduler.queue.count(band) for band in (Band.INTERACTIVE, Band.BATCH))
        crowded = self.scheduler.crowded
        victims = self.scheduler.preempt(self.now)
        assert not victims or urgent or crowded
        for ticket, slot in victims:
            assert ticket.call.band is Band.SPECULATIVE
            self.cancelling.append(slot)

    @rule()
    def decide(self) -> None:
        """As whoever drives it does while calls have not seen their slot: it comes to an end."""
        for _ in range(3 * QUEUE):
            self.place()
            victims = self.scheduler.preempt(self.now)
            for ticket, slot in victims:
                self.scheduler.free(slot)
                self.scheduler.return_preempted(ticket, self.now)
            if not victims:
                return
        raise AssertionError("guesses lose the slots that they are given, for ever")

    # ----------------------------------------------------------------------------------- invariants
    @invariant()
    def every_call_is_in_one_place(self) -> None:
        waiting = list(self.scheduler.queue.in_order())
        assert len(set(waiting)) == len(waiting) == len(self.scheduler.queue) <= 2 * QUEUE + len(self.tickets)
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
            slots = [slot for berth in server.berths.values() for slot in berth.slots]
            taken = [slot for slot in slots if slot.state is not SlotState.FREE]
            given = SERVERS[name]
            assert all(len(berth.slots) <= (given or MOST_SLOTS) for berth in server.berths.values())
            assert server.in_flight == len(taken)
            closing = [slot for slot in self.cancelling if slot.server == name]
            assert len(taken) == len([each for each in in_flight if each.slot in slots]) + len(closing)
            for lane, berth in server.berths.items():
                here = {each.number for each in in_flight if each.slot in berth.slots}
                assert berth.in_flight.keys() == here
                assert server.cancelling(lane) == sum(slot.lane == lane for slot in closing)
        for band in Band:
            assert self.scheduler.in_flight[band] == sum(each.call.band is band for each in in_flight)

    @invariant()
    def lines_hold_the_queue_and_know_the_owners(self) -> None:
        for line in self.scheduler.queue.lines():
            calls = list(line)
            assert len(calls) == line.size > 0
            assert [ticket.number for ticket in calls] == sorted({ticket.number for ticket in calls})
            assert line.served_least()[0] in calls
            for server in SERVERS:
                first = next((ticket for ticket in calls if ticket.owner == server), None)
                owned = line.owned_by(server)
                assert (owned is None) == (first is None)
                assert owned is None or owned in calls

    @invariant()
    def a_model_on_its_way_in_has_one_call_there(self) -> None:
        for server in self.scheduler.servers.values():
            move = server.move
            if move is not None and move.ticket is not None:
                assert move.ticket.slot is not None
                assert move.ticket.slot.server == server.name
                assert move.ticket.lane == move.lane
            elif move is not None:
                assert self.scheduler.queue.of(move.lane), "a load for nobody"

    @invariant()
    def a_stranded_call_is_one_that_no_server_may_take(self) -> None:
        stranded = [ticket for line in self.scheduler.stranded() for ticket in line]
        for ticket in self.scheduler.queue.in_order():
            possible = [
                server
                for server in self.scheduler.servers.values()
                if (not ticket.excluded if server.draining else server.health is Health.UP)
                and server.name not in ticket.excluded
                and ticket.lane.model in (server.models or ())
            ]
            assert (ticket in stranded) == (not possible)


TestSchedulerLife = SchedulerLife.TestCase
TestSchedulerLife.settings = settings(
    max_examples=examples(40, 400), stateful_step_count=60, deadline=None, phases=PHASES
)


class FairLife(RuleBasedStateMachine):
    """Two clients that always have work, one slot: what they get never differs by more than the bound."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler({"one": 1}, queue_length=100)
        self.scheduler.roster.up("one", models=["a:latest"], loaded=["a:latest"], now=0)
        self.had = dict.fromkeys(CLIENTS, 0.0)
        for client in CLIENTS:
            self.ask(client, 100)

    def ask(self, client: str, tokens: int) -> None:
        self.scheduler.enqueue(LANES[0], Call(client=client), now=0, expires_at=1, prompt_tokens=tokens)

    @rule(tokens=st.sampled_from([10, 400, 4000]), output=st.integers(0, 2000), more=st.sampled_from(CLIENTS))
    def serve(self, tokens: int, output: int, more: str) -> None:
        (ticket,) = self.scheduler.place(0)
        self.ask(ticket.call.client, tokens)
        self.ask(more, tokens)
        self.scheduler.advance(ticket, CallState.CONNECTING)
        self.scheduler.advance(ticket, CallState.WAITING)
        self.scheduler.served(ticket, Metrics(prompt_tokens=ticket.prompt_tokens, completion_tokens=output), 1, now=0)
        self.scheduler.end(ticket)
        self.had[ticket.call.client] += PROMPT_WEIGHT * ticket.prompt_tokens + OUTPUT_WEIGHT * output

    @invariant()
    def nobody_gets_much_more(self) -> None:
        # Two calls of the longest kind (VTC's bound), and as much again that guesses of lengths may be off.
        longest = 4000 * PROMPT_WEIGHT + 2000 * OUTPUT_WEIGHT
        ann, bob = self.had.values()
        assert abs(ann - bob) <= 3 * longest + FAIR_TOKENS


TestFairLife = FairLife.TestCase
TestFairLife.settings = settings(max_examples=examples(20, 200), stateful_step_count=50, deadline=None, phases=PHASES)
