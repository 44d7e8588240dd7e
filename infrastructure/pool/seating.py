"""Calls wait, get a slot and leave it.

Owns the way of a call between the queue and a server's slots, and what goes with it: what its client is charged, whose
cache its conversation is in, what is worth a look now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import INTERACTIVE, SPECULATIVE, CallState, SlotState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.pool.affinity import Conversation
    from infrastructure.pool.agenda import Agenda
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.residency import Residency
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Slot, Ticket

_PLACED, _DONE = CallState.PLACED, CallState.DONE
_OVER = frozenset(state for state in CallState if state.final)


class Seating:
    """The steps between waiting and having a slot. Nothing is decided here."""

    def __init__(
        self,
        servers: Mapping[str, ServerState],
        queue: CallQueue,
        residency: Residency,
        agenda: Agenda,
    ) -> None:
        self.guesses = 0
        """Speculative calls in flight."""
        self._servers = servers
        self._queue = queue
        self._residency = residency
        self._agenda = agenda

    def wait(self, ticket: Ticket) -> None:
        """The call is queued."""
        if ticket.conversation is not None:
            ticket.owner = ticket.conversation.server
        self._queue.put(ticket)
        lane, agenda = ticket.lane, self._agenda
        agenda.arrived[lane] = None
        if ticket.excluded or not self._residency.hosts(lane):
            agenda.doubtful = True
            self._residency.arrived(lane)

    def change_lane(self, ticket: Ticket, lane: Lane, conversation: Conversation | None) -> None:
        """The waiting call waits in this lane from now on, as old as it is."""
        if self._queue.remove(ticket):
            self._called_off(ticket.lane)
        ticket.lane, ticket.conversation = lane, conversation
        self.wait(ticket)

    def withdraw(self, ticket: Ticket, state: CallState) -> None:
        """A waiting call leaves the queue for good."""
        last = self._queue.remove(ticket)
        ticket.become(state)
        ticket.account.leave()
        if last:
            self._called_off(ticket.lane)

    def give(self, ticket: Ticket, server: ServerState, now: float) -> None:
        """A call, waiting or new, gets a slot on this server; its conversation is evaluated there from now on."""
        if ticket.line is not None and self._queue.remove(ticket):
            self._called_off(ticket.lane)
        ticket.attempts += 1
        waited = now - ticket.queued_since
        if waited > 0:
            ticket.queued_seconds += waited
        self.take(ticket, server, now)
        conversation = ticket.conversation
        if ticket.call.band is SPECULATIVE:
            self.guesses += 1
            ticket.uncached = ticket.prompt_tokens - (0 if conversation is None else conversation.cached(server.name))
        elif self.guesses and ticket.call.band is INTERACTIVE:
            self._agenda.joined[server.name, ticket.lane] = None
        if conversation is not None and ticket.owner != server.name:
            conversation.goes_to(server.name, ticket.prompt_tokens)

    def take(self, ticket: Ticket, server: ServerState, now: float) -> None:
        """The call gets a slot on this server, and its client is charged for it."""
        ticket.become(_PLACED)
        ticket.slot = server.take(ticket, now)
        ticket.first_byte_at = None
        ticket.placed_at = now
        ticket.overlaps = ()
        ticket.charged = ticket.account.charge(ticket.prompt_tokens)

    def leave(self, ticket: Ticket, state: CallState) -> Slot:
        """A call in flight leaves its slot, which is not free yet."""
        slot = ticket.slot
        if slot is None:
            raise LookupError(f"call {ticket.number} holds no slot")
        ticket.become(state)
        ticket.slot = None
        slot.ticket = None
        del slot.berth.in_flight[ticket.number]
        if ticket.call.band is SPECULATIVE:
            self.guesses -= 1
        server = self._servers[slot.server]
        if state is not _DONE:
            if ticket.first_byte_at is None:
                ticket.account.settle(ticket.charged, 0, 0)
            if self._residency.failed(ticket, server):
                self._agenda.reopen()
        elif server.move is not None and self._residency.answered(ticket, server):
            self._agenda.reopen()
        if state in _OVER:
            ticket.account.leave()
        if self._agenda.quiet:
            self.quieter(slot)
        return slot

    def free(self, slot: Slot) -> None:
        """The slot's connection is closed."""
        self._servers[slot.server].give_back(slot)
        self._agenda.freed[slot.server, slot.lane] = None

    def cancel(self, ticket: Ticket, state: CallState) -> Slot:
        """A call in flight ends otherwise than answered; its slot is cancelling until it is freed."""
        midway = ticket.state is CallState.STREAMING
        slot = self.leave(ticket, state)
        slot.become(SlotState.CANCELLING)
        if midway:
            slot.berth.left = True
        return slot

    def quieter(self, slot: Slot) -> bool:
        """The call in it reads its prompt no longer, or is gone: whether something was kept from others for its sake.

        That may be given now.
        """
        here = slot.server, slot.lane
        if here not in self._agenda.quiet:
            return False
        del self._agenda.quiet[here]
        self._agenda.freed[here] = None
        return True

    def _called_off(self, lane: Lane) -> None:
        """No call of the lane waits any longer: nothing needs to be loaded for it."""
        if self._residency.call_off(lane):
            self._agenda.reopen()
