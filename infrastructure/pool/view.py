"""Taking a picture of the pool for people.

Owns the translation of the pool's state into the frozen values of `snapshot`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from infrastructure.pool.snapshot import (
    CallCounts,
    LaneSnapshot,
    LoadedSnapshot,
    PoolSnapshot,
    ServerSnapshot,
)
from infrastructure.pool.states import Band, SlotState

if TYPE_CHECKING:
    from infrastructure.pool.dispatcher import Dispatcher


def take_snapshot(dispatcher: Dispatcher) -> PoolSnapshot:
    """The pool at this moment."""
    scheduler, counts = dispatcher.scheduler, dispatcher.counts
    return PoolSnapshot(
        servers=tuple(_server(dispatcher, name) for name in dispatcher.servers),
        queued={band: scheduler.queue.count(band) for band in Band},
        in_flight=dict(scheduler.in_flight),
        clients=dict(Counter(ticket.call.client for ticket in dispatcher.tickets())),
        calls=CallCounts(
            done=counts["done"],
            failed=counts["failed"],
            cancelled=counts["cancelled"],
            preempted=counts["preempted"],
            moved=counts["moved"],
        ),
        draining=dispatcher.draining,
        closed=dispatcher.closed,
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
    )


def _lanes(dispatcher: Dispatcher, name: str) -> tuple[LaneSnapshot, ...]:
    state = dispatcher.scheduler.servers[name]
    measured = dispatcher.figures.by_server(name)
    lanes: list[LaneSnapshot] = []
    for lane in dict.fromkeys((*state.berths, *measured)):
        berth = state.berths.get(lane)
        taken = Counter(slot.state for slot in berth.slots) if berth else Counter[SlotState]()
        lanes.append(
            LaneSnapshot(
                lane=str(lane),
                model=lane.model,
                free=max(0, state.capacity_of(lane) - taken[SlotState.BUSY] - taken[SlotState.CANCELLING]),
                busy=taken[SlotState.BUSY],
                cancelling=taken[SlotState.CANCELLING],
                figures=dispatcher.figures.of(name, lane),
            )
        )
    return tuple(lanes)
