"""The metrics there are: names, units, labels, and their text form.

Owns the list. Values are handed in by whoever has them; nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from infrastructure.telemetry import names

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter only grows; its name ends in `_total`."""

    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


_SUBSCRIBER = ("subscriber",)
_SIGNAL = ("signal",)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        names.QUEUE_DEPTH: Family("Calls that wait for a slot.", ("band",)),
        names.OLDEST_WAIT: Family("How long the oldest waiting call has waited."),
        names.IN_FLIGHT: Family("Calls that a server works on.", ("band",)),
        names.ENDPOINT_UP: Family("1 while the server is not known to be down.", ("endpoint",)),
        names.SLOTS: Family("Slots of a lane: free, busy, cancelling.", ("endpoint", "lane", "state")),
        names.SLOTS_KNOWN: Family("Calls that run side by side: given, or learned so far.", ("endpoint", "lane")),
        names.PLACES: Family("Models that it holds in memory at once, where that is known.", ("endpoint",)),
        names.BREAKER: Family("0 closed; 0.5 half open, one call may try; 1 open.", ("endpoint", "lane")),
        names.CALLS: Family("Calls since the start, by how they ended.", ("outcome",), counter=True),
        names.LOADS: Family("Calls sent where their model had to be loaded.", counter=True),
        names.RELOADS: Family("Loads of a model that was taken for loaded: not ours.", counter=True),
        names.SERVER_WAIT: Family("Wait in the server's own queue, running average.", ("endpoint", "lane")),
        names.MODEL_LOAD: Family("The last load of the lane's model.", ("endpoint", "lane")),
        names.PREFILL_SPEED: Family("Prompt speed, running average.", ("endpoint", "lane")),
        names.DECODE_SPEED: Family("Answer speed, running average.", ("endpoint", "lane")),
        names.FIRST_CHUNK: Family("Until the first byte, running average.", ("endpoint", "lane")),
        names.MODEL_MEMORY: Family("A loaded model, by where it lies.", ("endpoint", "model", "where")),
        names.RUNS: Family("Runs, by state and, once finished, status.", ("state", "status")),
        names.SSE_CLIENTS: Family("Open event streams."),
        names.BUS_LAG: Family("How long the oldest event has waited that a subscriber has not heard.", _SUBSCRIBER),
        names.BUS_WORST_LAG: Family("The longest that an event has waited for it since the start.", _SUBSCRIBER),
        names.BUS_QUEUED: Family("Events in a subscriber's queue.", _SUBSCRIBER),
        names.BUS_BEHIND: Family("Runs that it reads from the log, because its queue was full.", _SUBSCRIBER),
        names.BUS_DELIVERED: Family("Events that it was told of.", _SUBSCRIBER, counter=True),
        names.BUS_FAILURES: Family("Times that it failed on an event.", _SUBSCRIBER, counter=True),
        names.BUS_SKIPPED: Family(
            "Events that it failed on each time, and went on without.", _SUBSCRIBER, counter=True
        ),
        names.BUS_CAUGHT_UP: Family("Events that it was told of from the log.", _SUBSCRIBER, counter=True),
        names.TASKS: Family("Tasks in the event loop."),
        names.TASK_FAILURES: Family("Errors of tasks that nobody waited for, and of callbacks.", counter=True),
        names.LOOP_WORST_LAG: Family("The latest that the event loop has woken a sleeper since the start."),
        names.SESSIONS: Family("Conversations that are kept."),
        names.APPROVALS_PENDING: Family("Questions to a person that are not answered."),
        names.TELEMETRY_QUEUED: Family("Spans that wait to be sent to the collector."),
        names.TELEMETRY_SENT: Family("Spans and data points that the collector took.", _SIGNAL, counter=True),
        names.TELEMETRY_LOST: Family(
            "Spans and data points that it refused, or that were never sent.", _SIGNAL, counter=True
        ),
        names.TELEMETRY_FAILURES: Family("Requests to the collector that failed.", _SIGNAL, counter=True),
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

    def __init__(self, samples: Iterable[Sample], counted: Iterable[Metric] = ()) -> None:
        """With these samples, and families that were counted elsewhere."""
        self._samples = tuple(samples)
        self._counted = tuple(counted)

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a sample too."""
        families = {name: _made(name, family) for name, family in FAMILIES.items()}
        for sample in self._samples:
            families[sample.name].add_metric(sample.labels, sample.value)
        yield from families.values()
        yield from self._counted

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


def _made(name: str, family: Family) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if family.counter else GaugeMetricFamily
    return kind(name, family.help, labels=family.labels)
