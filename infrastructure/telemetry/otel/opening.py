"""The collector of the settings, opened: what hears events, what sends, in the order in which they close."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from infrastructure.ids import new_id
from infrastructure.telemetry import names
from infrastructure.telemetry.metrics import Sample
from infrastructure.telemetry.otel.collector import Collector, reach
from infrastructure.telemetry.otel.measuring import Measuring
from infrastructure.telemetry.otel.outbox import PACE, Outbox, Pace
from infrastructure.telemetry.otel.roots import Roots, TraceIds
from infrastructure.telemetry.otel.spans import KINDS, Traces
from infrastructure.telemetry.parents import Parents

if TYPE_CHECKING:
    from infrastructure.config.settings import TelemetrySettings
    from infrastructure.events.log import Stored
    from infrastructure.telemetry.exporting import Collected

SCOPE = "corral"


@dataclass(frozen=True, slots=True)
class Export:
    """An `Exporting` over OpenTelemetry's library."""

    settings: TelemetrySettings
    collector: Collector
    outbox: Outbox
    traces: Traces
    parents: Parents
    resource: Resource
    version: str
    pace: Pace
    kinds: frozenset[str] = KINDS

    async def hear(self, stored: Stored) -> None:
        """Make spans of an event."""
        await self.traces.hear(stored)

    def samples(self) -> Iterator[Sample]:
        """How sending goes."""
        yield Sample(names.TELEMETRY_QUEUED, self.outbox.queued)
        yield from self.collector.samples()

    def measuring(self, collected: Collected) -> AbstractAsyncContextManager[object]:
        """Send metrics while it is open, where they are wanted."""
        if not self.settings.metrics:
            return nullcontext()
        return Measuring(
            self.collector,
            collected,
            resource=self.resource,
            scope=InstrumentationScope(SCOPE, self.version),
            every=self.settings.metrics_seconds,
            flush=self.pace.flush,
        )


@asynccontextmanager
async def open_collector(
    settings: TelemetrySettings, *, version: str, addresses: Mapping[str, str], pace: Pace | None = None
) -> AsyncGenerator[Export]:
    """Everything that sends; see `exporting.open_exporting`. The process-wide provider of the library stays unset."""
    resource = Resource(
        {
            "service.name": settings.service_name,
            "service.version": version,
            "service.instance.id": new_id(),
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": "python",
        }
    )
    ids, parents, pace = TraceIds(), Parents(), pace or PACE
    async with reach(settings, settings.endpoint or "") as collector, Outbox(collector, pace) as outbox:
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sampling)),
            resource=resource,
            id_generator=ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(outbox)
        traces = Traces(Roots(provider.get_tracer(SCOPE, version), ids, parents, addresses))
        try:
            yield Export(settings, collector, outbox, traces, parents, resource, version, pace)
        finally:
            traces.close()
