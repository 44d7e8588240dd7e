"""The scheduler: calls come, get slots and end.

Owns the invariants: a call is in one place, a slot has one call, states move along their tables. Pure: no await, no
clock, no I/O; whoever drives it passes the time and carries out what it decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool import placement
from infrastructure.pool.affinity import Conversations
from infrastructure.pool.agenda import Agenda
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.estimates import Estimates
from infrastructure.pool.filling import Filling
from infrastructure.pool.lanes import Lane
from infrastructure.pool.learning import waited_for_a_slot
from infrastructure.pool.queue import CallQueue, newest_below
from infrastructure.pool.residency import Residency
from infrastructure.pool.roster import Roster
from infrastructure.pool.seating import Seating
from infrastructure.pool.server_state import ServerState, swap_slots
from infrastructure.pool.states import Band, CallState, Health
from infrastructure.pool.ticket import Slot, Ticket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.pool.calls import Call
    from infrastructure.pool.line import Line
    from infrastructure.transport.messages import Metrics

_RETRY_SECONDS = (1.0, 60.0)


class Scheduler:
    """Central queue, late binding: a call is bound to a server only when a slot there is free for it."""

    def __init__(
        self,
        servers: Mapping[str, int | None],
        *,
        queue_length: int,
        places: Mapping[str, int | None] | None = None,
    ) -> None:
        """A scheduler over servers by name.

        Args:
            servers: each with its number of slots for one lane; None: learned.
            queue_length: how many calls may wait; as many again for drained servers.
            places: how many models each holds in memory at once, where that is known.
        """
        known = places or {}
        self.servers = {name: ServerState(name, slots, places=known.get(name)) for name, slots in servers.items()}
        self.queue = CallQueue()
        self.estimates = Estimates()
        self._conversations = Conversations()
        self.reloads = 0
        """Times a server had to load a model that we took for loaded: somebody else's doing, or a full memory."""
        self._order = list(self.servers.values())
        self._queue_length = queue_length
        self._patient = True
        quiet: dict[tuple[str, Lane], None] = {}
        self.residency = Residency(self.queue, self.estimates, self._conversations, self._order)
        self._placement = placement.Placement(self.queue, self.estimates, quiet)
        self._agenda = Agenda(self.queue, self.residency, quiet)
        self.roster = Roster(self.servers, self._order, self.queue, self.residency, self._agenda)
        self._seating = Seating(self.servers, self.queue, self.residency, self._agenda)
        self._filling = Filling(self.servers, self.queue, self.residency, self._agenda, self._placement, self._seating)
        self.attendance = self.roster.attendance

    # ----------------------------------------------------------------------------------- coming, waiting
    def limit_queue(self, length: int) -> None:
        """So many calls may wait from now on; those that wait already stay."""
        self._queue_length = length

    def hurry(self) -> None:
        """No call waits for a drained server any more: `stranded`."""
        self._patient = False
        self._agenda.doubtful = True

    def enqueue(
        self,
        lane: Lane,
        call: Call,
        *,
        now: float,
        expires_at: float,
        prompt_tokens: int = 0,
        read: bool = False,
        embeds: bool = False,
        excluded: frozenset[str] = frozenset(),
        at_once: bool = False,
    ) -> tuple[Ticket, Ticket | None]:
        """A new call; with it the call that had to give up its place for it, now failed.

        Args:
            lane: its model and load-time options.
            call: for whom, how urgent.
            now: seconds.
            expires_at: when it is given up if it still waits.
            prompt_tokens: how long its prompt is thought to be.
            read: whether somebody reads the answer as it comes.
            embeds: whether it wants vectors.
            excluded: servers to which it must not go.
            at_once: give it a slot now, if that is what `place` would do first.

        Raises:
            PoolSaturated: the queue is full, and of calls that are no less urgent.
        """
        queue = self.queue
        displaced = self._displaced_by(call, lane, excluded) if len(queue.calls) >= self._queue_length else None
        ticket = Ticket(
            number=queue.next_number(),
            lane=lane,
            call=call,
            account=queue.shares[call.band].enter(call.client),
            conversation=None if call.prefix is None else self._conversations.of(lane, call.prefix),
            enqueued_at=now,
            expires_at=expires_at,
            queued_since=now,
            prompt_tokens=prompt_tokens,
            read=read,
            embeds=embeds,
            excluded=excluded,
        )
        if not (at_once and not queue.calls and self.roster.tries_at > now and self._filling.seat(ticket, now)):
            self._seating.wait(ticket)
        return ticket, displaced

    def withdraw(self, ticket: Ticket, state: CallState) -> None:
        """A waiting call leaves the queue for good."""
        self._seating.withdraw(ticket, state)

    def change_lane(self, ticket: Ticket, lane: Lane) -> None:
        """A waiting call's model has another name, or its name is another model's, than when it came."""
        prefix = ticket.call.prefix
        conversation = None if prefix is None else self._conversations.of(lane, prefix)
        self._seating.change_lane(ticket, lane, conversation)

    def expire(self, now: float) -> list[Ticket]:
        """Fail the waiting calls whose time is over; those calls."""
        late = self.queue.expired(now)
        for ticket in late:
            self._seating.withdraw(ticket, CallState.FAILED)
        return late

    def saturated(self) -> PoolSaturated:
        """The refusal when the queue is full: a place is free when the next call in flight is done."""
        slots = sum(server.capacity for server in self._order if server.health is not Health.DOWN) or 1
        low, high = _RETRY_SECONDS
        return PoolSaturated(len(self.queue), min(high, max(low, self.estimates.any_service / slots)))

    @property
    def doubtful(self) -> bool:
        """Whether a call may wait that no server can take: `stranded` says so for sure."""
        return self._agenda.doubtful

    def stranded(self) -> list[Line]:
        """The lines of waiting calls that no server could take even if all slots were free: `placement.stranded`."""
        lost = placement.stranded(self.queue.lines(), self._order, patient=self._patient)
        self._agenda.doubtful = bool(lost)
        return lost

    # ----------------------------------------------------------------------------------------- decisions
    def place(self, now: float) -> list[Ticket]:
        """Give free slots to waiting calls until no more fit; the calls that got one."""
        placed: list[Ticket] = []
        agenda, residency = self._agenda, self.residency
        if agenda.quiet_until <= now:
            agenda.quiet_is_over()
        if self.roster.tries_at <= now:
            self.roster.try_again(now)
        while True:
            if agenda.freed or agenda.arrived:
                self._filling.fill(now, placed)
            if self.queue.calls and residency.wake_at <= now:
                for server, ticket in residency.decide(now):
                    self._seating.give(ticket, server, now)
                    placed.append(ticket)
            if not (agenda.freed or agenda.arrived):  # else a load was called off: that may be another lane's chance
                break
        if agenda.quiet:
            agenda.quiet_begins(now)
        return placed

    @property
    def crowded(self) -> bool:
        """Whether `preempt` may have something to do though no call waits."""
        return bool(self._agenda.joined)

    @property
    def wake_at(self) -> float:
        """When something may be decided although nothing has happened; infinity if nothing."""
        return min(self._agenda.quiet_until, self.roster.tries_at, self.residency.wake_at)

    def preempt(self, now: float) -> list[tuple[Ticket, Slot]]:
        """Take slots of speculative calls for waiting calls of higher bands, and where a person's would wait for them.

        The calls that lost theirs, and the slots, which are cancelling until `free` is called.
        """
        joined = self._agenda.joined
        if not self._seating.guesses or not (self.queue.calls or joined):
            joined.clear()
            return []
        victims = self._placement.choose_victims(self._order, joined, now)
        joined.clear()
        return [(ticket, self.stop(ticket, CallState.PREEMPTED)) for ticket in victims]

    # ----------------------------------------------------------------------------------------- in flight
    def advance(self, ticket: Ticket, state: CallState) -> None:
        """A call in flight gets on: connecting, waiting, streaming."""
        ticket.become(state)

    @property
    def in_flight(self) -> dict[Band, int]:
        """Calls in flight by band."""
        counts = dict.fromkeys(Band, 0)
        for server in self._order:
            for berth in server.berths.values():
                for ticket in berth.in_flight.values():
                    counts[ticket.call.band] += 1
        return counts

    def answered(self, ticket: Ticket, name: str, now: float) -> bool:
        """The first byte is here: the lane is loaded there. Whether that is news, and others may be placed."""
        ticket.first_byte_at = now
        if ticket.slot is not None:
            ticket.slot.berth.left = False
        news = self.residency.answered(ticket, self.servers[name])
        if news:
            self._agenda.reopen()
        if self._agenda.quiet and ticket.slot is not None and self._seating.quieter(ticket.slot):
            return True
        return news

    def served(self, ticket: Ticket, metrics: Metrics, seconds: float, now: float) -> None:
        """A call was answered whole, in so many seconds from being sent; called before `end`.

        Its own figures teach how long things take, how many slots there are and what its client has had.
        """
        slot = ticket.slot
        if slot is None:
            raise LookupError(f"call {ticket.number} holds no slot")
        name, lane, berth, pace = slot.server, slot.lane, slot.berth, self.estimates.of(slot.lane)
        breakers = self.servers[name].breakers
        if breakers.of and breakers.succeeded(lane):
            self._agenda.freed[name, lane] = None
        load = metrics.load_ns / 1e9
        answering = seconds - load
        if ticket.first_byte_at is not None:
            pace.answered(max(0.0, answering - (now - ticket.first_byte_at)))
        pace.served(name, max(0.0, answering), now)
        pace.evaluated(name, metrics.prompt_tokens, metrics.prompt_ns / 1e9)
        if self.residency.load_seen(ticket, load):
            self.reloads += 1
        waited, for_a_slot = metrics.slot_wait_ns / 1e9, False
        if berth.given is None:
            away = max(0.0, seconds - metrics.total_ns / 1e9)
            for_a_slot = waited_for_a_slot(ticket, waited, away)
            if berth.learns_from(ticket, waited, away, now):
                self._agenda.freed[name, lane] = None
        if metrics.prompt_ns and metrics.decode_ns and not for_a_slot:
            pace.put_aside(name, waited)
        prompt = metrics.prompt_tokens or ticket.prompt_tokens
        ticket.account.settle(ticket.charged, prompt, metrics.completion_tokens)
        conversation = ticket.conversation
        if conversation is not None:
            conversation.server, conversation.tokens = name, prompt + metrics.completion_tokens

    def end(self, ticket: Ticket) -> None:
        """A call in flight is done and its connection is free again: so is its slot."""
        self._seating.free(self._seating.leave(ticket, CallState.DONE))

    def stop(self, ticket: Ticket, state: CallState) -> Slot:
        """A call in flight ends otherwise; its slot is cancelling until `free` is called."""
        return self._seating.cancel(ticket, state)

    def free(self, slot: Slot) -> None:
        """The slot's connection is closed."""
        self._seating.free(slot)

    def move(self, ticket: Ticket, *, exclude: str | None, now: float) -> Slot:
        """A call in flight gets no answer where it is: it is queued again, not for the server that failed it.

        Its slot is cancelling until `free` is called.
        """
        slot = self._seating.cancel(ticket, CallState.QUEUED)
        if exclude is not None:
            ticket.excluded |= {exclude}
        self._requeue(ticket, now)
        return slot

    # ------------------------------------------------------------------------------- twins, those pre-empted
    def twin(self, ticket: Ticket, now: float) -> Ticket | None:
        """A second ticket for a late call, with a free slot where its lane is surely loaded; None: there is no such.

        It is counted as a call of its own until it is stopped.
        """
        server = placement.second_server(ticket, self.residency.hosts(ticket.lane))
        if server is None:
            return None
        twin, call = ticket.twin(self.queue.next_number()), ticket.call
        self.queue.shares[call.band].enter(call.client)
        self._seating.take(twin, server, now)
        return twin

    def swap(self, ticket: Ticket, twin: Ticket) -> None:
        """A call and its twin change places."""
        swap_slots(ticket, twin)

    def return_preempted(self, ticket: Ticket, now: float) -> None:
        """A pre-empted call whose caller has had nothing is queued again, as old as it was."""
        ticket.become(CallState.QUEUED)
        self._requeue(ticket, now)

    def give_up_preempted(self, ticket: Ticket, state: CallState) -> None:
        """A pre-empted call is over."""
        ticket.become(state)
        ticket.account.leave()

    # --------------------------------------------------------------------------------------------- steps
    def _displaced_by(self, call: Call, lane: Lane, excluded: frozenset[str]) -> Ticket | None:
        """The waiting call that gives up its place, failed by now; None if its rivals leave it one."""
        rivals = placement.rivals(lane, excluded, self.queue.unsorted(), self._order)
        if sum(line.size for line in rivals) < self._queue_length:
            return None
        displaced = newest_below(call.band, rivals)
        if displaced is None:
            raise self.saturated()
        self._seating.withdraw(displaced, CallState.FAILED)
        return displaced

    def _requeue(self, ticket: Ticket, now: float) -> None:
        ticket.queued_since = now
        self._seating.wait(ticket)
