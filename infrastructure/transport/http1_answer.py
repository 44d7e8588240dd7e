"""The answer to one HTTP/1.1 request, as far as it has arrived.

Owns what is held between the socket and the reader, and who is waiting until when. It outlives its turn on the
connection: what has arrived can be read when the connection serves the next request already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from infrastructure.transport.waiting import Awaited

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from infrastructure.transport.waiting import Alarm

Header = tuple[bytes, bytes]

UNREAD_BYTES = 1 << 20
"""What an answer may hold unread; then the socket is left alone until somebody reads."""


class Source(Protocol):
    """The connection that an answer comes from."""

    def read_on(self, answer: Answer) -> None:
        """The answer has room again."""

    def left(self, answer: Answer) -> None:
        """Nobody wants the rest of it."""


class Answer(Awaited):
    """The answer to one request. One task waits for its head, then reads its body."""

    __slots__ = (
        "_connection",
        "_pieces",
        "ended",
        "error",
        "headers",
        "status",
        "unread",
    )

    def __init__(self, connection: Source, loop: asyncio.AbstractEventLoop, alarm: Alarm) -> None:
        super().__init__(loop, alarm)
        self._connection = connection
        self._pieces: list[bytes] = []
        self.status = 0
        """0 until its head is here."""
        self.headers: Sequence[Header] = ()
        self.unread = 0
        self.ended = False
        self.error: Exception | None = None

    # -- for its reader -----------------------------------------------------------------------------
    def header(self, name: bytes) -> str:
        """The first header of this name (in lower case); empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name), "")

    async def receive(self, until: float | None = None) -> bytes:
        """What has arrived since; empty at the end. See `wire.Reply`."""
        while not self._pieces:
            if self.ended:
                return b""
            if self.error is not None:
                raise self.error
            await self.changed(until)
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self.unread > UNREAD_BYTES:
            self._connection.read_on(self)
        self.unread = 0
        return data

    async def aclose(self) -> None:
        """Leave it; before its end the connection is closed at once."""
        self.leave()

    def leave(self) -> None:
        """`aclose` for those who cannot wait."""
        if not self.ended:
            self._connection.left(self)

    # -- for its connection -------------------------------------------------------------------------
    def add(self, data: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(data)
        self.unread += len(data)

    def end(self) -> None:
        """The last byte is here."""
        self.ended = True
        self.wake()

    def fail(self, error: Exception) -> None:
        """No more will come."""
        if not self.ended and self.error is None:
            self.error = error
            self.wake()
