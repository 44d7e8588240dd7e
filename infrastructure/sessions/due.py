"""The watch that turns down what has waited too long: it sleeps until the next is due, or something new is asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from infrastructure.storage.errors import StorageError
from infrastructure.storage.times import Now

RETRY_SECONDS = 5.0
"""How long it rests after storage has failed."""

LONGEST_SECONDS = 60.0
"""How long it rests at most: the loop's clock stands still while the machine sleeps, and the wall clock does not."""

Pause: TypeAlias = Callable[[float], Awaitable[None]]
"""Sleeps that many seconds."""

_logger = logging.getLogger(__name__)


class DueWatch:
    """Calls `expire` when something is due; `expire` says when the next is, or None."""

    def __init__(self, expire: Callable[[], Awaitable[datetime | None]], now: Now, pause: Pause) -> None:
        self._expire, self._now, self._pause = expire, now, pause
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="expire approvals")

    def look_again(self) -> None:
        """Something new is asked, which may be due before the rest."""
        self._changed.set()

    async def aclose(self) -> None:
        """Stop watching. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            try:
                due = await self._expire()
            except StorageError:
                _logger.exception("approvals could not be looked through for those that waited too long")
                await self._pause(RETRY_SECONDS)
                continue
            if due is None:
                await self._changed.wait()
            else:
                await self._rest(min(max(0.0, (due - self._now()).total_seconds()), LONGEST_SECONDS))

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._sleep(seconds)), loop.create_task(self._new())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sleep(self, seconds: float) -> None:
        await self._pause(seconds)

    async def _new(self) -> None:
        await self._changed.wait()
