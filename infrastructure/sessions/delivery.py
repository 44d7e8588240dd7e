"""The shortest way from the log to a subscriber: within the process, one event after another.

Owns it as the contract of `EventSource` wants it. A bus with queues takes its place where there are many subscribers;
tests and small programs need none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Kept, Stored
from infrastructure.ids import RunId
from infrastructure.sessions.ports import SessionLog

_log = logging.getLogger(__name__)


class DirectDelivery:
    """A `SessionLog` that brings what it kept to those who subscribed: use it in `async with`.

    A handler that fails is logged, and the event goes on to the others.
    """

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._handlers: list[tuple[str, Callable[[Stored], Awaitable[None]], frozenset[str]]] = []
        self._stored: asyncio.Queue[tuple[Stored, ...] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._deliver(), name="event delivery")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what was kept, and end."""
        if self._task is not None:
            self._stored.put_nowait(None)
            await asyncio.wait([self._task])

    def keep(self, events: Sequence[tuple[RunId, AnyEvent]], work: Kept) -> asyncio.Future[tuple[Stored, ...]]:
        """Keep events with what they tell of, and deliver them once they are on disk."""
        future = self._log.keep(events, work)
        future.add_done_callback(self._after)
        return future

    def subscribe(self, name: str, handler: Callable[[Stored], Awaitable[None]], *, kinds: Collection[str]) -> None:
        """Have the handler called with each event of these kinds from now on."""
        self._handlers.append((name, handler, frozenset(kinds)))

    def _after(self, future: asyncio.Future[tuple[Stored, ...]]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._stored.put_nowait(future.result())

    async def _deliver(self) -> None:
        while (events := await self._stored.get()) is not None:
            for stored in events:
                for name, handler, kinds in self._handlers:
                    if stored.event.kind in kinds:
                        await _told(name, handler, stored)


async def _told(name: str, handler: Callable[[Stored], Awaitable[None]], stored: Stored) -> None:
    try:
        await handler(stored)
    except Exception:  # noqa: BLE001 - somebody else's; the next event is delivered all the same
        _log.exception("subscriber %r failed on %s %d of %s", name, stored.event.kind, stored.seq, stored.run)
