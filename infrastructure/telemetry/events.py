"""What is counted of events: how many of each kind, how long they took to disk; and how the bus stands.

Owns the counting. `hear` is a subscriber of the bus, `committed` an observer of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from infrastructure.telemetry import names
from infrastructure.telemetry.calls import without_birthday
from infrastructure.telemetry.metrics import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from infrastructure.events.bus import Standing
    from infrastructure.events.log import Stored


class EventMetrics:
    """Counts what the log keeps. The catalogue bounds the kinds there are."""

    def __init__(self) -> None:
        self._events = Counter(names.EVENTS.removesuffix("_total"), "Events, by kind.", ("kind",), registry=None)
        self._kinds: dict[str, Counter] = {}
        self._commits = Histogram(
            names.EVENT_COMMIT,
            "From handing an event over until it is on disk.",
            registry=None,
            buckets=names.COMMIT_BUCKETS,
        )

    async def hear(self, stored: Stored) -> None:
        """Count an event; a handler for the bus."""
        kind = stored.event.kind
        counter = self._kinds.get(kind)
        if counter is None:
            counter = self._kinds[kind] = self._events.labels(kind)
        counter.inc()

    def committed(self, stored: Stored, seconds: float) -> None:
        """Note how long a commit took; see `OnCommit`."""
        self._commits.observe(seconds)

    def families(self) -> Iterator[Metric]:
        """Both, as they stand."""
        for each in (self._events, self._commits):
            yield from map(without_birthday, each.collect())


def bus_samples(standing: Iterable[Standing]) -> Iterator[Sample]:
    """How each subscriber stands."""
    for each in standing:
        name = (each.name,)
        yield Sample(names.BUS_LAG, each.lag_seconds, name)
        yield Sample(names.BUS_WORST_LAG, each.worst_lag_seconds, name)
        yield Sample(names.BUS_QUEUED, each.queued, name)
        yield Sample(names.BUS_BEHIND, each.behind, name)
        yield Sample(names.BUS_DELIVERED, each.delivered, name)
        yield Sample(names.BUS_FAILURES, each.failures, name)
        yield Sample(names.BUS_SKIPPED, each.skipped, name)
        yield Sample(names.BUS_CAUGHT_UP, each.caught_up, name)
