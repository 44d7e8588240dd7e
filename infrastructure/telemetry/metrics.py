"""The metrics there are: names, units, labels, and their text form.

Owns the list. Values are handed in by whoever has them; nothing is counted here. Labels never hold run ids, prompts or
paths: each new value of a label is a new series for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter only grows; its name ends in `_total`."""

    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "corral_pool_queue_depth": Family("Calls that wait for a slot.", ("band",)),
        "corral_pool_in_flight": Family("Calls that a server works on.", ("band",)),
        "corral_pool_endpoint_up": Family("1 while the server is not known to be down.", ("endpoint",)),
        "corral_pool_slots": Family("Slots of a lane: free, busy, cancelling.", ("endpoint", "lane", "state")),
        "corral_pool_calls_total": Family("Calls since the start, by how they ended.", ("outcome",), counter=True),
        "corral_request_queue_seconds": Family(
            "Wait in the server's own queue, running average.", ("endpoint", "lane")
        ),
        "corral_model_load_seconds": Family("The last load of the lane's model.", ("endpoint", "lane")),
        "corral_prefill_tokens_per_second": Family("Prompt speed, running average.", ("endpoint", "lane")),
        "corral_decode_tokens_per_second": Family("Answer speed, running average.", ("endpoint", "lane")),
        "corral_time_to_first_chunk_seconds": Family("Until the first byte, running average.", ("endpoint", "lane")),
        "corral_model_memory_bytes": Family("A loaded model, by where it lies.", ("endpoint", "model", "where")),
        "corral_runs": Family("Runs, by state and, once finished, status.", ("state", "status")),
        "corral_sse_clients": Family("Open event streams."),
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric; `labels` in the order of its family."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class MetricsCollector(Collector):
    """Gives samples to Prometheus' own client, which writes the text."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a sample too."""
        families = {name: _made(name, family) for name, family in FAMILIES.items()}
        for sample in self._samples:
            families[sample.name].add_metric(sample.labels, sample.value)
        yield from families.values()

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


def _made(name: str, family: Family) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if family.counter else GaugeMetricFamily
    return kind(name, family.help, labels=family.labels)
