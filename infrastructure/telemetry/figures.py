"""Every figure of an open application at one instant: for `/metrics`, and for a collector.

Owns the gathering. Who has a number is asked when somebody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.snapshot import PoolSnapshot, ServerSnapshot
from infrastructure.pool.states import Health
from infrastructure.storage.runs import RunState
from infrastructure.telemetry import names
from infrastructure.telemetry.events import bus_samples
from infrastructure.telemetry.metrics import MetricsCollector, Sample

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from infrastructure.connection_pool import OllamaConnectionPool
    from infrastructure.events.bus import EventBus
    from infrastructure.sessions.hitl import HITLManager
    from infrastructure.storage.runs import RunStore
    from infrastructure.telemetry.calls import CallMetrics
    from infrastructure.telemetry.events import EventMetrics
    from infrastructure.telemetry.exporting import Exporting
    from infrastructure.telemetry.gauges import Gauges
    from infrastructure.telemetry.loop import LoopWatch

_OUTCOMES = ("done", "failed", "cancelled", "preempted", "moved", "hedged", "hedges_won", "tripped")
_BREAKER = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 0.5, BreakerState.OPEN: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Whom to ask."""

    pool: OllamaConnectionPool
    runs: RunStore
    approvals: HITLManager
    bus: EventBus
    calls: CallMetrics
    events: EventMetrics
    loop: LoopWatch
    gauges: Gauges
    exporting: Exporting | None

    async def collected(self) -> MetricsCollector:
        """All of them, as they stand.

        Raises:
            StorageError: the runs or approvals cannot be counted.
        """
        runs = run_samples(await self.runs.counts())
        asked = Sample(names.APPROVALS_PENDING, len(await self.approvals.pending()))
        inside = (*bus_samples(self.bus.standing()), *self.loop.samples(), *self.gauges.samples())
        sending = () if self.exporting is None else tuple(self.exporting.samples())
        samples = (*pool_samples(self.pool.snapshot()), *runs, asked, *inside, *sending)
        counted = chain(self.calls.families(), self.events.families(), self.loop.families())
        return MetricsCollector(samples, counted)

    async def families(self) -> Iterable[Metric]:
        """The same, as Prometheus' client has them. Raises StorageError."""
        return (await self.collected()).collect()


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
