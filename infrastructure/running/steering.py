"""One hand at a time on a run.

Owns the order of what is asked of a run (begin, answer, resume, interrupt, cancel): each sees what the one before has
made of it. What was begun is done to its end, also when whoever asked for it has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from infrastructure.ids import RunId

T = TypeVar("T")


class Steering:
    """The hands on all runs. Of one event loop."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def alone(self, run: RunId, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work` when everything that was asked of this run before is done, and return its value.

        A cancelled caller does not stop it. It must not ask for the same run again.
        """
        task = asyncio.get_running_loop().create_task(self._in_turn(run, work), name=f"steer run {run}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait until nothing is being done, whatever comes of it."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _in_turn(self, run: RunId, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        lock = self._locks.setdefault(run, asyncio.Lock())  # it lives as long as somebody holds or awaits it
        async with lock:
            return await work()
