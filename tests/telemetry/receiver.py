"""A collector to test with: OTLP over HTTP on a loopback port, every request decoded from its protobuf.

`python -m tests.telemetry.receiver [PORT]` runs it and prints what comes, to look at by hand.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True)
class GotSpan:
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    start: int
    end: int
    attributes: Mapping[str, object]
    events: tuple[tuple[str, Mapping[str, object]], ...]
    error: str | None
    """The message of its status where that is an error."""


@dataclass(frozen=True)
class GotMetric:
    name: str
    unit: str
    form: str
    points: tuple[tuple[Mapping[str, object], object], ...]
    """Attributes and value; a histogram's value is (count, sum, buckets, bounds)."""


@dataclass
class Receiver:
    """What came. `answer` is the status line and body that the next requests get; None never answers."""

    url: str
    answer: tuple[str, bytes] | None = ("200 OK", b"")
    more: str = ""
    """Further header lines of the answer."""
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    resources: list[Mapping[str, object]] = field(default_factory=list)
    spans: list[GotSpan] = field(default_factory=list)
    metrics: dict[str, GotMetric] = field(default_factory=dict)
    """The latest of each name."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    verbose: bool = False

    async def until(self, count: int) -> None:
        """Wait for so many requests since the start."""
        async with asyncio.timeout(30):
            while len(self.paths) < count:
                self.came.clear()
                await self.came.wait()

    async def until_span(self, name: str) -> GotSpan:
        async with asyncio.timeout(30):
            while not (found := self.named(name)):
                self.came.clear()
                await self.came.wait()
        return found[0]

    def named(self, name: str) -> list[GotSpan]:
        return [span for span in self.spans if span.name == name]

    def the(self, name: str) -> GotSpan:
        (found,) = self.named(name)
        return found

    def path_of(self, span: GotSpan) -> str:
        """The names from the root down to a span."""
        by_id = {each.id: each for each in self.spans}
        above = self.path_of(by_id[span.parent]) + " / " if span.parent in by_id else ""
        return above + span.name

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    key, _, value = header.partition(":")
                    headers[key.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self._take(line.decode().split()[1], headers, body)
                if self.answer is None:
                    await reader.read()
                    return
                status, said = self.answer
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\n{self.more}\r\n"
                writer.write(head.encode() + said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.paths.append(path)
        self.headers.append(headers)
        self.bodies.append(body)
        if self.answer is not None and self.answer[0].startswith("200"):
            spans, metrics = list(_spans(body, self)) if path == "/v1/traces" else [], []
            if path == "/v1/metrics":
                metrics = list(_metrics(body, self))
            self.spans += spans
            self.metrics |= {metric.name: metric for metric in metrics}
            if self.verbose:
                _show(path, spans, metrics)
        self.came.set()


def _spans(body: bytes, receiver: Receiver) -> Iterator[GotSpan]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        receiver.resources.append(_plain(group.resource.attributes))
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield GotSpan(
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                kind=span.kind,
                start=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                attributes=_plain(span.attributes),
                events=tuple((event.name, _plain(event.attributes)) for event in span.events),
                error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
            )


def _metrics(body: bytes, receiver: Receiver) -> Iterator[GotMetric]:
    for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        receiver.resources.append(_plain(group.resource.attributes))
        for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
            form = metric.WhichOneof("data") or ""
            points = tuple((_plain(each.attributes), _value(form, each)) for each in getattr(metric, form).data_points)
            yield GotMetric(metric.name, metric.unit, form, points)


def _value(form: str, point: object) -> object:
    if form == "histogram":
        return point.count, point.sum, tuple(point.bucket_counts), tuple(point.explicit_bounds)
    return getattr(point, point.WhichOneof("value"))


def _plain(attributes: list[KeyValue]) -> dict[str, object]:
    return {each.key: _any(each.value) for each in attributes}


def _any(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return [_any(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _show(path: str, spans: list[GotSpan], metrics: list[GotMetric]) -> None:
    lines = [f"{path}: {len(spans) or len(metrics)}"]
    for span in spans:
        told = json.dumps(dict(span.attributes), ensure_ascii=False)
        marks = ", ".join(name for name, _ in span.events)
        seconds = (span.end - span.start) / 1e9
        place = f"{span.trace[:8]} {span.parent or '-':16} > {span.id} {seconds:7.3f}s"
        lines.append(f"  {place} {span.name} {told} [{marks}]" + (f" ERROR {span.error}" if span.error else ""))
    lines += [f"  {metric.form:9} {metric.name} {metric.unit} {metric.points[:2]}" for metric in metrics]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver("")
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    async with server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


async def _main(port: int) -> None:
    async with receiving(port) as receiver:
        receiver.verbose = True
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 4318))
