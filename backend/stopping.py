"""The one place that knows whether the server is going down.

Owns the two moments of it: `begin` (new work is refused) and `settle` (runs rest; streams say what is left and end).
A stream that is not told would keep the server for ever: uvicorn waits for answers and tells handlers nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from starlette.types import ASGIApp, Receive, Scope, Send

STREAMS = 1000
"""Open at once; a browser needs one a page."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ShuttingDown(Exception):
    """The server is shutting down and takes no new work."""

    retry_after = 5
    hint = "Ask again when it is back. What was accepted is on disk, and goes on then."


class TooManyStreams(Exception):
    """Too many event streams are open."""

    retry_after = 30
    hint = "Close some, or read events page by page without `Accept: text/event-stream`."


class Stopping:
    """Begun, settled, and the streams that have yet to end. One event loop uses it."""

    def __init__(self) -> None:
        self._begun = False
        self._settled = asyncio.Event()
        self._told: set[Callable[[], None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.streams = 0

    @property
    def begun(self) -> bool:
        """Whether new work is refused."""
        return self._begun

    def begin(self) -> None:
        """Refuse new work. Idempotent."""
        self._begun = True

    def settle(self) -> None:
        """Nothing more will happen to the runs: streams end. Idempotent."""
        self._begun = True
        self._settled.set()
        for tell in tuple(self._told):
            tell()

    @property
    def is_settled(self) -> bool:
        """Whether streams are to end."""
        return self._settled.is_set()

    @contextmanager
    def on_settled(self, tell: Callable[[], None]) -> Generator[None]:
        """Call this when streams are to end; for one that has no task to spare for waiting."""
        self._told.add(tell)
        try:
            yield
        finally:
            self._told.discard(tell)

    async def settled(self) -> None:
        """Wait until streams are to end."""
        await self._settled.wait()

    async def quiet(self, seconds: float) -> bool:
        """Wait until no stream is open, at most so long; whether it came to that."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), seconds)
        return self.streams == 0

    def stream_opened(self) -> None:
        """One more.

        Raises:
            TooManyStreams: there is no room for it.
        """
        if self.streams >= STREAMS:
            raise TooManyStreams(f"{self.streams} event streams are open")
        self.streams += 1
        self._quiet.clear()

    def stream_place(self) -> StreamPlace:
        """As `stream_opened`, for who begins something first: by then it must not turn out that there is no room."""
        return StreamPlace(self)

    def stream_closed(self) -> None:
        """One less."""
        self.streams -= 1
        if self.streams == 0:
            self._quiet.set()


class StreamPlace:
    """The place of one stream, taken when this is made. Raises as `Stopping.stream_opened`."""

    def __init__(self, stopping: Stopping) -> None:
        stopping.stream_opened()
        self._stopping: Stopping | None = stopping

    def leave(self) -> None:
        """Give it back. Idempotent."""
        stopping, self._stopping = self._stopping, None
        if stopping is not None:
            stopping.stream_closed()


class RefuseNewWork:
    """Answers what would change something with a refusal once the server goes down. Pure ASGI."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app, self._stopping = app, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may still be done.

        Raises:
            ShuttingDown: it may not.
        """
        if self._stopping.begun and (
            scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in _READING)
        ):
            raise ShuttingDown(ShuttingDown.__doc__)
        await self._app(scope, receive, send)
