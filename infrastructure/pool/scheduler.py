"""The scheduler: all state of queue, slots and servers, and every change of it.

Owns the invariants: a call is in one place, a slot has one call, states move along their tables. Pure: no await, no
clock, no I/O; whoever drives it passes the time and carries out what it decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool import placement
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.queue import CallQueue
from infrastructure.pool.server_state import ServerState
from infrastructure.pool.states import Band, CallState, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from infrastructure.pool.calls import Call
    from infrastructure.pool.lanes import Lane

_SMOOTHING = 0.2
_FIRST_GUESS_SECONDS = 5.0
_RETRY_SECONDS = (1.0, 60.0)


class Scheduler:
    """Central queue, late binding: a call is bound to a server only when a slot there is free for it."""

    def __init__(self, servers: Mapping[str, int], *, queue_length: int) -> None:
        """A scheduler over servers by name, each with its number of slots for one lane."""
        self.servers = {name: ServerState(name, slots) for name, slots in servers.items()}
        self.queue = CallQueue()
        self._settling = False
        self._open: set[Lane] = set()
        self.in_flight: dict[Band, int] = dict.fromkeys(Band, 0)
        self._order: Sequence[ServerState] = tuple(self.servers.values())
        self._queue_length = queue_length
        self._last_number = 0
        self._service_seconds = _FIRST_GUESS_SECONDS

    @property
    def settling(self) -> bool:
        """Whether some servers have not yet said what they have loaded."""
        return self._settling

    @settling.setter
    def settling(self, value: bool) -> None:
        self._settling = value
        self._reopen()

    # ------------------------------------------------------------------------------------------ calls
    def enqueue(self, lane: Lane, call: Call, *, now: float, expires_at: float) -> tuple[Ticket, Ticket | None]:
        """A new call, at the end of its band; with it the call that had to give up its place for it, now failed.

        Raises:
            PoolSaturated: the queue is full, and of calls that are no less urgent.
        """
        displaced = None
        if len(self.queue) >= self._queue_length:
            displaced = self.queue.newest_below(call.band)
            if displaced is None:
                raise self.saturated()
            self.withdraw(displaced, CallState.FAILED)
        ticket = Ticket(
            number=self._next_number(),
            lane=lane,
            call=call,
            enqueued_at=now,
            expires_at=expires_at,
            queued_since=now,
        )
        self._wait(ticket)
        return ticket, displaced

    def place(self, now: float) -> list[Ticket]:
        """Give free slots to waiting calls until no more fit; the calls that got one."""
        placed: list[Ticket] = []
        while self._open and (
            decision := placement.choose(self.queue, self._order, settling=self.settling, lanes=self._open)
        ):
            ticket = decision.ticket
            self.queue.remove(ticket)
            ticket.become(CallState.PLACED)
            ticket.slot = decision.server.take(ticket)
            ticket.attempts += 1
            ticket.queued_seconds += max(0.0, now - ticket.queued_since)
            self.in_flight[ticket.call.band] += 1
            placed.append(ticket)
        self._open.clear()
        return placed

    def preempt(self) -> list[tuple[Ticket, Slot]]:
        """Take slots of speculative calls for waiting calls of higher bands.

        The calls that lost theirs, and the slots, which are cancelling until `free` is called.
        """
        if not self.in_flight[Band.SPECULATIVE]:
            return []
        victims = placement.choose_victims(self.queue, self._order)
        return [(ticket, self.stop(ticket, CallState.PREEMPTED)) for ticket in victims]

    def advance(self, ticket: Ticket, state: CallState) -> None:
        """A call in flight gets on: connecting, waiting, streaming."""
        ticket.become(state)

    def end(self, ticket: Ticket) -> None:
        """A call in flight is done and its connection is free again: so is its slot."""
        slot = self._leave(ticket, CallState.DONE)
        self.free(slot)

    def stop(self, ticket: Ticket, state: CallState) -> Slot:
        """A call in flight ends otherwise; its slot is cancelling until `free` is called."""
        slot = self._leave(ticket, state)
        slot.become(SlotState.CANCELLING)
        return slot

    def free(self, slot: Slot) -> None:
        """The slot's connection is closed."""
        self.servers[slot.server].give_back(slot)
        self._open.add(slot.lane)

    def move(self, ticket: Ticket, *, exclude: str, now: float) -> Slot:
        """A call in flight failed on a server before its first byte: it is queued again, for the others.

        Its slot is cancelling until `free` is called.
        """
        slot = self._leave(ticket, CallState.QUEUED)
        slot.become(SlotState.CANCELLING)
        ticket.excluded |= {exclude}
        self._requeue(ticket, now)
        return slot

    def return_preempted(self, ticket: Ticket, now: float) -> None:
        """A pre-empted call whose caller has had nothing is queued again, as old as it was."""
        ticket.become(CallState.QUEUED)
        self._requeue(ticket, now)

    def withdraw(self, ticket: Ticket, state: CallState) -> None:
        """A waiting call leaves the queue for good."""
        self.queue.remove(ticket)
        ticket.become(state)

    def expire(self, now: float) -> list[Ticket]:
        """Fail the waiting calls whose time is over; those calls."""
        late = self.queue.expired(now)
        for ticket in late:
            self.withdraw(ticket, CallState.FAILED)
        return late

    def stranded(self) -> list[Ticket]:
        """The waiting calls that no server could take even if all slots were free."""
        return placement.stranded(self.queue, self._order)

    # ---------------------------------------------------------------------------------------- servers
    def up(self, name: str, *, models: Iterable[str] | None, loaded: Iterable[str] | None, now: float) -> None:
        """A server said what it holds and has loaded (canonical names; None: it would not say)."""
        server = self.servers[name]
        server.health = Health.UP
        server.reason = ""
        self._looked(server, now)
        server.models = None if models is None else frozenset(models)
        if loaded is not None:
            server.observe_loaded(frozenset(loaded))

    def down(self, name: str, reason: str, now: float) -> None:
        """A server could not be reached. What it holds is still believed; what it had loaded is not."""
        server = self.servers[name]
        server.health = Health.DOWN
        server.reason = reason
        self._looked(server, now)
        server.observe_loaded(frozenset())

    def lacks(self, name: str, model: str) -> None:
        """A server said that it does not have this model."""
        server = self.servers[name]
        if server.models is not None:
            server.models -= {model}

    def answered(self, ticket: Ticket, name: str) -> None:
        """The first byte is here: the lane is loaded there."""
        self.servers[name].answered(ticket.lane)

    # ---------------------------------------------------------------------------------------- figures
    def served(self, seconds: float) -> None:
        """A call was in flight for so long, from placed to done."""
        self._service_seconds += _SMOOTHING * (seconds - self._service_seconds)

    def saturated(self) -> PoolSaturated:
        """The refusal when the queue is full: a place is free when the next call in flight is done."""
        slots = sum(server.capacity for server in self._order if server.health is not Health.DOWN) or 1
        low, high = _RETRY_SECONDS
        return PoolSaturated(len(self.queue), min(high, max(low, self._service_seconds / slots)))

    def _leave(self, ticket: Ticket, state: CallState) -> Slot:
        slot = ticket.slot
        if slot is None:
            raise LookupError(f"call {ticket.number} holds no slot")
        ticket.become(state)
        ticket.slot = None
        slot.ticket = None
        self.in_flight[ticket.call.band] -= 1
        return slot

    def _looked(self, server: ServerState, now: float) -> None:
        server.looked_at = now
        server.looked_after = self._last_number
        self._reopen()

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _requeue(self, ticket: Ticket, now: float) -> None:
        ticket.queued_since = now
        self._wait(ticket)

    def _wait(self, ticket: Ticket) -> None:
        self.queue.put(ticket)
        self._open.add(ticket.lane)

    def _reopen(self) -> None:
        """Something changed for every lane: each is worth a look. Else only those are whose slots or calls changed."""
        self._open = self.queue.lanes()
