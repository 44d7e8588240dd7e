"""One request and its answer on an HTTP/2 connection.

Owns what a stream has received and how it ended; its connection fills it, the task that asked reads it.
"""

from __future__ import annotations

import asyncio
from collections import deque

Header = tuple[bytes, bytes]


class StreamRefused(Exception):
    """The peer says that it did nothing with this request, so it may be sent again.

    `others_taken`: with a GOAWAY that names a stream, so that the next connection gets further.
    """

    def __init__(self, *, others_taken: bool = False) -> None:
        super().__init__()
        self.others_taken = others_taken


class Stream:
    """One request and its answer. One task sends, then receives."""

    __slots__ = ("_waiter", "ended", "error", "id", "pieces", "response", "sent", "uncredited")

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.response: list[Header] | None = None
        self.pieces: deque[bytes] = deque()
        self.uncredited = 0
        self.sent = False
        self.ended = False
        self.error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def changed(self) -> None:
        """Wait until something about the stream is new."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let the task that waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the stream with an error, unless it has ended already."""
        if not self.ended and self.error is None:
            self.error = error
            self.wake()
