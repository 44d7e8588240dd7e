"""Taking a picture of the pool for people.

Owns the translation of the pool's state into the frozen values of `snapshot`.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING

from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.snapshot import (
    CallCounts,
    CallSnapshot,
    LaneSnapshot,
    LoadedSnapshot,
    PoolSnapshot,
    ServerSnapshot,
)
from infrastructure.pool.states import Band, SlotState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.running import Running

_CALLS_SHOWN = 100
_CHARACTERS_A_TOKEN = 4


def take_snapshot(dispatcher: Dispatcher) -> PoolSnapshot:
    """The pool at this moment."""
    scheduler, counts = dispatcher.scheduler, dispatcher.counts
    queue, now = scheduler.queue, dispatcher.clock()
    return PoolSnapshot(
        servers=tuple(_server(dispatcher, name) for name in dispatcher.servers),
        queued={band: queue.count(band) for band in Band},
        in_flight=dict(scheduler.in_flight),
        clients=dict(Counter(ticket.call.client for ticket in dispatcher.tickets())),
        calls=CallCounts(
            done=counts["done"],
            failed=counts["failed"],
            cancelled=counts["cancelled"],
            preempted=counts["preempted"],
            moved=counts["moved"],
            hedged=counts["hedged"],
            hedges_won=counts["hedges_won"],
            tripped=counts["tripped"],
        ),
        waiting={str(lane): sum(line.size for line in queue.of(lane)) for lane in queue.lanes()},
        oldest_wait_seconds=max((now - line.head.enqueued_at for line in queue.lines()), default=0.0),
        loads=scheduler.residency.loads,
        reloads=scheduler.reloads,
        shares=_shares(dispatcher),
        in_hand=_in_hand(dispatcher, now),
        draining=dispatcher.draining,
        closed=dispatcher.closed,
    )


def _shares(dispatcher: Dispatcher) -> Mapping[Band, Mapping[str, float]]:
    """Of the clients that have calls of the band now."""
    asking: dict[Band, dict[str, float]] = {}
    for ticket in dispatcher.tickets():
        band, client = ticket.call.band, ticket.call.client
        asking.setdefault(band, {})[client] = ticket.account.counter
    return asking


def _in_hand(dispatcher: Dispatcher, now: float) -> tuple[CallSnapshot, ...]:
    runs = dispatcher.runs()
    flying = (run for run in runs if run.ticket.slot is not None)
    others = (run for run in runs if run.ticket.slot is None)
    return tuple(_call(dispatcher, run, now) for run in islice(chain(flying, others), _CALLS_SHOWN))


def _call(dispatcher: Dispatcher, run: Running, now: float) -> CallSnapshot:
    ticket = run.ticket
    return CallSnapshot(
        number=ticket.number,
        client=ticket.call.client,
        band=ticket.call.band,
        lane=str(ticket.lane),
        model=ticket.lane.model,
        state=ticket.state,
        server=None if ticket.slot is None else dispatcher.servers[ticket.slot.server].label,
        seconds=max(0.0, now - ticket.enqueued_at),
        attempt=ticket.attempts,
        prompt_tokens=ticket.prompt_tokens,
        answer_tokens=-(-run.characters // _CHARACTERS_A_TOKEN),
    )


def _server(dispatcher: Dispatcher, name: str) -> ServerSnapshot:
    state, settings = dispatcher.scheduler.servers[name], dispatcher.servers[name]
    holdings = dispatcher.inventory.holdings(name)
    return ServerSnapshot(
        label=settings.label,
        url=settings.url,
        health=state.health,
        reason=state.reason,
        slots=state.capacity,
        in_flight=state.in_flight,
        models=None if holdings.models is None else tuple(model.name for model in holdings.models),
        loaded=tuple(
            LoadedSnapshot(
                model=model.name, size=model.size, size_vram=model.size_vram, context_length=model.context_length
            )
            for model in holdings.loaded
        ),
        lanes=_lanes(dispatcher, name),
        draining=state.draining,
        places=state.places,
        places_given=state.places_given,
        loading=None if state.move is None else str(state.move.lane),
        leaving=() if state.move is None else tuple(sorted(state.move.leaving)),
    )


def _lanes(dispatcher: Dispatcher, name: str) -> tuple[LaneSnapshot, ...]:
    berths = dispatcher.scheduler.servers[name].berths
    measured = dispatcher.figures.by_server(name)
    return tuple(_lane(dispatcher, name, lane) for lane in dict.fromkeys((*berths, *measured)))


def _lane(dispatcher: Dispatcher, name: str, lane: Lane) -> LaneSnapshot:
    state, estimates = dispatcher.scheduler.servers[name], dispatcher.scheduler.estimates
    berth, move, breaker = state.berths.get(lane), state.move, state.breakers.get(lane)
    taken = Counter(slot.state for slot in berth.slots) if berth else Counter[SlotState]()
    given = state.slots if berth is None else berth.given
    known = 1 if berth is None else berth.learner.proven
    return LaneSnapshot(
        lane=str(lane),
        model=lane.model,
        free=max(0, state.capacity_of(lane) - taken[SlotState.BUSY] - taken[SlotState.CANCELLING]),
        busy=taken[SlotState.BUSY],
        cancelling=taken[SlotState.CANCELLING],
        figures=dispatcher.figures.of(name, lane),
        slots=known if given is None else given,
        settled=given is not None or (berth is not None and berth.learner.settled),
        resident=state.loaded(lane) == 2,
        loading=move is not None and move.lane == lane and move.ticket is not None,
        prompt_tokens_per_second=estimates.prompt_speed(name, lane),
        breaker=BreakerState.CLOSED if breaker is None else breaker.state,
        load_seconds=estimates.load(lane),
    )
