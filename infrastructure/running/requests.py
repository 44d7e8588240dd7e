"""Requests that other processes leave for the engine: cancel a run, answer a question.

Owns the watch on `control.db`. The file is only opened when it has changed, so an idle engine costs one `stat` a tick.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiofiles.os

from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver, RunNotWaiting
from infrastructure.storage.control import ControlStore, Request, RequestKind
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RunError

TICK_SECONDS = 0.2

_logger = logging.getLogger(__name__)


class Answerer(Protocol):
    """The engine's `answer`."""

    def __call__(self, run: RunId, approval: str, approved: bool, reason: str = "") -> Awaitable[None]:
        """Answer a question of a run."""
        ...


class Requests:
    """Watches for requests and carries them out, one after another."""

    def __init__(self, control: ControlStore, *, cancel: Callable[[RunId], Awaitable[None]], answer: Answerer) -> None:
        self._control = control
        self._cancel = cancel
        self._answer = answer
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="watch for requests")

    async def aclose(self) -> None:
        """Stop watching. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _watch(self) -> None:
        seen: int | None = None
        while True:
            changed = await self._changed()
            if changed is not None and changed != seen:
                seen = changed
                await self._handle_all()
            await asyncio.sleep(TICK_SECONDS)

    async def _changed(self) -> int | None:
        try:
            return (await aiofiles.os.stat(self._control.path)).st_mtime_ns
        except FileNotFoundError:
            return None

    async def _handle_all(self) -> None:
        try:
            for request in await self._control.pending():
                await self._control.mark_handled(request.id, await self._handle(request))
        except StorageError:
            _logger.exception("a request of another process could not be read or answered")

    async def _handle(self, request: Request) -> str:
        try:
            if request.kind is RequestKind.CANCEL:
                await self._cancel(request.run)
            else:
                await self._answer(request.run, request.approval, request.approved, request.reason)
        except (RunError, RunIsOver, RunNotWaiting) as error:
            return f"refused: {error}"
        return "done"
