"""The event loop in which a pool lives.

Owns that it is the one of the pool's first call, what is said in any other, and how the pool is ended from there.
Timers, connections and whoever waits are of one loop: in another they would never be heard of.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from infrastructure.pool.crossing import ended_there
from infrastructure.pool.errors import OtherLoop, OtherProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_HINT = (
    "a pool belongs to the loop of its first call: make one for each loop, and close it there (`async with`); or use "
    "LocalLLM, or a chat model's synchronous methods, from any thread"
)


class Home:
    """Of one pool."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """None before the first call."""
        self._first: dict[str, tuple[asyncio.AbstractEventLoop, int]] = {}

    def check(self) -> None:
        """Settle in the loop that runs here, or see that it is the one.

        Raises:
            OtherLoop: it is another one.
            OtherProcess: and this process was forked from the one where it runs.
        """
        if asyncio._get_running_loop() is self.loop is not None:
            return
        here = asyncio.get_running_loop()
        self.loop, process = self._first.setdefault("home", (here, os.getpid()))  # two threads may be first
        if process != os.getpid():
            raise OtherProcess
        if self.loop is not here:
            raise OtherLoop("which is closed" if self.loop.is_closed() else "", hint=_HINT)

    async def end(self, end: Callable[[], Coroutine[object, object, None]]) -> bool:
        """End what lives there, in that loop, whichever runs here; False where that loop runs no more."""
        if self.loop is None or self.loop is asyncio.get_running_loop():
            await end()
            return True
        _, process = self._first["home"]
        return process == os.getpid() and await ended_there(end, self.loop)
