"""The one thing of a kind that a process has.

Owns that it is made once, when it is first asked for, from the settings given before; and when a new one is made: when
it is closed, when the loop is closed that it lived in, and in a process that was forked.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from infrastructure.config.settings import Settings
from infrastructure.pool.crossing import ended_there
from infrastructure.pool.errors import OtherLoop
from infrastructure.pool.forked import leave_alone, tell_when_forked

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class ProcessWide(Generic[T]):
    """Made on first use by `make`, ended by `end`. Belongs to one event loop."""

    def __init__(self, make: Callable[[Settings], T], end: Callable[[T], Coroutine[object, object, None]]) -> None:
        self._make = make
        self._end = end
        self._settings: Settings | None = None
        self._made: tuple[T, asyncio.AbstractEventLoop] | None = None
        self._lock = threading.Lock()
        tell_when_forked(self)

    def configure(self, settings: Settings | None) -> None:
        """Say with which settings it is made; None for those that nobody changed.

        Raises:
            RuntimeError: it is made already.
        """
        if self._made is not None:
            raise RuntimeError("it is in use already; close it first")
        self._settings = settings

    def new(self) -> T:
        """Another one, made in the same way, that whoever asks for it has to close."""
        return self._make(self._settings or Settings())

    def get(self) -> T:
        """The one of the process, for the loop that runs here.

        Raises:
            OtherLoop: it is in use in another one, which is not closed.
        """
        loop = asyncio.get_running_loop()
        with self._lock:  # each thread may have a loop
            if self._made is None or self._made[1].is_closed():
                self._made = self.new(), loop
            made, home = self._made
        if home is not loop:
            raise OtherLoop
        return made

    async def aclose(self) -> None:
        """End it, if there is one: in its own loop, whichever asks for it.

        One whose loop runs no more, or stops before it is ended, is let go.
        """
        with self._lock:
            made, self._made = self._made, None
        if made is None:
            return
        one, home = made
        if home is asyncio.get_running_loop():
            await self._end(one)
        else:
            await ended_there(lambda: self._end(one), home)

    def begin_anew(self) -> None:
        """In a forked process: there is none yet."""
        leave_alone(self._made)
        self._made = None
        self._lock = threading.Lock()
