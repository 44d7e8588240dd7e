"""Connections being made: to the address that answers first, within a time limit, and never left behind.

Owns what may go wrong between asking for a connection and having it: a caller that is cancelled at the same moment, a
second address that answers too, a loop that knows no Happy Eyeballs.
"""

from __future__ import annotations

import asyncio
import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)

_HEAD_START = 0.25
"""Seconds that one address of a name has before the next is tried beside it (RFC 8305)."""
_TURNS = 3
"""Turns of the loop after which the sockets of a cancelled attempt are closed."""


class Dialler:
    """Connects, and remembers what is under way."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self._attempts: set[asyncio.Task[object]] = set()

    async def dial(self, made: Callable[[], ProtocolT], host: str, port: int, seconds: float | None) -> ProtocolT:
        """A connection to one server.

        Raises:
            httpx.ConnectTimeout: it took longer than `seconds`.
            httpx.ConnectError: refused, unresolved, untrusted, or `stop` was called meanwhile.
        """
        attempt = asyncio.ensure_future(connect(made, host, port, self._ssl))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([attempt])
        except BaseException as error:
            attempt.cancel()
            attempt.add_done_callback(_dropped)
            if isinstance(error, TimeoutError):
                raise httpx.ConnectTimeout("connecting took too long") from None
            raise
        if attempt.cancelled():
            raise httpx.ConnectError("closed while connecting")
        try:
            return attempt.result()[1]
        except (OSError, UnicodeError) as error:  # `ssl.SSLError` is an OSError; a name that is none is the other
            raise httpx.ConnectError(words(error)) from error

    async def stop(self) -> None:
        """End every attempt; returns when its sockets are closed."""
        attempts = list(self._attempts)
        for attempt in attempts:
            attempt.cancel()
        if attempts:
            await asyncio.wait(attempts)
        for _ in range(_TURNS):
            await asyncio.sleep(0)


async def connect(
    made: Callable[[], ProtocolT], host: str, port: int, ssl_context: ssl.SSLContext | None
) -> tuple[asyncio.Transport, ProtocolT]:
    """What `create_connection` gives, with Happy Eyeballs where the loop has it and the host is a name."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):  # uvloop's knows no such argument
        return await loop.create_connection(made, host, port, ssl=ssl_context, happy_eyeballs_delay=_HEAD_START)
    return await loop.create_connection(made, host, port, ssl=ssl_context)


def words(error: Exception) -> str:
    """What went wrong, in the same words whatever the event loop: asyncio's names the address once more."""
    if isinstance(error, ConnectionError) and error.errno:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _dropped(attempt: asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]) -> None:
    """Nobody waits for this attempt any more; should it have come through all the same, it is closed."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result()[0].abort()
