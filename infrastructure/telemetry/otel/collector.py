"""The collector on the wire: OTLP over HTTP, protobuf.

Owns the requests and what is said of failures. The library's own exporter is not used: it sends headers of `OTEL_…`
variables to whatever endpoint it is given, waits in threads that nothing can cancel, and logs each batch that fails.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import httpx
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from infrastructure.config.hosts import is_loopback
from infrastructure.telemetry import names
from infrastructure.telemetry.errors import TelemetryNotOpened
from infrastructure.telemetry.metrics import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infrastructure.config.settings import TelemetrySettings

Signal: TypeAlias = Literal["traces", "metrics"]
_TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same may be sent again, by the protocol."""
_LONGEST_PAUSE = 300.0
_ANSWER_BYTES = 64 << 10

_logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a request."""

    TAKEN = "taken"
    LATER = "later"
    """It may be sent again."""
    REFUSED = "refused"
    """It is of no use to send it again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a collector said."""

    outcome: Outcome
    pause: float = 0.0
    """Seconds that it wants to be left alone; 0 where it does not say."""
    rejected: int = 0
    """How many items it did not take of a request that it took."""


@dataclass(slots=True)
class Tally:
    """What became of one signal so far."""

    sent: int = 0
    lost: int = 0
    failures: int = 0


@dataclass(slots=True)
class Collector:
    """One collector. A failure is a warning once; what follows is for those who read more."""

    url: str
    client: httpx.AsyncClient
    tallies: dict[Signal, Tally] = field(default_factory=lambda: {"traces": Tally(), "metrics": Tally()})
    _failing: dict[Signal, str] = field(default_factory=dict["Signal", str])
    _told: set[str] = field(default_factory=set[str])

    async def post(self, signal: Signal, body: bytes, items: int) -> Answer:
        """Send a request with so many items; every failure is an answer, and counted."""
        try:
            async with self.client.stream("POST", f"{self.url}/v1/{signal}", content=body) as response:
                said = await _beginning(response)
        except httpx.TimeoutException:
            return self._failed(signal, "does not answer in time")
        except httpx.HTTPError as error:
            return self._failed(signal, f"cannot be reached ({error or type(error).__name__})")
        if response.is_success:
            return self._taken(signal, items, said)
        if response.status_code in _TRY_AGAIN:
            answer = self._failed(signal, f"says {response.status_code}")
            return Answer(answer.outcome, pause=_pause(response.headers.get("Retry-After", "")))
        self.tallies[signal].lost += items
        hint = _HINTS.get(response.status_code, "")
        self._failed(signal, f"refuses {signal} with status {response.status_code}{hint}")
        return Answer(Outcome.REFUSED)

    def samples(self) -> Iterator[Sample]:
        """What became of both signals."""
        for signal, tally in self.tallies.items():
            yield Sample(names.TELEMETRY_SENT, tally.sent, (signal,))
            yield Sample(names.TELEMETRY_LOST, tally.lost, (signal,))
            yield Sample(names.TELEMETRY_FAILURES, tally.failures, (signal,))

    def _taken(self, signal: Signal, items: int, said: bytes) -> Answer:
        if self._failing.pop(signal, None) is not None:
            _logger.info("telemetry: the collector at %s takes %s again", self.url, signal)
        rejected = min(_rejected(signal, said), items)
        tally = self.tallies[signal]
        tally.sent += items - rejected
        tally.lost += rejected
        if rejected:
            self._say("some", f"takes only some of the {signal}")
        return Answer(Outcome.TAKEN, rejected=rejected)

    def _failed(self, signal: Signal, reason: str) -> Answer:
        self.tallies[signal].failures += 1
        if reason not in self._failing.values():
            self._say(reason.partition(" (")[0], reason)
        self._failing[signal] = reason
        return Answer(Outcome.LATER)

    def _say(self, what: str, reason: str) -> None:
        level = logging.INFO if what in self._told else logging.WARNING
        self._told.add(what)
        _logger.log(level, "telemetry: the collector at %s %s; work goes on without it", self.url, reason)


_HINTS = {
    401: "; set telemetry.headers",
    403: "; set telemetry.headers",
    404: "; check telemetry.endpoint, or set telemetry.metrics = false where it takes traces only",
}


@asynccontextmanager
async def reach(settings: TelemetrySettings, url: str) -> AsyncGenerator[Collector]:
    """The collector at a base address; its connections end with this.

    Raises:
        TelemetryNotOpened: the certificate authority cannot be read.
    """
    context = await asyncio.to_thread(_ssl_context, settings, url)
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    async with httpx.AsyncClient(
        headers={**headers, "Content-Type": "application/x-protobuf", "User-Agent": "corral"},
        verify=context,
        timeout=settings.timeout_seconds,
        trust_env=not is_loopback(url),
        follow_redirects=False,
    ) as client:
        yield Collector(url, client)


def _ssl_context(settings: TelemetrySettings, url: str) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=not is_loopback(url))
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            said = f"telemetry.ca_file: {settings.ca_file} cannot be read ({error.strerror or error})"
            raise TelemetryNotOpened(said, "Name a PEM file.") from error
    return context


async def _beginning(response: httpx.Response) -> bytes:
    said = b""
    async for piece in response.aiter_bytes():
        said += piece
        if len(said) > _ANSWER_BYTES:
            return b""
    return said


def _rejected(signal: Signal, said: bytes) -> int:
    """How many items it did not take, where it says so in the protocol's words."""
    try:
        if signal == "traces":
            return ExportTraceServiceResponse.FromString(said).partial_success.rejected_spans
        return ExportMetricsServiceResponse.FromString(said).partial_success.rejected_data_points
    except DecodeError:
        return 0


def _pause(text: str) -> float:
    """Seconds of a `Retry-After`; one that gives a date is not followed."""
    return min(float(text), _LONGEST_PAUSE) if text.isascii() and text.isdecimal() else 0.0
