"""The figures of `/metrics` as OpenTelemetry has them: the same names, counts and buckets.

Owns the translation. Names of our own stay as they are; those of the conventions get their dots and units back.
Everything counts from the start of the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from infrastructure.telemetry import names

Attributes: TypeAlias = dict[str, str | int]
_Series: TypeAlias = tuple[tuple[str, str], ...]
_CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_data(
    families: Iterable[Family], resource: Resource, scope: InstrumentationScope, *, since: int, now: int
) -> MetricsData:
    """All families that have a value, at an instant.

    Args:
        families: As Prometheus' client has them.
        resource: Whose they are.
        scope: Which program measured.
        since: When counting began, in nanoseconds.
        now: The instant, in nanoseconds.
    """
    metrics = [metric for family in families if (metric := _metric(family, since, now)) is not None]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def points_of(data: MetricsData) -> int:
    """How many data points there are."""
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _metric(family: Family, since: int, now: int) -> Metric | None:
    if not family.samples:
        return None
    name, unit = names.INSTRUMENTS.get(family.name, (family.name, ""))
    return Metric(name, family.documentation, unit, _data(family, since, now))


def _data(family: Family, since: int, now: int) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        series = _by_series(family.samples)
        return Histogram([_histogram(key, samples, since, now) for key, samples in series.items()], _CUMULATIVE)
    points = [NumberDataPoint(_attributes(each.labels), since, now, float(each.value)) for each in family.samples]
    return Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)


def _by_series(samples: Iterable[Sample]) -> Mapping[_Series, list[Sample]]:
    found: dict[_Series, list[Sample]] = {}
    for sample in samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        found.setdefault(key, []).append(sample)
    return found


def _histogram(key: _Series, samples: Sequence[Sample], since: int, now: int) -> HistogramDataPoint:
    """A histogram as one point. Prometheus' buckets add up, OpenTelemetry's do not."""
    buckets = sorted((float(each.labels["le"]), int(each.value)) for each in samples if "le" in each.labels)
    totals = [count for _, count in buckets]
    unknown = cast("Any", None)  # the least and the greatest are not kept, and the protocol lets one leave them out
    return HistogramDataPoint(
        attributes=_attributes(dict(key)),
        start_time_unix_nano=since,
        time_unix_nano=now,
        count=totals[-1],
        sum=next(each.value for each in samples if each.name.endswith("_sum")),
        bucket_counts=list(_steps(totals)),
        explicit_bounds=[bound for bound, _ in buckets[:-1]],
        min=unknown,
        max=unknown,
    )


def _steps(totals: Sequence[int]) -> Iterator[int]:
    below = 0
    for total in totals:
        yield total - below
        below = total


def _attributes(labels: Mapping[str, str]) -> Attributes:
    """Labels by the conventions' names where they are theirs; one that is empty says nothing there."""
    told: Attributes = {}
    for label, value in labels.items():
        name = names.ATTRIBUTES.get(label)
        if name == names.SERVER_ADDRESS:
            told |= address_attributes(value)
        elif value or name is None:
            told[name or label] = value
    return told


def address_attributes(address: str) -> Attributes:
    """Host and port as the conventions have them, each in its own attribute."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return {names.SERVER_ADDRESS: address}
    return {names.SERVER_ADDRESS: host.strip("[]"), names.SERVER_PORT: int(port)}
