"""Metrics: the pool's figures and the runs, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from fastapi import APIRouter, Response

from backend.dependencies import App, Door
from backend.problems import answers
from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.snapshot import PoolSnapshot, ServerSnapshot
from infrastructure.pool.states import Health
from infrastructure.storage.runs import RunState
from infrastructure.telemetry import names
from infrastructure.telemetry.events import bus_samples
from infrastructure.telemetry.metrics import CONTENT_TYPE, MetricsCollector, Sample

router = APIRouter(tags=["metrics"])

_OUTCOMES = ("done", "failed", "cancelled", "preempted", "moved", "hedged", "hedges_won", "tripped")
_BREAKER = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 0.5, BreakerState.OPEN: 1.0}
_EXAMPLE = 'corral_pool_queue_depth{band="interactive"} 0.0\n'


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"example": _EXAMPLE}}},
        **answers(),
    },
)
async def read_metrics(app: App, door: Door) -> Response:
    """Read the metrics."""
    samples = (*pool_samples(app.pool.snapshot()), *run_samples(await app.runs.counts()))
    streams = Sample(names.SSE_CLIENTS, door.stopping.streams)
    asked = Sample(names.APPROVALS_PENDING, len(await app.approvals.pending()))
    inside = (asked, *bus_samples(app.bus.standing()), *app.loop_watch.samples(), *app.gauges.samples())
    counted = chain(app.call_metrics.families(), app.event_metrics.families(), app.loop_watch.families())
    return Response(MetricsCollector((*samples, streams, *inside), counted).text(), media_type=CONTENT_TYPE)


def run_samples(counts: Mapping[tuple[RunState, str], int]) -> Iterator[Sample]:
    """How many runs there are; states that have none are told as 0."""
    for state in RunState:
        if state is not RunState.FINISHED:
            waiting = sum(count for (found, _), count in counts.items() if found is state)
            yield Sample(names.RUNS, waiting, (state, ""))
    for (state, status), count in counts.items():
        if state is RunState.FINISHED:
            yield Sample(names.RUNS, count, (state, status))


def pool_samples(pool: PoolSnapshot) -> Iterator[Sample]:
    """Queue, slots, loads and speeds."""
    for band, count in pool.queued.items():
        yield Sample(names.QUEUE_DEPTH, count, (band,))
    for band, count in pool.in_flight.items():
        yield Sample(names.IN_FLIGHT, count, (band,))
    yield Sample(names.OLDEST_WAIT, pool.oldest_wait_seconds)
    yield Sample(names.LOADS, pool.loads)
    yield Sample(names.RELOADS, pool.reloads)
    for outcome in _OUTCOMES:
        yield Sample(names.CALLS, getattr(pool.calls, outcome), (outcome,))
    for server in pool.servers:
        yield from _server_samples(server)


def _server_samples(server: ServerSnapshot) -> Iterator[Sample]:
    yield Sample(names.ENDPOINT_UP, server.health is not Health.DOWN, (server.label,))
    if server.places is not None:
        yield Sample(names.PLACES, server.places, (server.label,))
    for loaded in server.loaded:
        place = (server.label, loaded.model)
        yield Sample(names.MODEL_MEMORY, loaded.size_vram, (*place, "gpu"))
        yield Sample(names.MODEL_MEMORY, loaded.size - loaded.size_vram, (*place, "cpu"))
    for lane in server.lanes:
        place, figures = (server.label, lane.lane), lane.figures
        for state in ("free", "busy", "cancelling"):
            yield Sample(names.SLOTS, getattr(lane, state), (*place, state))
        yield Sample(names.BREAKER, _BREAKER[lane.breaker], place)
        yield Sample(names.SLOTS_KNOWN, lane.slots, place)
        yield Sample(names.SERVER_WAIT, figures.server_wait_seconds, place)
        yield Sample(names.MODEL_LOAD, figures.load_seconds, place)
        yield Sample(names.PREFILL_SPEED, figures.prompt_tokens_per_second, place)
        yield Sample(names.DECODE_SPEED, figures.decode_tokens_per_second, place)
        yield Sample(names.FIRST_CHUNK, figures.first_byte_seconds, place)
