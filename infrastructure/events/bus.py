"""The bus: hands what the log has committed to those who asked for it, each at its own pace.

Owns the subscribers: a bounded queue and a task each. Publishing costs one step a subscriber and never waits. One whose
queue is full falls behind: from then on it is told from the log, run by run, until it has caught up, so that a slow one
costs no memory, loses nothing, and harms nobody. Each run's events come in their order, and each once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from infrastructure.events.causes import Cause, led_here
from infrastructure.events.log import PAGE

if TYPE_CHECKING:
    from types import TracebackType

    from infrastructure.events.log import Stored
    from infrastructure.ids import RunId

QUEUE = 1000
"""Events that wait for a subscriber before it is told from the log instead."""
DRAIN_SECONDS = 5.0
"""For subscribers to hear what is there when the bus closes."""
PAUSES = (0.05, 0.5, 2.0)
"""Seconds before an event is handed again to a subscriber that failed on it; then it goes on without it."""

Handler = Callable[["Stored"], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]

_logger = logging.getLogger(__name__)


class Readable(Protocol):
    """What the bus needs of a log."""

    async def read(self, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
        """The run's events with a greater number, at most `limit`."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subscriber stands."""

    name: str
    queued: int
    """Events in its queue."""
    behind: int
    """Runs that it is told of from the log."""
    lag_seconds: float
    """How long the oldest event has waited that it has not heard yet; 0 when there is none."""
    worst_lag_seconds: float
    """The longest that any event has waited so far."""
    delivered: int
    failures: int
    """Times that it failed on an event."""
    skipped: int
    """Events that it was not told of in the end, since it failed on them each time."""
    caught_up: int
    """Events that it was told of from the log, because its queue was full."""


