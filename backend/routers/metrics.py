"""Metrics: the pool's figures and the runs, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastapi import APIRouter, Response

from backend.dependencies import App, Door
from backend.problems import answers
from infrastructure.pool.snapshot import PoolSnapshot, ServerSnapshot
from infrastructure.pool.states import Health
from infrastructure.storage.runs import RunState
from infrastructure.telemetry.metrics import CONTENT_TYPE, MetricsCollector, Sample

router = APIRouter(tags=["metrics"])

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
    streams = Sample("corral_sse_clients", door.stopping.streams)
    return Response(MetricsCollector((*samples, streams)).text(), media_type=CONTENT_TYPE)


def run_samples(counts: Mapping[tuple[RunState, str], int]) -> Iterator[Sample]:
    """How many runs there are; states that have none are told as 0."""
    for state in RunState:
        if state is not RunState.FINISHED:
            waiting = sum(count for (found, _), count in counts.items() if found is state)
            yield Sample("corral_runs", waiting, (state, ""))
    for (state, status), count in counts.items():
        if state is RunState.FINISHED:
            yield Sample("corral_runs", count, (state, status))


def pool_samples(pool: PoolSnapshot) -> Iterator[Sample]:
    """Queue, slots and speeds."""
    for band, count in pool.queued.items():
        yield Sample("corral_pool_queue_depth", count, (band,))
    for band, count in pool.in_flight.items():
        yield Sample("corral_pool_in_flight", count, (band,))
    for outcome in ("done", "failed", "cancelled", "preempted", "moved"):
        yield Sample("corral_pool_calls_total", getattr(pool.calls, outcome), (outcome,))
    for server in pool.servers:
        yield from _server_samples(server)


def _server_samples(server: ServerSnapshot) -> Iterator[Sample]:
    yield Sample("corral_pool_endpoint_up", server.health is not Health.DOWN, (server.label,))
    for loaded in server.loaded:
        place = (server.label, loaded.model)
        yield Sample("corral_model_memory_bytes", loaded.size_vram, (*place, "gpu"))
        yield Sample("corral_model_memory_bytes", loaded.size - loaded.size_vram, (*place, "cpu"))
    for lane in server.lanes:
        place, figures = (server.label, lane.lane), lane.figures
        for state in ("free", "busy", "cancelling"):
            yield Sample("corral_pool_slots", getattr(lane, state), (*place, state))
        yield Sample("corral_request_queue_seconds", figures.server_wait_seconds, place)
        yield Sample("corral_model_load_seconds", figures.load_seconds, place)
        yield Sample("corral_prefill_tokens_per_second", figures.prompt_tokens_per_second, place)
        yield Sample("corral_decode_tokens_per_second", figures.decode_tokens_per_second, place)
        yield Sample("corral_time_to_first_chunk_seconds", figures.first_byte_seconds, place)
