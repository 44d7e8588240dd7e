"""The scheduler: all state of queue, slots and servers, and every change of it.

Owns the invariants: a call is in one place, a slot has one call, states move along their tables. Pure: no await, no
clock, no I/O; whoever drives it passes the time and carries out what it decides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from infrastructure.pool import placement
from infrastructure.pool.affinity import PrefixOwners
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.estimates import Estimates
from infrastructure.pool.queue import CallQueue
from infrastructure.pool.residency import Residency
from infrastructure.pool.server_state import ServerState, swap_slots
from infrastructure.pool.states import Band, CallState, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infrastructure.pool.calls import Call
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.line import Line
    from infrastructure.transport.messages import Metrics

_RETRY_SECONDS = (1.0, 60.0)
_QUIET_CHECK_SECONDS = 1.0
"""How often calls that were held back for a reader are looked at again, if nothing happens."""


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
            queue_length: how many calls may wait.
            places: how many models each holds in memory at once, where that is known.
        """
        known = places or {}
        self.servers = {name: ServerState(name, slots, places=known.get(name)) for name, slots in servers.items()}
        self.queue = CallQueue()
        self.estimates = Estimates()
        self.owners = PrefixOwners()
        self.in_flight: dict[Band, int] = dict.fromkeys(Band, 0)
        self.reloads = 0
        """Times a server had to load a model that we took for loaded: somebody else's doing, or a full memory."""
        self._order = list(self.servers.values())
        self.residency = Residency(self.queue, self.estimates, self.owners, self._order)
        self._placement = placement.Placement(self.queue, self.owners, self.estimates)
        self._arrived: dict[Lane, None] = {}
        self._freed: dict[tuple[str, Lane], None] = {}
        self._queue_length = queue_length
        self._last_number = 0
        self.doubtful = False
        """Whether a call may wait that no server can take: `stranded` says so for sure."""
        self._quiet_until = math.inf
        self._tries_at = math.inf
        self._full: set[Lane] = set()

    @property
    def settling(self) -> bool:
        """Whether some servers have not yet said what they have loaded: until then nothing is loaded."""
        return self.residency.settling

    @settling.setter
    def settling(self, value: bool) -> None:
        self.residency.settling = value
        self._reopen()

    # ------------------------------------------------------------------------------------------ calls
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
            prompt_tokens=prompt_tokens,
            read=read,
            embeds=embeds,
            excluded=excluded,
        )
        self.queue.shares[call.band].enter(call.client)
        self._wait(ticket)
        return ticket, displaced

    def place(self, now: float) -> list[Ticket]:
        """Give free slots to waiting calls until no more fit; the calls that got one."""
        placed: list[Ticket] = []
        if self._quiet_until <= now:
            self._freed |= dict.fromkeys(self._placement.quiet)
            self._placement.quiet.clear()
            self._quiet_until = math.inf
        if self._tries_at <= now:
            self._try_again(now)
        deciding = True
        while deciding:
            self._fill_freed(now, placed)
            loading = self.residency.decide(now) if len(self.queue) else []
            for server, ticket in loading:
                self._give(ticket, server, now, placed)
            deciding = bool(self._freed or self._arrived)  # a load was called off: that may be another lane's chance
        if self._placement.quiet and self._quiet_until == math.inf:
            self._quiet_until = now + _QUIET_CHECK_SECONDS
        return placed

    @property
    def wake_at(self) -> float:
        """When something may be decided although nothing has happened; infinity if nothing."""
        return min(self._quiet_until, self._tries_at, self.residency.wake_at)

    def preempt(self, now: float) -> list[tuple[Ticket, Slot]]:
        """Take slots of speculative calls for waiting calls of higher bands.

        The calls that lost theirs, and the slots, which are cancelling until `free` is called.
        """
        if not self.in_flight[Band.SPECULATIVE]:
            return []
        victims = self._placement.choose_victims(self._order, now)
        return [(ticket, self.stop(ticket, CallState.PREEMPTED)) for ticket in victims]

    def advance(self, ticket: Ticket, state: CallState) -> None:
        """A call in flight gets on: connecting, waiting, streaming."""
        ticket.become(state)

    def end(self, ticket: Ticket) -> None:
        """A call in flight is done and its connection is free again: so is its slot."""
        self.free(self._leave(ticket, CallState.DONE))

    def stop(self, ticket: Ticket, state: CallState) -> Slot:
        """A call in flight ends otherwise; its slot is cancelling until `free` is called."""
        slot = self._leave(ticket, state)
        slot.become(SlotState.CANCELLING)
        return slot

    def free(self, slot: Slot) -> None:
        """The slot's connection is closed."""
        server = self.servers[slot.server]
        server.give_back(slot)
        self._freed[slot.server, slot.lane] = None

    def twin(self, ticket: Ticket, now: float) -> Ticket | None:
        """A second ticket for a late call, with a free slot where its lane is surely loaded; None: there is no such.

        It is counted as a call of its own until it is stopped.
        """
        server = placement.second_server(ticket, self.residency.hosts(ticket.lane))
        if server is None:
            return None
        twin, call = ticket.twin(self._next_number()), ticket.call
        self.queue.shares[call.band].enter(call.client)
        self._take(twin, server, now)
        return twin

    def swap(self, ticket: Ticket, twin: Ticket) -> None:
        """A call and its twin change places."""
        swap_slots(ticket, twin)

    def move(self, ticket: Ticket, *, exclude: str | None, now: float) -> Slot:
        """A call in flight gets no answer where it is: it is queued again, not for the server that failed it.

        Its slot is cancelling until `free` is called.
        """
        slot = self._leave(ticket, CallState.QUEUED)
        slot.become(SlotState.CANCELLING)
        if exclude is not None:
            ticket.excluded |= {exclude}
        self._requeue(ticket, now)
        return slot

    def return_preempted(self, ticket: Ticket, now: float) -> None:
        """A pre-empted call whose caller has had nothing is queued again, as old as it was."""
        ticket.become(CallState.QUEUED)
        self._requeue(ticket, now)

    def give_up_preempted(self, ticket: Ticket, state: CallState) -> None:
        """A pre-empted call is over."""
        ticket.become(state)
        self.queue.shares[ticket.call.band].leave(ticket.call.client)

    def withdraw(self, ticket: Ticket, state: CallState) -> None:
        """A waiting call leaves the queue for good."""
        self.queue.remove(ticket)
        ticket.become(state)
        self.queue.shares[ticket.call.band].leave(ticket.call.client)
        self._called_off(ticket.lane)

    def expire(self, now: float) -> list[Ticket]:
        """Fail the waiting calls whose time is over; those calls."""
        late = self.queue.expired(now)
        for ticket in late:
            self.withdraw(ticket, CallState.FAILED)
        return late

    def stranded(self) -> list[Line]:
        """The lines of waiting calls that no server could take even if all slots were free."""
        lost = placement.stranded(self.queue.lines(), self._order)
        self.doubtful = bool(lost)
        return lost

    # ---------------------------------------------------------------------------------------- servers
    def look_begins(self, name: str) -> None:
        """A server is being asked what it has: the answer says nothing to calls that come after this moment."""
        self.servers[name].look_began = self._last_number

    def up(
        self,
        name: str,
        *,
        models: Iterable[str] | None,
        loaded: Iterable[str] | None,
        now: float,
        fresh: bool = True,
        loads: int | None = None,
    ) -> None:
        """A server said what it holds and has loaded (canonical names; None: it would not say).

        Not `fresh` is what it was asked before its last load was over. `loads` is its count of them when it was asked:
        where it is another one now, its list of loaded models is not believed, and it is asked again.
        """
        server = self.servers[name]
        server.health, server.reason = Health.UP, ""
        server.models = None if models is None else frozenset(models)
        if loads is None or loads == server.loads:
            self.residency.observed(server, None if loaded is None else frozenset(loaded), fresh=fresh)
        else:
            self.residency.looks.add(name)
        server.looked(now, self._last_number)
        self._reopen()

    def down(self, name: str, reason: str, now: float, *, by_call: bool = False) -> None:
        """A server could not be reached. What it holds is still believed; what it had loaded is not.

        `by_call`: only a call has failed there. That may be the call's own bad luck, so that another one that has no
        other server has it looked at before it gives up.
        """
        server = self.servers[name]
        server.health, server.reason = Health.DOWN, reason
        self.residency.lost(server)
        server.looked(now, self._last_number, seen=not by_call)
        self._reopen()

    def add_server(self, name: str, slots: int | None, places: int | None) -> None:
        """A further server, of which nothing is known yet."""
        server = self.servers[name] = ServerState(name, slots, places=places)
        self._order.append(server)
        self._reopen()

    def resize_server(self, name: str, slots: int | None, places: int | None) -> None:
        """A server has other numbers of slots and places from now on; see `add_server`."""
        self.servers[name].resize(slots, places)
        self._reopen()

    def limit_queue(self, length: int) -> None:
        """So many calls may wait from now on; those that wait already stay."""
        self._queue_length = length

    def remove_server(self, name: str) -> None:
        """A server is gone for good; none of its slots may be taken."""
        server = self.servers[name]
        if server.in_flight:
            raise LookupError(f"{name} has {server.in_flight} calls in flight")
        del self.servers[name]
        self._order.remove(server)
        self.residency.lost(server)
        self._freed = {place: None for place in self._freed if place[0] != name}
        self._placement.quiet = {place for place in self._placement.quiet if place[0] != name}
        self._reopen()

    def set_draining(self, name: str, draining: bool) -> None:
        """Give a server no new calls, or calls again. What is in flight there goes on."""
        server = self.servers[name]
        server.draining = draining
        if draining and server.move is not None and server.move.ticket is None:
            server.move = None
        self._reopen()

    def failed(self, name: str, lane: Lane, now: float) -> bool:
        """A call of the lane failed there by the server's fault; whether the lane gets none there for a while."""
        opens_at = self.servers[name].breakers.failed(lane, now)
        self._tries_at = min(self._tries_at, opens_at)
        return opens_at < math.inf

    def shut(self, name: str, lane: Lane) -> None:
        """The lane gets no calls there until `reopen`."""
        self.servers[name].breakers.shut(lane)

    def reopen(self, name: str, lane: Lane) -> None:
        """Nothing speaks against the lane there any more."""
        self.servers[name].breakers.succeeded(lane)
        self._reopen()

    def lacks(self, name: str, model: str) -> None:
        """A server said that it does not have this model."""
        server = self.servers[name]
        if server.models is not None:
            server.models -= {model}
        server.evict([model])
        self._reopen()

    def answered(self, ticket: Ticket, name: str, now: float) -> bool:
        """The first byte is here: the lane is loaded there. Whether that is news, and others may be placed."""
        ticket.first_byte_at = now
        news = self.residency.answered(ticket, self.servers[name])
        if news:
            self._reopen()
        return news

    def served(self, ticket: Ticket, metrics: Metrics, seconds: float, now: float) -> None:
        """A call was answered whole, in so many seconds from being sent; called before `end`.

        Its own figures teach how long things take, how many slots there are and what its client has had.
        """
        slot = ticket.slot
        if slot is None:
            raise LookupError(f"call {ticket.number} holds no slot")
        lane = ticket.lane
        if self.servers[slot.server].breakers.succeeded(lane):
            self._freed[slot.server, lane] = None
        load = metrics.load_ns / 1e9
        if ticket.first_byte_at is not None:
            self.estimates.answered(lane, max(0.0, seconds - load - (now - ticket.first_byte_at)))
        self.estimates.served(slot.server, lane, max(0.0, seconds - load), now)
        self.estimates.evaluated(slot.server, lane, metrics.prompt_tokens, metrics.prompt_ns / 1e9)
        if self.residency.load_seen(ticket, load):
            self.reloads += 1
        if slot.berth.learns_from(ticket, metrics.slot_wait_ns / 1e9, now):
            self._freed[slot.server, lane] = None
        prompt = metrics.prompt_tokens or ticket.prompt_tokens
        self._settle(ticket, prompt, metrics.completion_tokens)
        prefix = ticket.call.prefix
        if prefix is not None:
            self.owners.take(lane, prefix, slot.server, prompt + metrics.completion_tokens)

    # ---------------------------------------------------------------------------------------- figures
    def saturated(self) -> PoolSaturated:
        """The refusal when the queue is full: a place is free when the next call in flight is done."""
        slots = sum(server.capacity for server in self._order if server.health is not Health.DOWN) or 1
        low, high = _RETRY_SECONDS
        return PoolSaturated(len(self.queue), min(high, max(low, self.estimates.any_service / slots)))

    # ------------------------------------------------------------------------------------------ steps
    def _fill_freed(self, now: float, placed: list[Ticket]) -> None:
        """Calls for the slots that were freed, and slots for the calls that arrived."""
        while self._freed or self._arrived:
            while self._freed:
                name, lane = next(iter(self._freed))
                del self._freed[name, lane]
                server = self.servers[name]
                self._fill(server, lane, now, placed)
                if lane not in server.berths or not server.berths[lane].in_flight:
                    self.residency.idle()
            while self._arrived:
                lane = next(iter(self._arrived))
                del self._arrived[lane]
                self._spread(lane, now, placed)

    def _fill(self, server: ServerState, lane: Lane, now: float, placed: list[Ticket]) -> None:
        """Calls for the free slots of a lane on a server."""
        while server.room(lane):
            ticket = None
            if self._takes(server, lane) and self.queue.of(lane):
                ticket = self._placement.next_for(lane, server, now)
            if ticket is None:
                self._full.discard(lane)
                return
            self._give(ticket, server, now, placed)

    def _spread(self, lane: Lane, now: float, placed: list[Ticket]) -> None:
        """Free slots for the calls of a lane."""
        if lane in self._full:
            return
        hosts = [server for server in self.residency.hosts(lane) if server.room(lane) and server.open_to(lane)]
        if not hosts:
            self._full.add(lane)
            return
        while (ticket := self._placement.first(lane, now)) is not None:
            server = self._placement.slot_for(ticket, hosts, now)
            if server is None:
                break
            self._give(ticket, server, now, placed)
        if ticket is not None:  # others of the lane may still fit, by server or by prompt
            for server in hosts:
                self._fill(server, lane, now, placed)

    def _takes(self, server: ServerState, lane: Lane) -> bool:
        """Whether calls of the lane may start there as soon as there is room."""
        return server.serving and server.open_to(lane) and server in self.residency.hosts(lane)

    def _give(self, ticket: Ticket, server: ServerState, now: float, placed: list[Ticket]) -> None:
        call = ticket.call
        self.queue.remove(ticket)
        self._called_off(ticket.lane)
        ticket.attempts += 1
        ticket.queued_seconds += max(0.0, now - ticket.queued_since)
        self._take(ticket, server, now)
        if call.prefix is not None and ticket.owner != server.name:
            self.owners.take(ticket.lane, call.prefix, server.name, ticket.prompt_tokens)
            self.queue.own(ticket.lane, call.prefix, server.name)
        placed.append(ticket)

    def _take(self, ticket: Ticket, server: ServerState, now: float) -> None:
        """The call gets a slot on this server, and its client is charged for it."""
        call = ticket.call
        ticket.become(CallState.PLACED)
        ticket.slot = server.take(ticket, now)
        ticket.first_byte_at = None
        ticket.placed_at = now
        ticket.overlaps.clear()
        ticket.charged = self.queue.shares[call.band].charge(call.client, ticket.prompt_tokens)
        self.in_flight[call.band] += 1

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _try_again(self, now: float) -> None:
        """Let one call each try the lanes that have been left alone for long enough."""
        self._tries_at = math.inf
        for server in self._order:
            for lane in server.breakers.half_open(now):
                self._freed[server.name, lane] = None
            self._tries_at = min(self._tries_at, server.breakers.opens_at)
        self.residency.changed()

    def _called_off(self, lane: Lane) -> None:
        """A call waits no longer; if it was the last of its lane, nothing needs to be loaded for it."""
        if not self.queue.of(lane) and self.residency.call_off(lane):
            self._reopen()

    def _leave(self, ticket: Ticket, state: CallState) -> Slot:
        slot = ticket.slot
        if slot is None:
            raise LookupError(f"call {ticket.number} holds no slot")
        ticket.become(state)
        ticket.slot = None
        slot.ticket = None
        server = self.servers[slot.server]
        del slot.berth.in_flight[ticket.number]
        call = ticket.call
        self.in_flight[call.band] -= 1
        if state is not CallState.DONE:
            if ticket.first_byte_at is None:
                self._settle(ticket, 0, 0)
            if self.residency.failed(ticket, server):
                self._reopen()
        elif server.move is not None and self.residency.answered(ticket, server):
            self._reopen()
        if ticket.state.final:
            self.queue.shares[call.band].leave(call.client)
        here = slot.server, ticket.lane
        if ticket.read and here in self._placement.quiet:
            self._placement.quiet.discard(here)
            self._freed[here] = None
        return slot

    def _settle(self, ticket: Ticket, prompt_tokens: int, output_tokens: int) -> None:
        call = ticket.call
        self.queue.shares[call.band].settle(call.client, ticket.charged, prompt_tokens, output_tokens)

    def _requeue(self, ticket: Ticket, now: float) -> None:
        ticket.queued_since = now
        self._wait(ticket)

    def _wait(self, ticket: Ticket) -> None:
        prefix = ticket.call.prefix
        if prefix is not None:
            owner = self.owners.of(ticket.lane, prefix)
            ticket.owner = None if owner is None else owner.server
        self.queue.put(ticket)
        self._arrived[ticket.lane] = None
        if ticket.excluded or not self.residency.hosts(ticket.lane):
            self.doubtful = True
            self.residency.arrived(ticket.lane)

    def _reopen(self) -> None:
        """Something changed for every lane: each is worth a look. Else only those are whose slots or calls changed."""
        self.residency.changed()
        self.doubtful = True
        self._full.clear()
        self._arrived = dict.fromkeys(self.queue.lanes())
