"""One request and its answer on an HTTP/2 connection.

Owns what a stream has received and how it ended; its connection fills it, the task that asked reads it.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Protocol

import httpx
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from infrastructure.transport.waiting import Alarm, Awaited

if TYPE_CHECKING:
    import asyncio

Header = tuple[bytes, bytes]
_STATUS = re.compile(rb"[1-9][0-9]{2}")


class StreamRefused(Exception):
    """The peer says that it did nothing with this request, so it may be sent again.

    `others_taken`: with a GOAWAY that names a stream, so that the next connection gets further.
    """

    def __init__(self, *, others_taken: bool = False) -> None:
        super().__init__()
        self.others_taken = others_taken


class StreamFailed(httpx.RemoteProtocolError):
    """The peer ended this stream alone, by a reset or with what is no answer.

    What it did with the request before is unknown, so whoever asks again has asked twice.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"HTTP/2: {what}")


class Source(Protocol):
    """The connection that a stream is on."""

    def read_on(self, stream: Stream) -> None:
        """What had arrived of it has been read."""

    def release(self, stream: Stream) -> None:
        """Nobody wants more of it."""


class Stream(Awaited):
    """One request and its answer, which is a `wire.Reply`. One task sends, then receives."""

    __slots__ = (
        "_source",
        "ended",
        "error",
        "has_length",
        "id",
        "pieces",
        "response",
        "sent",
        "uncounted",
        "uncredited",
    )

    def __init__(self, stream_id: int, source: Source, loop: asyncio.AbstractEventLoop, alarm: Alarm) -> None:
        super().__init__(loop, alarm)
        self._source = source
        self.id = stream_id
        self.response: list[Header] | None = None
        """The head of the answer, once it is here."""
        self.has_length = False
        """Whether its head says how long the answer is."""
        self.pieces: deque[bytes] = deque()
        self.uncredited = 0
        """Bytes of DATA that the peer has not been given back, of those that `h2` has counted."""
        self.uncounted = 0
        """The same, of those that it has not seen."""
        self.sent = False
        self.ended = False
        self.error: Exception | None = None

    # -- wire.Reply ---------------------------------------------------------------------------------
    @property
    def status(self) -> int:
        """Its status; 0 until its head is here."""
        return int(self.header(b":status") or 0)

    def header(self, name: bytes) -> str:
        """The first header of this name (in lower case); empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.response or () if key == name), "")

    async def receive(self, until: float | None = None) -> bytes:
        """What has arrived since; empty at the end. See `wire.Reply`."""
        while not self.pieces:
            if self.error is not None:
                raise _told(self.error)
            if self.ended:
                return b""
            await self.changed(until)
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self._source.read_on(self)
        return data

    async def aclose(self) -> None:
        """Leave it; before its end the peer is told to stop, and whoever still reads gets an error."""
        self._source.release(self)

    # -- for its connection -------------------------------------------------------------------------
    def begin(self, head: list[Header]) -> bool:
        """The head of the answer is here; whether it is one. `h2` only looks for a status as its first line."""
        if not head or not _STATUS.fullmatch(head[0][1]):
            self.fail(StreamFailed(f"no status: {head[:1]!r}"))
            return False
        self.response, self.has_length = head, any(name == b"content-length" for name, _ in head)
        return True

    def fail(self, error: Exception) -> None:
        """End the stream with an error, unless it has ended already."""
        if not self.ended and self.error is None:
            self.error = error
            self.wake()


def _told(error: Exception) -> Exception:
    """The error as httpx's, which is what the reader of an answer knows."""
    if isinstance(error, StreamRefused):
        return httpx.RemoteProtocolError("HTTP/2: the server gave the stream up")
    if isinstance(error, ProtocolError):
        return httpx.LocalProtocolError(f"HTTP/2: {error}")
    return error


def code_name(code: int | None) -> str:
    """The name of an error that a stream was reset with."""
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
