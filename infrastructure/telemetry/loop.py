"""How well the event loop and the tasks in it do.

Owns the measuring: how late the loop wakes a sleeper, how many tasks there are, how many failed where nobody waited
for them. A call that holds the loop up delays everybody, and shows here as lateness.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import Histogram

from infrastructure.telemetry import names
from infrastructure.telemetry.calls import without_birthday
from infrastructure.telemetry.metrics import Sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from prometheus_client.core import Metric

EVERY_SECONDS = 0.5
HELD_UP_SECONDS = 1.0
"""So late is worth a line in the log."""

_logger = logging.getLogger(__name__)


class LoopWatch:
    """Looks at the running loop while it is open; use it in `async with`."""

    def __init__(
        self,
        *,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._every, self._clock, self._sleep = every, clock, sleep
        self._lag = Histogram(
            names.LOOP_LAG, "How late the event loop woke a sleeper.", registry=None, buckets=names.COMMIT_BUCKETS
        )
        self.worst_seconds = 0.0
        self.failures = 0
        """Errors that reached the loop itself: of tasks that nobody waited for, and of callbacks."""
        self._before: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._before = loop.get_exception_handler()
        loop.set_exception_handler(self._failed)
        self._task = loop.create_task(self._watch(), name="watch the event loop")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().set_exception_handler(self._before)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def samples(self) -> Iterator[Sample]:
        """Tasks and failures now."""
        yield Sample(names.TASKS, len(asyncio.all_tasks()))
        yield Sample(names.TASK_FAILURES, self.failures)
        yield Sample(names.LOOP_WORST_LAG, self.worst_seconds)

    def families(self) -> Iterator[Metric]:
        """The histogram of lateness."""
        yield from map(without_birthday, self._lag.collect())

    async def _watch(self) -> None:
        while True:
            due = self._clock() + self._every
            await self._sleep(self._every)
            self._note(max(0.0, self._clock() - due))

    def _note(self, late: float) -> None:
        self._lag.observe(late)
        self.worst_seconds = max(self.worst_seconds, late)
        if late >= HELD_UP_SECONDS:
            _logger.info("the event loop was held up for %.1f s", late)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures += 1
        if self._before is not None:
            self._before(loop, context)
        else:
            loop.default_exception_handler(context)
