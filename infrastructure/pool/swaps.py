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
    from collections.abc import Sequence

    from infrastructure.pool.estimates import Estimates
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket

WORTH_LOADS = 1.5
"""A further server gets a lane only if its calls wait longer than so many loads and one call."""
STARVING_LOADS = 6.0
"""After so many loads' time of waiting a call may take the last server of a lane that is still wanted."""
WANTED_LOADS = 2.0
"""A lane whose last call came within so many loads' time is still wanted."""


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
        load, wait = self._estimates.load(lane), self._wait_elsewhere(head)
        offers = [
            self._offer(server, head, now, alone=math.isinf(wait))
            for server in self._servers
            if server.move is None and not needs_no_load(server, lane) and may_serve(server, head)
        ]
        waited = now - head.queued_since
        worth = [
            offer for offer in offers if wait > self._cost(offer, lane, load) and not self._yields(head, offer.server)
        ]
        ready = [offer for offer in worth if waited >= offer.patience]
        if ready:
            best = min(ready, key=lambda offer: (offer.patience, offer.busy, offer.server.load))
            return Swap(best.server, best.leaving)
        at = min((head.queued_since + offer.patience for offer in worth), default=math.inf)
        return Later(min(at, now + load / 4) if len(worth) < len(offers) else at)

    def _yields(self, head: Ticket, server: ServerState) -> bool:
        """Whether a load for this call would be called off at once for a call that is no guess."""
        return head.call.band is Band.SPECULATIVE and wanted_by_others(server, head.lane, self._queue)

    def _wait_elsewhere(self, head: Ticket) -> float:
        """How long the lane's calls wait where it is loaded, or on its way in; infinity if nowhere."""
        lane = head.lane
        loaded = [server for server in self._servers if may_serve(server, head) and needs_no_load(server, lane)]
        coming = [server for server in self._servers if server.move is not None and server.move.lane == lane]
        slots = sum(server.capacity_of(lane) for server in (*loaded, *coming))
        if not slots:
            return math.inf
        waiting = sum(line.size for line in self._queue.of(lane))
        return waiting / slots * self._estimates.service(lane) + (0.0 if loaded else self._estimates.load(lane))

    def _cost(self, offer: _Offer, lane: Lane, load: float) -> float:
        """Seconds of waiting that are cheaper than to load: more so where another model has to go."""
        return WORTH_LOADS * load + self._estimates.service(lane) if offer.leaving else load

    def _offer(self, server: ServerState, head: Ticket, now: float, *, alone: bool) -> _Offer:
        lane = head.lane
        own = frozenset({lane.model}) & server.resident().keys()  # loaded with other options
        others = [model for model in server.resident() if model != lane.model]
        if own or server.places is None or len(others) < server.places:
            # Where nobody knows what fits, the first load shows it; nothing else is begun there meanwhile.
            leaving = own or (frozenset(others) if server.places is None else frozenset[str]())
            patience = max((self._patience(server, model, head, now, alone=alone) for model in own), default=0.0)
            return _Offer(server, leaving, patience, server.busy(leaving))
        going = sorted(
            (self._patience(server, model, head, now, alone=alone), server.busy({model}), model) for model in others
        )
        count = len(others) + 1 - server.places
        leaving = frozenset(model for _, _, model in going[:count])
        return _Offer(server, leaving, max(going[at][0] for at in range(count)), server.busy(leaving))

    def _patience(self, server: ServerState, model: str, head: Ticket, now: float, *, alone: bool) -> float:
        """How long the call must have waited before the model leaves this server for it."""
        lanes = [lane for lane in {*server.berths, *self._queue.lanes()} if lane.model == model and lane != head.lane]
        wanted = [lane for lane in lanes if self._wanted(server, lane, head.call.band, now)]
        if not wanted:
            return 0.0
        if head.call.band is Band.SPECULATIVE:
            return math.inf
        elsewhere = [
            other
            for other in self._servers
            if other is not server and any(may_serve(other, head) and needs_no_load(other, lane) for lane in wanted)
        ]
        if elsewhere and (alone or self._shorter(wanted, elsewhere, head.lane)):
            return 0.0
        loads = max(self._estimates.load(head.lane), *(self._estimates.load(lane) for lane in wanted))
        return STARVING_LOADS * loads

    def _shorter(self, lanes: Sequence[Lane], hosts: Sequence[ServerState], than: Lane) -> bool:
        """Whether less waits for these lanes, on what would be left to them, than for the other lane."""
        slots = sum(server.capacity_of(lane) for server in hosts for lane in lanes[:1])
        waiting = sum(self._queue.waiting(lane) for lane in lanes)
        return waiting / max(1, slots) < self._queue.waiting(than)

    def _wanted(self, server: ServerState, lane: Lane, band: Band, now: float) -> bool:
        """Whether calls that are no less urgent than the band wait for the lane, are answered, or were just now."""
        urgent = [each for each in Band if each.order <= band.order and each is not Band.SPECULATIVE]
        if any(line.band in urgent for line in self._queue.of(lane)):
            return True
        berth = server.berths.get(lane)
        if berth is None:
            return False
        if any(ticket.call.band in urgent for ticket in berth.in_flight.values()):
            return True
        return berth.urgency <= band.order and now - berth.used_at < WANTED_LOADS * self._estimates.load(lane)
