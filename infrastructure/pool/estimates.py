"""How long things take, as far as decisions need it.

Owns small running averages: of a lane's calls, how many there are, its loads, and each server's speed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

Key = TypeVar("Key")
Value = TypeVar("Value")

_SMOOTHING = 0.2
_SERVICE_SECONDS = 5.0
_LOAD_SECONDS = (0.5, 1e9)
"""Until a load was seen: so many seconds, and one more for so many bytes, as from a quick disk."""
_BYTES = 4_000_000_000
"""Of a model whose size nobody said."""
_LANES_KEPT = 1024
_RECENT = 100
"""Calls that a quantile is taken of."""
_ENOUGH = 20
_EVERY = 5
"""After so many calls a quantile is taken anew."""
_FLOW_SECONDS = 60.0
"""Calls count towards the flow for about so long."""
_SHORTEST_PROMPT = 32
"""Tokens: shorter prompts say little about the speed."""
_UNSTEADY = 1.25
"""So much faster than usual a prompt may be without anything of it in the cache."""
_SLOWER = 0.5
"""What a prompt counts that was slower than usual: nothing of it can have been in the cache."""
_CACHED_SPEEDUP = 4.0
"""A prompt so many times as fast as usual was in the cache, and says nothing about the speed."""


class Estimates:
    """Running averages; the newest counts a fifth."""

    def __init__(self) -> None:
        self.any_service = _SERVICE_SECONDS
        """Of a call in flight, over all lanes, in seconds."""
        self._calls: dict[Lane, _Calls] = {}
        self._calls_on: dict[tuple[str, Lane], float] = {}
        self._load: dict[str, float] = {}
        self._sizes: dict[str, int] = {}
        self._first_bytes: dict[Lane, _FirstBytes] = {}
        self._speed: dict[tuple[str, Lane], float] = {}

    def service(self, lane: Lane) -> float:
        """Seconds that a call of the lane is in flight."""
        calls = self._calls.get(lane)
        return self.any_service if calls is None else calls.seconds

    def service_on(self, server: str, lane: Lane) -> float:
        """The same on one server; where it has not been seen there, as anywhere."""
        return self._calls_on.get((server, lane)) or self.service(lane)

    def flow(self, lane: Lane, now: float) -> float:
        """Calls of the lane that are answered in a second, of late."""
        calls = self._calls.get(lane)
        return 0.0 if calls is None else calls.rate(now)

    def load(self, lane: Lane) -> float:
        """Seconds that loading the lane's model takes."""
        known = self._load.get(lane.model)
        if known is not None:
            return known
        start, speed = _LOAD_SECONDS
        return start + self._sizes.get(lane.model, _BYTES) / speed

    def late(self, lane: Lane) -> float | None:
        """Seconds after which a call of the lane is later with its first byte than 95 of 100; None: not known yet."""
        recent = self._first_bytes.get(lane)
        return None if recent is None else recent.late

    def answered(self, lane: Lane, seconds: float) -> None:
        """From sending a call of the lane to its first byte, without a load."""
        recent = self._first_bytes.get(lane)
        if recent is None:
            _put(self._first_bytes, lane, recent := _FirstBytes())
        recent.add(seconds)

    def prompt_speed(self, server: str, lane: Lane) -> float | None:
        """Tokens a second with which the server evaluates the lane's prompts; None if that is not known."""
        return self._speed.get((server, lane))

    def cached(self, server: str, lane: Lane, tokens: int, seconds: float) -> int:
        """How many tokens of a prompt were in the cache, since the time is too short for them; 0 if that is not known.

        Asked before `evaluated` takes the prompt in.
        """
        speed = self._speed.get((server, lane))
        if speed is None or tokens < _SHORTEST_PROMPT:
            return 0
        evaluated = speed * seconds
        return 0 if evaluated * _UNSTEADY >= tokens else tokens - math.ceil(evaluated)

    def size(self, model: str, size: int) -> None:
        """A model takes so many bytes."""
        self._sizes[model] = size

    def served(self, server: str, lane: Lane, seconds: float, now: float) -> None:
        """A call was in flight for so long."""
        self.any_service += _SMOOTHING * (seconds - self.any_service)
        calls = self._calls.get(lane)
        if calls is None:
            _put(self._calls, lane, calls := _Calls(seconds, now))
        calls.count(seconds, now)
        here = server, lane
        before = self._calls_on.get(here)
        if before is None:
            _put(self._calls_on, here, seconds)
        else:
            self._calls_on[here] = before + _SMOOTHING * (seconds - before)

    def loaded(self, lane: Lane, seconds: float) -> None:
        """The lane's model took so long to load."""
        before = self._load.get(lane.model, seconds)
        _put(self._load, lane.model, before + _SMOOTHING * (seconds - before))

    def evaluated(self, server: str, lane: Lane, tokens: int, seconds: float) -> None:
        """A prompt took so long. Cached ones are told by their speed, and left out."""
        if tokens < _SHORTEST_PROMPT or seconds <= 0:
            return
        here = server, lane
        speed, known = tokens / seconds, self._speed.get(here)
        if known is None:
            _put(self._speed, here, speed)
        elif speed < known:
            self._speed[here] = known + _SLOWER * (speed - known)
        elif speed < known * _CACHED_SPEEDUP:
            self._speed[here] = known + _SMOOTHING * (speed - known)


class _FirstBytes:
    """The last so many waits for a first byte, and what 95 of 100 do not exceed: told anew after every few."""

    __slots__ = ("_count", "_in_order", "_recent", "late")

    def __init__(self) -> None:
        self._count = 0
        self._recent = deque[float]()
        self._in_order: list[float] = []
        self.late: float | None = None

    def add(self, seconds: float) -> None:
        self._count += 1
        self._recent.append(seconds)
        insort(self._in_order, seconds)
        if len(self._recent) > _RECENT:
            del self._in_order[bisect_left(self._in_order, self._recent.popleft())]
        if self._count >= _ENOUGH and self._count % _EVERY == 0:
            self.late = self._in_order[int(0.95 * len(self._in_order))]


class _Calls:
    """How long a lane's calls take, and a decaying count of them."""

    __slots__ = ("_at", "_count", "_since", "seconds")

    def __init__(self, seconds: float, now: float) -> None:
        self.seconds = seconds
        self._count = 0.0
        self._since = self._at = now

    def count(self, seconds: float, now: float) -> None:
        self.seconds += _SMOOTHING * (seconds - self.seconds)
        self._count = 1.0 + self._count * math.exp((self._at - now) / _FLOW_SECONDS)
        self._at = now

    def rate(self, now: float) -> float:
        seen = _FLOW_SECONDS * (1.0 - math.exp((self._since - now - 1.0) / _FLOW_SECONDS))
        return self._count * math.exp((self._at - now) / _FLOW_SECONDS) / seen


def _put(table: dict[Key, Value], key: Key, value: Value) -> None:
    if key not in table and len(table) >= _LANES_KEPT:
        table.clear()
    table[key] = value
