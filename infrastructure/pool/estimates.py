"""How long things take, as far as decisions need it.

Owns small running averages, of which the newest counts a fifth: of a lane's calls, how many there are, its loads, and
each server's speed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

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
    """The paces of lanes, and what loads take."""

    def __init__(self) -> None:
        self.any_service = _SERVICE_SECONDS
        """Of a call in flight, over all lanes, in seconds."""
        self._paces: dict[Lane, Pace] = {}
        self._load: dict[str, float] = {}
        self._sizes: dict[str, int] = {}

    def of(self, lane: Lane) -> Pace:
        """How the lane's calls go; what it is told counts."""
        pace = self._paces.get(lane)
        if pace is None:
            if len(self._paces) >= _LANES_KEPT:
                self._paces.clear()
            pace = self._paces[lane] = Pace(self)
        return pace

    def service(self, lane: Lane) -> float:
        """Seconds that a call of the lane is in flight."""
        pace = self._paces.get(lane)
        return self.any_service if pace is None or pace.seconds is None else pace.seconds

    def service_on(self, server: str, lane: Lane) -> float:
        """The same on one server; where it has not been seen there, as anywhere."""
        pace = self._paces.get(lane)
        there = None if pace is None else pace.on.get(server)
        return (there and there.seconds) or self.service(lane)

    def flow(self, lane: Lane, now: float) -> float:
        """Calls of the lane that are answered in a second, of late."""
        pace = self._paces.get(lane)
        return 0.0 if pace is None else pace.flow(now)

    def load(self, lane: Lane) -> float:
        """Seconds that loading the lane's model takes."""
        known = self._load.get(lane.model)
        if known is not None:
            return known
        start, speed = _LOAD_SECONDS
        return start + self._sizes.get(lane.model, _BYTES) / speed

    def late(self, lane: Lane) -> float | None:
        """Seconds after which a call of the lane is later with its first byte than 95 of 100; None: not known yet."""
        pace = self._paces.get(lane)
        return None if pace is None else pace.late

    def prompt_speed(self, server: str, lane: Lane) -> float | None:
        """Tokens a second with which the server evaluates the lane's prompts; None if that is not known."""
        there = self.pace_on(server, lane)
        return None if there is None else there.speed

    def pace_on(self, server: str, lane: Lane) -> PaceThere | None:
        """How the lane's calls go on the server; None where none was answered."""
        pace = self._paces.get(lane)
        return None if pace is None else pace.on.get(server)

    def cached(self, server: str, lane: Lane, tokens: int, seconds: float) -> int:
        """How many tokens of a prompt were in the cache, since the time is too short for them; 0 if that is not known.

        Asked before the pace is told of the prompt.
        """
        speed = self.prompt_speed(server, lane)
        if speed is None or tokens < _SHORTEST_PROMPT:
            return 0
        evaluated = speed * seconds
        return 0 if evaluated * _UNSTEADY >= tokens else tokens - math.ceil(evaluated)

    def size(self, model: str, size: int) -> None:
        """A model takes so many bytes."""
        self._sizes[model] = size

    def loaded(self, lane: Lane, seconds: float) -> None:
        """The lane's model took so long to load; 0, which servers leave out, says nothing."""
        if seconds <= 0:
            return
        before = self._load.get(lane.model)
        if before is not None:
            seconds = before + _SMOOTHING * (seconds - before)
        elif len(self._load) >= _LANES_KEPT:
            self._load.clear()
        self._load[lane.model] = seconds


class Pace:
    """How the calls of one lane go: how long they take, how many there are, when their first bytes come."""

    __slots__ = ("_answers", "_at", "_count", "_in_order", "_overall", "_recent", "_since", "late", "on", "seconds")

    def __init__(self, overall: Estimates) -> None:
        self.seconds: float | None = None
        """That a call is in flight."""
        self.late: float | None = None
        """Seconds that 95 of 100 first bytes do not exceed, told anew after every few; None: too few were seen."""
        self.on: dict[str, PaceThere] = {}
        """By server."""
        self._overall = overall
        self._count = 0.0
        self._since = self._at = 0.0
        self._answers = 0
        self._recent = deque[float]()
        self._in_order: list[float] = []

    def answered(self, seconds: float) -> None:
        """From sending a call to its first byte, without a load."""
        self._answers += 1
        recent, in_order = self._recent, self._in_order
        recent.append(seconds)
        insort(in_order, seconds)
        if len(recent) > _RECENT:
            del in_order[bisect_left(in_order, recent.popleft())]
        if self._answers >= _ENOUGH and self._answers % _EVERY == 0:
            self.late = in_order[int(0.95 * len(in_order))]

    def served(self, server: str, seconds: float, now: float) -> None:
        """A call was in flight for so long."""
        overall = self._overall
        overall.any_service += _SMOOTHING * (seconds - overall.any_service)
        before = self.seconds
        if before is None:
            self.seconds, self._since, self._count = seconds, now, 1.0
        else:
            self.seconds = before + _SMOOTHING * (seconds - before)
            self._count = 1.0 + self._count * math.exp((self._at - now) / _FLOW_SECONDS)
        self._at = now
        there = self.there(server)
        before = there.seconds
        there.seconds = seconds if before is None else before + _SMOOTHING * (seconds - before)

    def evaluated(self, server: str, tokens: int, seconds: float) -> None:
        """A prompt took so long. Cached ones are told by their speed, and left out."""
        if tokens < _SHORTEST_PROMPT or seconds <= 0:
            return
        there = self.there(server)
        speed, known = tokens / seconds, there.speed
        if known is None:
            there.speed = speed
        elif speed < known:
            there.speed = known + _SLOWER * (speed - known)
        elif speed < known * _CACHED_SPEEDUP:
            there.speed = known + _SMOOTHING * (speed - known)

    def put_aside(self, server: str, seconds: float) -> None:
        """A call took so much longer than load, prompt and answer, and not since it waited for a slot.

        Servers put away what a slot has cached before they read another prompt there (measured on a GPU: 0.3 to 0.9 s).
        """
        there = self.there(server)
        weight = _SMOOTHING if seconds > there.aside else _SLOWER
        there.aside += weight * (seconds - there.aside)

    def flow(self, now: float) -> float:
        """Calls that are answered in a second, of late."""
        seen = _FLOW_SECONDS * (1.0 - math.exp((self._since - now - 1.0) / _FLOW_SECONDS))
        return self._count * math.exp((self._at - now) / _FLOW_SECONDS) / seen

    def there(self, server: str) -> PaceThere:
        """What is known of one server."""
        there = self.on.get(server)
        if there is None:
            there = self.on[server] = PaceThere()
        return there


class PaceThere:
    """How the calls of a lane go on one server, as far as it was seen."""

    __slots__ = ("aside", "seconds", "speed")

    def __init__(self) -> None:
        self.seconds: float | None = None
        """That a call is in flight."""
        self.speed: float | None = None
        """Of prompts, in tokens a second."""
        self.aside = 0.0
        """Seconds that a new prompt takes beside its evaluation, for all streams of the lane: see `put_aside`."""
