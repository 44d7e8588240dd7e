"""Owns one stream of HTTP/2: its request as it comes, its answer as the client's windows let it go."""

import asyncio
from collections.abc import Sequence
from email.utils import formatdate
from typing import Protocol

from h2.errors import ErrorCodes

from infrastructure.simulator.exchange import Exchange, Header, Request
from infrastructure.simulator.wire import Wire

_FULL = 65536
"""Unsent bytes at which whoever makes the answer is told to pause."""


class Carrier(Protocol):
    """What a stream needs of its connection."""

    paused: bool

    def head(self, stream: "Http2Stream", headers: Sequence[Header]) -> None:
        """Send the head of an answer."""
        ...

    def pump(self, stream: "Http2Stream") -> None:
        """Send what may be sent."""
        ...

    def reset_stream(self, stream: "Http2Stream", code: ErrorCodes) -> None:
        """Break the answer off."""
        ...

    def abort(self) -> None:
        """Break the connection off."""
        ...

    def close(self) -> None:
        """Close the connection after what was sent."""
        ...


class Http2Stream:
    """See `Framing`."""

    def __init__(self, number: int, carrier: Carrier, headers: Sequence[Header]) -> None:
        self.id = number
        self.body = b""
        self.whole_request = False
        self.unsent = bytearray()
        self.complete = False
        """Whether nothing follows what is unsent."""
        self.exchange: Exchange | None = None
        self.task: asyncio.Task[None] | None = None
        self.wire: Wire | None = None
        self._carrier = carrier
        self._headers = dict(headers)
        self._full = False

    @property
    def paused(self) -> bool:
        """See `Framing`."""
        return self._full or self._carrier.paused

    def exchange_for(self, fixed: Sequence[Header], *, reused: bool) -> Exchange:
        """The request, now that it is whole."""
        path, mark, query = self._headers.get(":path", "/").partition("?")
        headers = {name: value for name, value in self._headers.items() if not name.startswith(":")}
        headers.setdefault("host", self._headers.get(":authority", ""))
        method = self._headers.get(":method", "GET")
        request = Request(method, path, mark + query, "2", headers, self.body, reused=reused)
        self.exchange = Exchange(request, self, fixed)
        return self.exchange

    def answer_early(self, status: int) -> None:
        """Answer before the request is whole."""
        self.whole(status, (("Content-Type", "application/json"),), b'{"error":"answered early"}')
        self.end()

    # ------------------------------------------------------------------------------ Framing

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """See `Framing`."""
        self._put_head(status, [*headers, ("content-length", str(len(body)))])
        if body:
            self.piece(body)

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        """See `Framing`."""
        self._put_head(status, headers)

    def piece(self, data: bytes) -> None:
        """See `Framing`."""
        if self._headers.get(":method") == "HEAD":
            return
        if self.wire is not None:
            self.wire.put(data, self._send)
        else:
            self._send(data)

    def end(self) -> None:
        """See `Framing`."""
        if self.wire is not None:
            self.wire.end(self._complete)
        else:
            self._complete()

    def break_off(self, reset: bool) -> None:
        """See `Framing`: a reset is one of this stream, anything else ends the connection."""
        if reset:
            self._carrier.reset_stream(self, ErrorCodes.INTERNAL_ERROR)
        elif self.wire is not None:
            self._carrier.close()
        else:
            self._carrier.abort()

    def refuse(self) -> None:
        """See `Framing`."""
        self._carrier.reset_stream(self, ErrorCodes.REFUSED_STREAM)

    # ---------------------------------------------------------------------- for the connection

    def leave(self) -> None:
        """The client has reset the stream, or is gone."""
        if self.exchange is not None:
            self.exchange.leave()
        if self.task is not None:
            self.task.cancel()

    def check_fullness(self) -> None:
        """Tell who makes the answer when too much is unsent, and when it has gone."""
        if self._full != (len(self.unsent) > _FULL):
            self._full = not self._full
            if self.exchange is not None:
                self.exchange.pause(self._full)

    def _put_head(self, status: int, headers: Sequence[Header]) -> None:
        lines = [(":status", str(status)), *((name.lower(), value) for name, value in headers)]
        lines.append(("date", formatdate(usegmt=True)))
        if self.wire is not None:
            self.wire.put(b"", lambda _: self._carrier.head(self, lines))
        else:
            self._carrier.head(self, lines)

    def _send(self, data: bytes) -> None:
        self.unsent += data
        self._carrier.pump(self)

    def _complete(self) -> None:
        self.complete = True
        self._carrier.pump(self)
