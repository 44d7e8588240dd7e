"""Spans that are over, until the collector has them.

Owns the queue and the task that empties it. The queue is bounded: where the collector is away for long, the oldest go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from infrastructure.telemetry.otel.collector import Outcome

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from infrastructure.telemetry.otel.collector import Collector

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast things go out. Seconds, but for the two numbers of spans."""

    gather: float = 1.0
    """From the first span that waits to the request, so that many go in one."""
    batch: int = 256
    room: int = 4096
    """Spans that wait; one takes about 2 KiB."""
    first_pause: float = 1.0
    """Before a request is made again; doubled with each failure in a row."""
    longest_pause: float = 60.0
    flush: float = 1.5
    """For what waits when it closes; metrics and spans have it each."""


PACE = Pace()


class Outbox(SpanProcessor):
    """Takes spans of one event loop. Use it in `async with`; leaving it sends what waits, for a short while."""

    def __init__(self, collector: Collector, pace: Pace = PACE) -> None:
        self._collector, self._pace, self._pause = collector, pace, pace.first_pause
        self._waiting: deque[ReadableSpan] = deque()
        self._sending: list[ReadableSpan] = []
        self._bell, self._closing = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """How many wait, or are on their way."""
        return len(self._waiting) + len(self._sending)

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="send spans")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._bell.set()
        if self._task is None:
            return
        try:
            await asyncio.wait([self._task], timeout=self._pace.flush)
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
            if self.queued:
                _logger.info("telemetry: %d spans were not sent", self.queued)
                self._lose(self.queued)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is sent of a span that is not over."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that is over; never waits."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self.queued >= self._pace.room and self._waiting:
            self._waiting.popleft()
            self._lose(1)
        self._waiting.append(span)
        self._bell.set()

    async def _run(self) -> None:
        while not self._closing.is_set() or self.queued:
            await self._bell.wait()
            self._bell.clear()
            await self._rest(self._pace.gather)
            while self.queued:
                if not self._sending:
                    self._sending = [self._waiting.popleft() for _ in range(min(self._pace.batch, len(self._waiting)))]
                last = self._closing.is_set()
                if not await self._sent() and last:
                    return

    async def _sent(self) -> bool:
        """Send what is on its way; where that has to wait, rest."""
        batch = self._sending
        try:
            body = await asyncio.to_thread(lambda: encode_spans(batch).SerializeToString())
        except Exception:
            _logger.exception("telemetry: %d spans cannot be written down", len(batch))
            self._lose(len(batch))
            self._sending = []
            return False
        answer = await self._collector.post("traces", body, len(batch))
        if answer.outcome is Outcome.LATER:
            await self._rest(max(answer.pause, self._pause))
            self._pause = min(self._pause * 2, self._pace.longest_pause)
            return False
        self._sending, self._pause = [], self._pace.first_pause
        return answer.outcome is Outcome.TAKEN

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until it closes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _lose(self, count: int) -> None:
        self._collector.tallies["traces"].lost += count
