"""Requests that other processes leave for the engine: cancel a run, answer a question.

Owns the watch on `control.db`. The file is only opened when it has changed, so an idle engine costs one `stat` a tick.
A request is marked when it has been carried out, and is found again until then, whatever stands in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiofiles.os

from infrastructure.events.causes import correlated
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver, RunNotWaiting, TaskRefused
from infrastructure.storage.control import ControlStore, Request, RequestKind
from infrastructure.storage.errors import StorageError, from_system
from infrastructure.storage.runs import RunError

TICK_SECONDS = 0.2
PAUSE_SECONDS = 10.0
"""The longest pause after storage has failed; it grows from one tick to this."""
YOUNG_NANOSECONDS = 2_000_000_000
"""A file changed so lately may change again without its time moving: file systems count in steps, up to 2 s long."""

_logger = logging.getLogger(__name__)


class Answerer(Protocol):
    """The engine's `answer`."""

    def __call__(self, run: RunId, approval: str, approved: bool, reason: str = "") -> Awaitable[None]:
        """Answer a question of a run."""
        ...


class Requests:
    """Watches for requests and carries them out, one after another."""

    def __init__(
        self,
        control: ControlStore,
        *,
        cancel: Callable[[RunId], Awaitable[None]],
        answer: Answerer,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """A watch, not begun yet. `on_fault` is told what ended it, if that is not `aclose`."""
        self._control = control
        self._cancel = cancel
        self._answer = answer
        self._on_fault = on_fault
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="watch for requests")
        self._task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Finish what is being carried out, and stop watching. Idempotent."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_fault(error)

    async def _watch(self) -> None:
        handled: int | None = None
        pause = TICK_SECONDS
        while not self._closing.is_set():
            try:
                changed = await self._changed()
                if changed is not None and changed != handled:
                    await self._handle_all()
                    handled = None if _is_young(changed) else changed
                pause = TICK_SECONDS
            except StorageError:
                _logger.exception("requests of other processes wait: they could not be read or answered")
                pause = min(2 * pause, PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)

    async def _changed(self) -> int | None:
        """When the file changed last, in nanoseconds; None while there is none."""
        try:
            return (await aiofiles.os.stat(self._control.path)).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_system(error, self._control.path) from error

    async def _handle_all(self) -> None:
        """Carry out what waits. One that storage stands in the way of waits on, and keeps no other waiting."""
        failure: StorageError | None = None
        for request in await self._control.pending():
            try:
                await self._control.mark_handled(request.id, await self._handle(request))
            except StorageError as error:
                failure = error
        if failure is not None:
            raise failure

    async def _handle(self, request: Request) -> str:
        try:
            with correlated(""):  # who asked is not written there, so it counts as what the run began with
                if request.kind is RequestKind.CANCEL:
                    await self._cancel(request.run)
                else:
                    await self._answer(request.run, request.approval, request.approved, request.reason)
        except (RunError, RunIsOver, RunNotWaiting, TaskRefused) as error:
            return f"refused: {error}"
        except StorageError:
            raise
        except Exception as error:
            # A fault of ours, and it ends the watch; but the next engine must not meet it again.
            await self._control.mark_handled(request.id, f"failed: {type(error).__name__}: {error}")
            raise
        return "done"


def _is_young(changed: int) -> bool:
    return time.time_ns() - changed < YOUNG_NANOSECONDS
