"""Ends of runs that could not be written down: kept in memory, and written as soon as that works.

Owns when it is tried again: every few seconds, and once more at the end. What is not written by then the next engine
finds in the table, as it finds what a killed one left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from infrastructure.ids import RunId
from infrastructure.running.outcomes import Unwritten
from infrastructure.running.steering import Steering
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RunState, RunStore
from infrastructure.tasks import RunResult

PAUSE_SECONDS = 2.0
"""Between two attempts."""

Sleep = Callable[[float], Awaitable[None]]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnkeptEnd:
    """What came of a run, and how that is written down."""

    result: RunResult
    unwritten: Unwritten
    context: Context = field(default_factory=copy_context)
    """What led to it: the event that tells of it names that."""


class UnkeptEnds:
    """All of them, of one engine. Each is tried again, in turn with what is asked of its run, until it is dropped."""

    def __init__(self, runs: RunStore, steering: Steering, *, sleep: Sleep = asyncio.sleep) -> None:
        self._runs, self._steering, self._sleep = runs, steering, sleep
        self._ends: dict[RunId, UnkeptEnd] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, run: RunId, result: RunResult, unwritten: Unwritten) -> None:
        """Keep an end, in the place of any other that the run had."""
        _logger.warning("run %s: how it ended could not be kept, and is tried again: %s", run, unwritten.error)
        self._ends[run] = UnkeptEnd(result=result, unwritten=unwritten)
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._keep_trying(), name="write down how runs ended")

    def drop(self, run: RunId) -> None:
        """Forget a run's end, if there is one: it is written, or the run goes on."""
        self._ends.pop(run, None)

    def of(self, run: RunId) -> UnkeptEnd | None:
        """A run's end that is not written."""
        return self._ends.get(run)

    async def try_all(self) -> None:
        """Try each once, in the order in which they came."""
        loop = asyncio.get_running_loop()
        for run, end in tuple(self._ends.items()):
            try:
                await loop.create_task(self._try(run, end), context=end.context)
            except StorageError as error:
                _logger.debug("run %s: how it ended cannot be kept yet: %s", run, error)
            except Exception:
                _logger.exception("run %s: how it ended cannot be kept", run)
                self.drop(run)

    async def aclose(self) -> None:
        """Try no more by itself. Idempotent."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_trying(self) -> None:
        while self._ends:
            await self._sleep(PAUSE_SECONDS)
            await self.try_all()
        self._task = None

    async def _try(self, run: RunId, end: UnkeptEnd) -> None:
        await self._steering.alone(run, lambda: self._write(run, end))

    async def _write(self, run: RunId, end: UnkeptEnd) -> None:
        """Write it down, unless somebody has gone on with the run, or ended it, or it was written after all."""
        if self._ends.get(run) is not end:
            return
        record = await self._runs.get(run)
        if record.state not in (end.unwritten.state, RunState.FINISHED):
            outcome = await end.unwritten.again()
            if outcome.unwritten is not None:
                return
            _logger.info("run %s: how it ended is kept now", run)
        self.drop(run)
