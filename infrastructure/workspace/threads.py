"""Blocking file work off the event loop, without losing hold of it.

Owns `in_thread`. Questions about a single name go through aiofiles; a thousand small operations in a row go through
here, since a thread hop for each of them would cost more than the work. So does what opens a file: a cancelled `open`
of aiofiles leaves it open until the collector finds it.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Abandoned(Exception):
    """Raised inside the thread when nobody waits for its result any more. Never leaves this module's callers."""


class Stopping:
    """Tells the work in a thread that its awaiter was cancelled."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to end at its next check."""
        self._event.set()

    def check(self) -> None:
        """End the work if it was asked to.

        Raises:
            Abandoned: The awaiter was cancelled.
        """
        if self._event.is_set():
            raise Abandoned


async def in_thread(work: Callable[[Stopping], T]) -> T:
    """Run blocking work in a thread.

    When cancelled, it asks the work to stop, waits until it has, and then lets the cancellation go on: no thread
    is left writing into a tree that its owner believes to be quiet.
    """
    stopping = Stopping()
    task = asyncio.ensure_future(asyncio.to_thread(work, stopping))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopping.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that the loop does not report it as lost
        raise
