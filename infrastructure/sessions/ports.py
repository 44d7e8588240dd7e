"""What sessions need of others: a log that keeps events with what they tell of, somebody who brings events, a clock."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar

from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Kept, Stored, Told
from infrastructure.ids import RunId

T = TypeVar("T")


class SessionLog(Protocol):
    """The event log, as far as sessions use it."""

    def keep(self, events: Sequence[tuple[RunId, AnyEvent]], work: Kept) -> asyncio.Future[tuple[Stored, ...]]:
        """Keep events and what they tell of in one transaction, in the order of the calls."""
        ...


class EventSource(Protocol):
    """Brings stored events to whoever subscribed, each session's in the order of their numbers."""

    def subscribe(self, name: str, handler: Callable[[Stored], Awaitable[None]], *, kinds: Collection[str]) -> object:
        """Have the handler called with each event of these kinds from now on."""
        ...


class Clock(Protocol):
    """Time that passes."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return so many seconds later."""
        ...


class LoopClock:
    """The machine's own."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return so many seconds later."""
        await asyncio.sleep(seconds)


class Recorder(Protocol):
    """The event log, as far as approvals use it."""

    async def append_with(self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[T, Told]]) -> T:
        """Do a work and keep the events it gives, in one transaction; its value, once all is on disk."""
        ...
