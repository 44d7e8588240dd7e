"""Work that is handed to a loop which another thread runs.

Owns how it gets there, and that nobody waits for a loop that runs no more: nothing tells that one stops.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from infrastructure.pool.errors import LoopEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_LOOK_SECONDS = 0.05
"""How often it is seen to that a loop still runs in which something is to end."""


class Standstill:
    """Whether a loop stands still, for one who waits for what is done in it.

    One that does not run may be about to be started, or be between two runs: it stands still if it is met so twice in
    a row, or is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._stood = False

    def look(self) -> None:
        """Look at it, after a while without the result.

        Raises:
            LoopEnded: the result will not come.
        """
        loop = self._loop
        if loop is None or loop.is_running():
            self._stood = False
        elif self._stood or loop.is_closed():
            raise LoopEnded
        else:
            self._stood = True


def submitted(loop: asyncio.AbstractEventLoop, begin: Callable[[], Coroutine[object, object, T]]) -> Future[T]:
    """Begin work in a loop: `run_coroutine_threadsafe`, but nothing is made that would be left where it never runs.

    Raises:
        LoopEnded: the loop is closed.
    """
    future: Future[T] = Future()

    def start() -> None:
        if future.cancelled():
            return
        task = loop.create_task(begin())
        task.add_done_callback(over)

        def given_up(done: Future[T]) -> None:
            if done.cancelled():
                with suppress(RuntimeError):  # closed by now
                    loop.call_soon_threadsafe(task.cancel)

        future.add_done_callback(given_up)

    def over(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            _ = task.cancelled() or task.exception()  # nobody asks for it, and it is seen
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    try:
        loop.call_soon_threadsafe(start)
    except RuntimeError:
        raise LoopEnded from None
    return future


async def ended_there(end: Callable[[], Coroutine[object, object, None]], home: asyncio.AbstractEventLoop) -> bool:
    """End something in the loop that another thread runs; False where that loop runs no more, or stops before."""
    if not home.is_running():
        return False
    try:
        done = asyncio.wrap_future(submitted(home, end))
    except LoopEnded:  # it was closed just now
        return False
    try:
        while not done.done() and home.is_running():
            await asyncio.wait((done,), timeout=_LOOK_SECONDS)
    except asyncio.CancelledError:
        done.cancel()
        raise
    if not done.done():
        done.cancel()
        return False
    if done.cancelled():  # `asyncio.run` cancels there what is left at its end
        return False
    done.result()
    return True
