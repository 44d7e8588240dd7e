"""Which models are in which server's memory, and how that is changed.

Owns the moves: a decision of the swap gate is carried out in steps. The models that have to go get no new calls; when
their calls are over, one waiting call is sent, whose model the server then loads; when it is answered, the lane is open
to the others. What a server can hold is learned from what is left after a load.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from infrastructure.pool.placement import holds, may_serve, needs_no_load
from infrastructure.pool.server_state import Move
from infrastructure.pool.swaps import Later, SwapGate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from infrastructure.pool.affinity import Conversations
    from infrastructure.pool.estimates import Estimates
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket

RELOAD_SECONDS = 0.1
"""A load of a model in memory takes no time; one that took longer was none in memory."""
WATCH_SECONDS = 0.25
"""How often a server that loads is asked whether it is done, while others wait for that."""


class Residency:
    """The models in memory, over all servers."""

    def __init__(
        self, queue: CallQueue, estimates: Estimates, conversations: Conversations, servers: Sequence[ServerState]
    ) -> None:
        self.settling = False
        """Some servers have not yet said what they have loaded: nothing is loaded until they have."""
        self.looks: set[str] = set()
        """Servers that should be asked what they have loaded now. Whoever asks empties it."""
        self.loads = 0
        """Calls that were sent where their model had to be loaded."""
        self._queue = queue
        self._estimates = estimates
        self._conversations = conversations
        self._servers = servers
        self._gate = SwapGate(queue, estimates, servers)
        self._hosts: dict[Lane, dict[ServerState, None]] = {}
        self._again: dict[Lane, float] = {}
        self.wake_at = 0.0
        """When the gate may decide otherwise although nothing has happened."""
        self._before: dict[str, frozenset[str]] = {}

    # --------------------------------------------------------------------------------------- questions
    def hosts(self, lane: Lane) -> Collection[ServerState]:
        """The servers that are up and have the lane loaded; to ask for one costs the same with more of them."""
        hosts = self._hosts.get(lane)
        if hosts is None:
            hosts = self._hosts[lane] = dict.fromkeys(
                server
                for server in self._servers
                if server.serving and needs_no_load(server, lane) and holds(server, lane)
            )
        return hosts

    # --------------------------------------------------------------------------------------- decisions
    def decide(self, now: float) -> list[tuple[ServerState, Ticket]]:
        """The calls to be sent now so that their model gets loaded, and where to."""
        if self.settling or now < self.wake_at:
            return []
        for lane in self._queue.lanes():
            if self._again.get(lane, 0.0) <= now and not self._is_uncertain(lane):
                self._again[lane] = self._decide(lane, now)
        found: list[tuple[ServerState, Ticket]] = []
        for server in self._servers:
            if server.move is not None and server.move.ticket is None:
                ticket = self._loader(server, server.move, [taken for _, taken in found])
                if ticket is not None:
                    server.moved_at = now
                    found.append((server, ticket))
        self.wake_at = min((self._again.get(lane, math.inf) for lane in self._queue.lanes()), default=math.inf)
        self._watch_loads(now)
        return found

    def _watch_loads(self, now: float) -> None:
        """Have a server asked now and then whether a load is over for which other calls wait: it lists no model before.

        The call that loads may have a long prompt, and its first byte would come much later.
        """
        for server in self._servers:
            if server.move is not None and server.move.ticket is not None and self._queue.of(server.move.lane):
                if now - server.looked_at >= WATCH_SECONDS:
                    self.looks.add(server.name)
                self.wake_at = min(self.wake_at, max(now, server.looked_at) + WATCH_SECONDS)

    def _decide(self, lane: Lane, now: float) -> float:
        """Begin a move for the lane if that is right; else when to think again."""
        at = math.inf
        for line in self._queue.of(lane):
            decision = self._gate.consider(line.head, now)
            if not isinstance(decision, Later):
                decision.server.move = Move(lane, decision.leaving)
                return math.inf
            at = min(at, decision.at)
        return at

    def _loader(self, server: ServerState, move: Move, taken: Sequence[Ticket]) -> Ticket | None:
        """The call that makes the server load, once what has to go is idle; none that makes another server load."""
        if server.busy(move.leaving) and server.places is not None:
            return None
        for line in self._queue.of(move.lane):
            if may_serve(server, line.head) and server.room(move.lane) and server.admits(move.lane):
                ticket = next((each for each in line.first(len(taken) + 1) if each not in taken), None)
                if ticket is None:
                    continue
                move.ticket = ticket
                move.reloads = move.lane.model in server.resident()
                ticket.loads = True
                self.loads += 1
                server.loads += 1
                if not server.places_given:
                    self._before[server.name] = frozenset(server.resident())
                if server.places is not None:
                    self._evict(server, move.leaving)
                return ticket
        return None

    # -------------------------------------------------------------------------------------- what happens
    def changed(self) -> None:
        """Something about servers or memory is new: all is to be thought over."""
        self._hosts.clear()
        self._think_again()

    def arrived(self, lane: Lane) -> None:
        """A call of the lane waits, and has no server that is ready for it."""
        self._again.pop(lane, None)
        self.wake_at = 0.0

    def idle(self) -> None:
        """No call of some lane is in flight on some server: it may have to go, or another one may come."""
        self._think_again()

    def call_off(self, lane: Lane) -> bool:
        """No call of the lane waits any more; whether a move that had not begun is off."""
        off = False
        for server in self._servers:
            if server.move is not None and server.move.lane == lane and server.move.ticket is None:
                server.move = None
                off = True
        return off

    def answered(self, ticket: Ticket, server: ServerState) -> bool:
        """A call's first byte is here: its model is loaded. Whether that is news."""
        lane = ticket.lane
        if lane.cloud:
            return False
        news = server.loaded(lane) != 2
        move = server.move
        if move is not None and move.ticket is ticket:
            server.move = None
            server.loads += 1
            news = True
            self.looks.add(server.name)
            self._evict(server, move.leaving)  # until the server says what is left
        server.answered(lane)
        return news

    def failed(self, ticket: Ticket, server: ServerState) -> bool:
        """A call ended before its time; whether it was to load its model."""
        move = server.move
        if move is None or move.ticket is not ticket:
            return False
        server.move = None
        server.loads += 1
        self.looks.add(server.name)
        return True

    def load_seen(self, ticket: Ticket, seconds: float) -> bool:
        """What a server says of the load in a call's time; whether it is one that we did not ask for."""
        if ticket.loads:
            ticket.loads = False
            self._estimates.loaded(ticket.lane, seconds)
            return False
        return seconds >= RELOAD_SECONDS

    def observed(self, server: ServerState, loaded: frozenset[str] | None, *, fresh: bool) -> None:
        """A server said what it has loaded; `fresh`: since its last load was over."""
        if loaded is None:
            if fresh and server.move is None:
                self._before.pop(server.name, None)
            return
        answering = (ticket for berth in server.berths.values() for ticket in berth.in_flight.values())
        loaded |= {ticket.lane.model for ticket in answering if ticket.first_byte_at is not None}
        move = server.move
        if move is not None and move.ticket is not None and move.lane.model in loaded and not move.reloads:
            server.move = None
            server.loads += 1
            self._evict(server, move.leaving)
            server.answered(move.lane)
            fresh = True  # it lists what it did not before: so the load is over
        elif move is not None and move.ticket is not None and server.places is not None:
            loaded -= move.leaving  # it may be listed until the load has come so far
        before = self._before.pop(server.name, None) if fresh and server.move is None else None
        gone = server.resident().keys() - loaded
        server.observe_loaded(loaded)
        for lane in [lane for lane in server.berths if lane.model in gone]:
            self._conversations.forget(server.name, lane)
        if before and not server.places_given:
            server.places = None if before <= loaded else max(1, len(loaded))

    def lost(self, server: ServerState) -> None:
        """A server is down: nothing is loaded there."""
        server.observe_loaded(frozenset())
        self._conversations.forget(server.name)
        self._before.pop(server.name, None)
        if server.move is not None and server.move.ticket is None:
            server.move = None

    # -------------------------------------------------------------------------------------------- pieces
    def _evict(self, server: ServerState, models: frozenset[str]) -> None:
        for lane in [lane for lane in server.berths if lane.model in models]:
            self._conversations.forget(server.name, lane)
        server.evict(models)
        self._hosts.clear()

    def _is_uncertain(self, lane: Lane) -> bool:
        """Whether a server that has just loaded something may still have the lane: it is being asked."""
        return any(
            server.move is None
            and lane.model in self._before.get(server.name, ())
            and lane.model not in server.resident()
            for server in self._servers
        )

    def _think_again(self) -> None:
        self._again.clear()
        self.wake_at = 0.0
