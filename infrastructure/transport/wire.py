"""What an exchange needs of HTTP: one request out, the head of its answer back, then its pieces.

Owns that seam, and the two rules that hold on both sides of it: which failure may be tried once more, and that a close
is never left half done. `http1_wire` is the real one for HTTP/1.1, `httpx_wire` serves whatever httpx can carry.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from infrastructure.transport.errors import Phase


class StaleConnection(httpx.RemoteProtocolError):
    """A connection that had been kept alive died before a byte of the answer: nobody could know, so ask once more."""


@dataclass(slots=True)
class Ask:
    """A request. `path` begins with a slash, `body` is JSON or nothing; times are in seconds."""

    method: str
    path: str
    body: bytes | None
    connect: float
    """The longest that connecting may take."""
    first_byte: float
    """The longest from sending to the head of the answer."""
    ends_at: float
    """When the whole call must be over, by the loop's clock."""


class Reply(Protocol):
    """An answer whose head is here."""

    @property
    def status(self) -> int:
        """Its status."""
        ...

    @property
    def ended(self) -> bool:
        """Whether its last byte has arrived, read or not: its connection may serve the next request."""
        ...

    def header(self, name: bytes) -> str:
        """The first header of this name (in lower case); empty where there is none."""
        ...

    async def receive(self, until: float) -> bytes:
        """What has arrived since; empty at the end.

        Raises:
            TimeoutError: nothing came until then, by the loop's clock.
            httpx.TransportError, httpx.StreamError: the connection broke.
        """
        ...

    async def aclose(self) -> None:
        """Leave it. Before its end that stops the server. Safe to repeat, and finishes even when cancelled."""
        ...


class Wire(Protocol):
    """How one server is asked. Used by many tasks of one loop."""

    async def ask(self, ask: Ask, told: Callable[[Phase], None], *, fresh: bool) -> Reply:
        """Send, and wait for the head of the answer. Cancelled or failed, nothing of it goes on.

        Args:
            ask: what to send.
            told: called with `Phase.FIRST_BYTE` when the request goes out.
            fresh: use no connection that was kept alive.

        Raises:
            TimeoutError: the head did not come in time.
            StaleConnection: see there; never with `fresh`, where the wire can see to that.
            httpx.TransportError: anything else.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection; answers under way fail. Returns when the sockets are closed."""
        ...


async def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Do all of it, even when the task that waits is cancelled meanwhile: a stream half closed goes on generating."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
