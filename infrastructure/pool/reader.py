"""Who waits for a call's next chunk, and whose doing a cancellation of it is.

Owns the difference between a caller that is cancelled and a slot that was taken from under it: both reach the task in
the same way.
"""

from __future__ import annotations

import asyncio


class Reader:
    """Of one call."""

    __slots__ = ("_cancelling", "cancelled", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[object] | None = None
        """The task that waits for the next chunk; None while the caller is busy with the last one."""
        self.cancelled = False
        """Whether the pool has cancelled it, to get at the stream."""
        self._cancelling = 0

    def begin(self) -> None:
        """The current task waits from now on."""
        self.task = task = asyncio.current_task()
        self._cancelling = task.cancelling() if task else 0

    def cancel(self) -> None:
        """Take the stream out of its hands."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()

    def only_by_pool(self) -> bool:
        """Whether the pool alone has cancelled the current task, which is taken back if so."""
        task = asyncio.current_task()
        return self.cancelled and task is not None and task.uncancel() <= self._cancelling
