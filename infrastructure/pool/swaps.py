"""When a model is loaded for waiting calls, where, and what has to go for it.

Owns the swap gate. Loading on every occasion ruins a pool (measured in a simulation of four servers: 48 to 66 % of the
calls served instead of all); never loading starves whoever needs another model. So a load must be worth it, and the
last server that has a model which others still want is given up only after a bounded wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.placement import may_serve, needs_no_load, wanted_by_others
from infrastructure.pool.states import Band

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from infrastructure.pool.estimates import Estimates
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket

WORTH_LOADS = 1.5
"""A further server gets a lane only if its calls wait longer than so many loads and one call."""
STARVING_LOADS = 6.0
"""After so many loads' time of waiting a call may take the last server of a lane that is still wanted."""
LULL_LOADS = 3.0
"""When none waits for that lane, it may take it after so many loads' time and one call's, divided by how many wait for
the other one: their waiting, taken together, is weighed against a load and one back."""
IDLE_LOADS = 1.0
"""Nor longer than until the server was seen to idle for so many loads' time: then idling has cost a load already."""
STAY_LOADS = 10.0
"""A lane for which calls wait keeps a server for so many times what the change has cost: else, once all are late,
servers would do nothing but load."""
CROWDED_TIMES = 4.0
"""A lane that has a server of its own must wait so many times longer to take the last one of another lane."""
HEADROOM = 1.1
"""What is left to a lane that gives up a server must be able to do so many times what it does now."""
WANTED_LOADS = 2.0
"""A lane whose last call came within so many loads' time is still wanted."""

