"""Metrics, sent every so often.

Owns the task. Figures are read in the event loop, as for `/metrics`; what they become is made in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from infrastructure.telemetry.otel.points import metrics_data, points_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from prometheus_client.core import Metric

    from infrastructure.telemetry.exporting import Collected
    from infrastructure.telemetry.otel.collector import Collector

_logger = logging.getLogger(__name__)


class Measuring:
    """Sends metrics while it is open, and once more when it closes. Use it in `async with`.

    What could not be sent is not sent again: all counts go on, so the next ones tell it too.
    """

    def __init__(
        self,
        collector: Collector,
        collected: Collected,
        *,
        resource: Resource,
        scope: InstrumentationScope,
        every: float,
        flush: float,
    ) -> None:
        self._collector, self._collected, self._every = collector, collected, every
        self._resource, self._scope = resource, scope
        self._flush = flush
        self._since = time.time_ns()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="send metrics")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._task is None:
            return
        try:
            await asyncio.wait([self._task], timeout=self._flush)
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        last = False
        while not last:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._closing.wait()
            last = self._closing.is_set()
            try:
                await self._send()
            except Exception:
                _logger.exception("telemetry: the metrics of now cannot be told")

    async def _send(self) -> None:
        families = list(await self._collected())
        body, items = await asyncio.to_thread(self._encoded, families)
        await self._collector.post("metrics", body, items)

    def _encoded(self, families: Iterable[Metric]) -> tuple[bytes, int]:
        data = metrics_data(families, self._resource, self._scope, since=self._since, now=time.time_ns())
        return encode_metrics(data).SerializeToString(), points_of(data)
