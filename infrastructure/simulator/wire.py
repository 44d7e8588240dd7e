"""Owns how the bytes of one answer travel while toxics hit them: later, slower, in slices, not all of them."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from infrastructure.simulator.toxics import Toxic, ToxicKind

_FULL = 65536
"""Bytes under way at which the sender is told to pause, as of a socket's buffer."""

Deliver = Callable[[bytes], None]


class Timers(Protocol):
    """The part of an event loop that decides when."""

    def time(self) -> float:
        """Now, in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        """Call back at that time."""
        ...


@dataclass(slots=True)
class Pace:
    """When the bytes of one answer go."""

    toxics: Mapping[ToxicKind, Toxic]
    rng: random.Random
    sent_at: float = 0.0
    """When what was planned last goes."""

    def plan(self, now: float, size: int) -> Iterator[tuple[float, int]]:
        """When, and in what slices, so many bytes go that are there now."""
        ready = now + self._seconds(ToxicKind.LATENCY)
        ready += self.rng.random() * self._seconds(ToxicKind.JITTER)
        slicer, bandwidth = self.toxics.get(ToxicKind.SLICER), self.toxics.get(ToxicKind.BANDWIDTH)
        step = slicer.bytes if slicer else max(size, 1)
        for start in range(0, max(size, 1), step):
            length = min(step, size - start)
            self.sent_at = max(ready, self.sent_at)
            if bandwidth:
                self.sent_at += length / bandwidth.bytes
            if slicer and start:
                self.sent_at += slicer.seconds
            yield self.sent_at, length

    def plan_end(self, now: float) -> float:
        """When the end goes that is there now."""
        self.sent_at = max(now + self._seconds(ToxicKind.LATENCY), self.sent_at) + self._seconds(ToxicKind.SLOW_CLOSE)
        return self.sent_at

    def _seconds(self, kind: ToxicKind) -> float:
        toxic = self.toxics.get(kind)
        return toxic.seconds if toxic else 0.0


class Wire:
    """Sends what is put on it when its time has come, in order.

    Args:
        timers: the event loop.
        pace: when that is.
        break_off: closes the connection; True for a reset.
        on_full: told when too much is under way (True) and when it has gone (False).
    """

    def __init__(
        self, timers: Timers, pace: Pace, break_off: Callable[[bool], None], on_full: Callable[[bool], None]
    ) -> None:
        self.full = False
        self._timers = timers
        self._pace = pace
        self._break_off = break_off
        self._on_full = on_full
        self._queue: deque[tuple[float, bytes, Deliver]] = deque()
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        limit, reset = pace.toxics.get(ToxicKind.LIMIT), pace.toxics.get(ToxicKind.RESET)
        ends = [(toxic.bytes, toxic is reset) for toxic in (limit, reset) if toxic]
        self._left, self._with_reset = min(ends, default=(None, False))
        self._broken = False

    def put(self, data: bytes, deliver: Deliver) -> None:
        """Send bytes in their time; `deliver` gets them, slice by slice."""
        start = 0
        for at, length in self._pace.plan(self._timers.time(), len(data)):
            self._queue.append((at, data[start : start + length], deliver))
            start += length
        self._waiting += len(data)
        self._go_on()

    def end(self, deliver: Callable[[], None]) -> None:
        """Do this when all that was put before has gone."""
        self._queue.append((self._pace.plan_end(self._timers.time()), b"", lambda _: deliver()))
        self._go_on()

    def close(self) -> None:
        """Forget what has not gone."""
        self._broken = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self) -> None:
        if self._timer is None:
            self._send_due()
        self._watch()

    def _send_due(self) -> None:
        self._timer = None
        while self._queue and not self._broken and self._queue[0][0] <= self._timers.time():
            _, data, deliver = self._queue.popleft()
            self._waiting -= len(data)
            self._send(data, deliver)
        if self._queue and not self._broken:
            self._timer = self._timers.call_at(self._queue[0][0], self._send_due)
        self._watch()

    def _watch(self) -> None:
        if self.full != (self._waiting > _FULL):
            self.full = not self.full
            self._on_full(self.full)

    def _send(self, data: bytes, deliver: Deliver) -> None:
        if self._left is not None and len(data) >= self._left:
            if self._left:
                deliver(data[: self._left])
            self.close()
            self._break_off(self._with_reset)
            return
        if self._left is not None:
            self._left -= len(data)
        deliver(data)