class EventBus:
    """Hands events to subscribers. Use it in `async with`; leaving it drains.

    The log calls `publish` (`log.observe(bus.publish)`). One event loop uses it.
    """

    def __init__(
        self,
        log: Readable,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._log, self._clock, self._sleep, self._pauses = log, clock, sleep, pauses
        self._subscribers: dict[str, _Subscriber] = {}
        self._by_kind: dict[str, tuple[_Subscriber, ...]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def subscribe(
        self, name: str, handler: Handler, *, kinds: Iterable[str] | None = None, queue: int = QUEUE
    ) -> Callable[[], None]:
        """Tell this handler of every event from now on.

        It is called in a task of its own, one event after another, with the event's correlation and the event as the
        cause of what it does. What it raises is logged and counted; it is handed the event again after each of
        `pauses`, and then goes on with the next.

        Args:
            name: Of the subscriber, in metrics and logs.
            handler: What is called.
            kinds: Of events; None is all.
            queue: How many may wait in memory.

        Returns:
            What ends it, at once.

        Raises:
            ValueError: there is one of that name.
            RuntimeError: the bus is closed.
        """
        if self._closed:
            raise RuntimeError("the bus is closed")
        if name in self._subscribers:
            raise ValueError(f"there is a subscriber {name!r} already")
        wanted = None if kinds is None else frozenset(kinds)
        subscriber = self._subscribers[name] = _Subscriber(name, handler, wanted, queue, self)
        self._by_kind.clear()
        subscriber.task = asyncio.get_running_loop().create_task(subscriber.run(), name=f"events for {name}")

        def end() -> None:
            self._subscribers.pop(name, None)
            self._by_kind.clear()
            subscriber.stop()

        return end

    def publish(self, stored: Stored, seconds: float = 0.0) -> None:
        """Hand on an event that is committed; see `OnCommit`."""
        if self._closed:
            return
        kind = stored.event.kind
        listeners = self._by_kind.get(kind)
        if listeners is None:
            listeners = self._by_kind[kind] = tuple(
                each for each in self._subscribers.values() if each.kinds is None or kind in each.kinds
            )
        if listeners:
            now = self._clock()
            for each in listeners:
                each.offer(stored, now)

    def standing(self) -> tuple[Standing, ...]:
        """How each subscriber stands now."""
        now = self._clock()
        return tuple(each.standing(now) for each in self._subscribers.values())

    async def drain(self, seconds: float | None = None) -> bool:
        """Wait until every subscriber has heard what was published before, at most so long; whether it came to that."""
        idle = [asyncio.ensure_future(each.idle.wait()) for each in self._subscribers.values()]
        if not idle:
            return True
        try:
            _, late = await asyncio.wait(idle, timeout=seconds)
        finally:
            for each in idle:
                each.cancel()
        return not late

    async def aclose(self) -> None:
        """Drain for a while, then end every subscriber. Idempotent; finishes even when cancelled."""
        if self._closed:
            return
        self._closed = True
        try:
            if not await self.drain(DRAIN_SECONDS):
                for each in self.standing():
                    if each.queued or each.behind:
                        _logger.warning("%s has not heard the last %d events", each.name, each.queued)
        finally:
            tasks = [each.stop() for each in self._subscribers.values()]
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    async def again(self, subscriber: _Subscriber, stored: Stored) -> None:
        """Hand a subscriber the event that it failed on, after each pause, until it does not; then go on without it."""
        for pause in self._pauses:
            await self._sleep(pause)
            try:
                await subscriber.handler(stored)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and counted, and harms nobody
                subscriber.failed(stored, error)
            else:
                return
        subscriber.skipped += 1

    async def read(self, run: RunId, after: int) -> tuple[Stored, ...]:
        """A page of the log for one that has fallen behind; asked for again while the log cannot be read."""
        while True:
            try:
                return await self._log.read(run, after, PAGE)
            except Exception:
                _logger.exception("the events of %s cannot be read", run)
                await self._sleep(self._pauses[-1] if self._pauses else PAUSES[-1])

    def now(self) -> float:
        """The bus's clock, in seconds."""
        return self._clock()


@dataclass(slots=True)
class _Gap:
    """What one has missed of a run: after this number, up to that, since then."""

    after: int
    last: int
    since: float


@dataclass(slots=True, eq=False)
class _Subscriber:
    name: str
    handler: Handler
    kinds: frozenset[str] | None
    room: int
    bus: EventBus
    queue: deque[tuple[Stored, float]] = field(default_factory=deque["tuple[Stored, float]"])
    gaps: dict[RunId, _Gap] = field(default_factory=dict["RunId", _Gap])
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    busy_since: float | None = None
    """When the event it works on was published."""
    worst: float = 0.0
    delivered: int = 0
    failures: int = 0
    skipped: int = 0
    caught_up: int = 0

    def __post_init__(self) -> None:
        self.idle.set()

    def offer(self, stored: Stored, now: float) -> None:
        """Put an event in the queue; where it is full, or the run has a gap already, note that the log has it."""
        gap = self.gaps.get(stored.run)
        if gap is not None:
            gap.last = stored.seq
        elif len(self.queue) >= self.room:
            self.gaps[stored.run] = _Gap(stored.seq - 1, stored.seq, now)
        else:
            self.queue.append((stored, now))
        if not self.bell.is_set():
            self.idle.clear()
            self.bell.set()

    async def run(self) -> None:
        """Hear what comes, for ever."""
        while True:
            while self.queue or self.gaps:
                oldest = next(iter(self.gaps), None)
                if oldest is not None and (not self.queue or self.gaps[oldest].since < self.queue[0][1]):
                    await self._catch_up(oldest)  # what of that run is in the queue came earlier
                else:
                    await self._hear(*self.queue.popleft())
            self.bell.clear()
            self.idle.set()
            await self.bell.wait()

    async def _catch_up(self, run: RunId) -> None:
        """Hear a page of what was missed of a run. What comes meanwhile moves the end of the gap, or follows it."""
        gap = self.gaps[run]
        page = await self.bus.read(run, gap.after)
        for stored in page:
            if stored.seq > gap.last:
                break  # it is committed, and yet to be published
            gap.after = stored.seq
            if self.kinds is None or stored.event.kind in self.kinds:
                self.caught_up += 1
                await self._hear(stored, gap.since)
        if not page or gap.after >= gap.last or page[-1].seq > gap.last:
            del self.gaps[run]

    async def _hear(self, stored: Stored, since: float) -> None:
        self.busy_since = since
        led_here(Cause(stored.correlation, stored))
        try:
            await self.handler(stored)
        except Exception as error:  # noqa: BLE001 - as above
            self.failed(stored, error)
            await self.bus.again(self, stored)
        self.busy_since = None
        self.delivered += 1
        waited = self.bus.now() - since
        if waited > self.worst:
            self.worst = waited

    def failed(self, stored: Stored, error: Exception) -> None:
        """It raised an error."""
        self.failures += 1
        _logger.error("%s failed on event %d of %s", self.name, stored.seq, stored.run, exc_info=error)

    def stop(self) -> asyncio.Task[None] | None:
        """End it; the task that ends."""
        if self.task is not None:
            self.task.cancel()
        return self.task

    def standing(self, now: float) -> Standing:
        """How it stands."""
        waiting = [gap.since for gap in self.gaps.values()]
        if self.queue:
            waiting.append(self.queue[0][1])
        if self.busy_since is not None:
            waiting.append(self.busy_since)
        lag = max(0.0, now - min(waiting)) if waiting else 0.0
        return Standing(
            name=self.name,
            queued=len(self.queue),
            behind=len(self.gaps),
            lag_seconds=lag,
            worst_lag_seconds=max(self.worst, lag),
            delivered=self.delivered - self.skipped,
            failures=self.failures,
            skipped=self.skipped,
            caught_up=self.caught_up,
        )