AGAIN_SECONDS = 0.05
"""How soon a decision is thought over at the earliest, also where loads take no time."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A decision: load the lane on this server, where these models get no new calls meanwhile."""

    server: ServerState
    leaving: frozenset[str]


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to load now; unless something changes, not before this moment."""

    at: float


@dataclass(frozen=True, slots=True)
class _Offer:
    server: ServerState
    leaving: frozenset[str]
    patience: float
    """Seconds that the call must have waited."""
    busy: bool


@dataclass(frozen=True, slots=True)
class _Case:
    head: Ticket
    now: float
    alone: bool
    """Whether its lane is loaded nowhere."""
    wanted: Mapping[str, Collection[Lane]]
    """By model, the lanes that others want."""


class SwapGate:
    """The rules over one queue and its servers."""

    def __init__(self, queue: CallQueue, estimates: Estimates, servers: Sequence[ServerState]) -> None:
        self._queue = queue
        self._estimates = estimates
        self._servers = servers

    def consider(self, head: Ticket, now: float) -> Swap | Later:
        """Whether to load the lane of a call that waits and has no free slot anywhere.

        1. While its calls wait for less, where the lane is loaded or on its way in, than a load costs: no.
        2. A server with nothing to give up; else one whose model nobody wants; else one whose model is loaded
           elsewhere too; else, after a bounded wait, the last one. A model that only lower bands want gives way at
           once, and a guess takes nothing that is wanted.
        3. Of equals the least busy.

        A guess loads nothing where it would have to give way at once.
        """
        lane = head.lane
        servers = [
            server
            for server in self._servers
            if server.move is None and not needs_no_load(server, lane) and may_serve(server, head)
        ]
        if not servers:
            return Later(math.inf)
        load, wait = self._estimates.load(lane), self._wait_elsewhere(head)
        if wait <= load:
            return Later(now + max(load / 4, AGAIN_SECONDS))
        case = _Case(head, now, math.isinf(wait), self._wanted(head, now))
        offers = [self._offer(server, case) for server in servers]
        worth = [
            offer for offer in offers if wait > self._cost(offer, lane, load) and not self._yields(head, offer.server)
        ]
        ready = [offer for offer in worth if head.queued_since + offer.patience <= now]  # the same sum as below
        if ready:
            best = min(ready, key=lambda offer: (offer.patience, bool(offer.leaving), offer.busy, offer.server.load))
            return Swap(best.server, best.leaving)
        at = min((head.queued_since + offer.patience for offer in worth), default=math.inf)
        return Later(min(at, now + max(load / 4, AGAIN_SECONDS)) if len(worth) < len(offers) else at)

    def _yields(self, head: Ticket, server: ServerState) -> bool:
        """Whether a load for this call would be called off at once for a call that is no guess."""
        return head.call.band is Band.SPECULATIVE and wanted_by_others(server, head.lane, self._queue)

    def _wait_elsewhere(self, head: Ticket) -> float:
        """How long the lane's calls wait where it is loaded, or on its way in; infinity if nowhere."""
        lane = head.lane
        loaded = [server for server in self._servers if may_serve(server, head) and self._keeps(server, lane)]
        coming = [server for server in self._servers if server.move is not None and server.move.lane == lane]
        rate = self._rate((*loaded, *coming), lane)
        if not rate:
            return math.inf
        waiting = sum(line.size for line in self._queue.of(lane))
        return waiting / rate + (0.0 if loaded else self._estimates.load(lane))

    def _keeps(self, server: ServerState, lane: Lane) -> bool:
        """Whether the lane is loaded there and does not have to go."""
        return needs_no_load(server, lane) and (server.move is None or lane.model not in server.move.leaving)

    def _rate(self, servers: Sequence[ServerState], lane: Lane) -> float:
        """Calls of the lane that these servers can answer in a second."""
        # Slots of a lane that are still being learned are most likely as many as another one has there.
        return sum(
            max(server.capacity_of(lane), server.capacity) / self._estimates.service_on(server.name, lane)
            for server in servers
        )

    def _cost(self, offer: _Offer, lane: Lane, load: float) -> float:
        """Seconds of waiting that are cheaper than to load: more so where another model has to go."""
        return WORTH_LOADS * load + self._estimates.service(lane) if offer.leaving else load

    def _offer(self, server: ServerState, case: _Case) -> _Offer:
        head, lane = case.head, case.head.lane
        own = frozenset({lane.model} & server.resident().keys())  # loaded with other options
        others = [model for model in server.resident() if model != lane.model]
        if own or server.places is None or len(others) < server.places:
            # Where nobody knows what fits, the first load shows it; nothing else is begun there meanwhile. A lane that
            # has a server takes its time with that.
            leaving = own or (frozenset(others) if server.places is None else frozenset[str]())
            at_risk = leaving if own or not case.alone else ()
            patience = max((self._patience(server, model, case) for model in at_risk), default=0.0)
            if not own and head.call.band is not Band.SPECULATIVE:
                patience = min(patience, LULL_LOADS * self._estimates.load(lane))
            return _Offer(server, leaving, patience, server.busy(leaving))
        going = sorted((self._patience(server, model, case), server.busy({model}), model) for model in others)
        count = len(others) + 1 - server.places
        leaving = frozenset(model for _, _, model in going[:count])
        return _Offer(server, leaving, max(going[at][0] for at in range(count)), server.busy(leaving))

    def _patience(self, server: ServerState, model: str, case: _Case) -> float:
        """How long the call must have waited before the model leaves this server for it."""
        head, alone = case.head, case.alone
        wanted = case.wanted.get(model)
        if not wanted:
            return 0.0
        if head.call.band is Band.SPECULATIVE:
            return math.inf
        if all(self._has_enough(lane, server, case) for lane in wanted):
            return 0.0
        load = max(self._estimates.load(head.lane), *(self._estimates.load(lane) for lane in wanted))
        if alone and not any(self._queue.waiting(lane) for lane in wanted):
            together = (LULL_LOADS * load + self._estimates.service(head.lane)) / max(1, self._queue.waiting(head.lane))
            idle = server.seen_idle(case.now)
            return together if idle is None else min(together, max(0.0, idle + IDLE_LOADS * load - head.queued_since))
        patience = STARVING_LOADS * load * (1.0 if alone else CROWDED_TIMES)
        change = load + max(self._estimates.service_on(server.name, lane) for lane in wanted)  # slots drain, too
        return max(patience, server.moved_at + STAY_LOADS * change - head.queued_since)

    def _has_enough(self, lane: Lane, without: ServerState, case: _Case) -> bool:
        """Whether the lane can do without this server: others have it, and do what is asked or `alone` has none."""
        others = [
            server
            for server in self._servers
            if server is not without and may_serve(server, case.head) and self._keeps(server, lane)
        ]
        if not others or case.alone:
            return bool(others)
        waiting = self._queue.waiting(lane) / (STARVING_LOADS * self._estimates.load(lane))
        return self._rate(others, lane) >= HEADROOM * self._estimates.flow(lane, case.now) + waiting

    def _wanted(self, head: Ticket, now: float) -> dict[str, set[Lane]]:
        """By model, the other lanes for which calls no less urgent wait, are answered, or were just now, anywhere.

        Anywhere: a server that has a lane may have idled while another one had its calls, and now be the last.
        """
        order = head.call.band.order
        urgent = [each for each in Band if each.order <= order and each is not Band.SPECULATIVE]
        wanted = {lane for lane in self._queue.lanes() if any(line.band in urgent for line in self._queue.of(lane))}
        for server in self._servers:
            for lane, berth in server.berths.items():
                lately = now - WANTED_LOADS * self._estimates.load(lane)
                if (berth.urgency <= order and berth.used_at > lately) or (
                    berth.taken and any(ticket.call.band in urgent for ticket in berth.in_flight.values())
                ):
                    wanted.add(lane)
        by_model: dict[str, set[Lane]] = {}
        for lane in wanted - {head.lane}:
            by_model.setdefault(lane.model, set()).add(lane)
        return by_model
