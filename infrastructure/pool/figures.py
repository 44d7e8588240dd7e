"""What was measured: for each server and lane the phases of its calls, for each model how many tokens a byte makes.

Owns small running averages, from the servers' own figures (final chunk). No history is kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from infrastructure.transport.window import MESSAGE_TOKENS, TOKENS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infrastructure.pool.lanes import Lane
    from infrastructure.transport.messages import Metrics

_WEIGHT = 0.2
_MARGIN = 1.1
_BYTES_TO_LEARN = 512
"""In shorter prompts what the template adds outweighs the text."""
_LANES_KEPT = 256
_LOAD_SECONDS = 0.1
"""A load of a model in memory takes no time."""
_SHORTEST_PROMPT = 32
"""Tokens: shorter prompts say little about the speed."""


class LaneFigures(NamedTuple):
    """Running averages of one lane on one server; the newest call counts a fifth. 0 where nothing is known."""

    calls: int = 0
    failures: int = 0
    server_wait_seconds: float = 0
    """In the server's own queue for a slot: above some 20 ms there are more calls there than slots."""
    load_seconds: float = 0
    """The last load that took longer than a tenth of a second; the wait for it included."""
    prompt_seconds: float = 0
    prompt_tokens_per_second: float = 0
    decode_seconds: float = 0
    decode_tokens_per_second: float = 0
    first_byte_seconds: float = 0
    uncached_tokens_per_second: float = 0
    """The slowest prompt of those that came first after a load, when there was no cache."""


class _Averages:
    """Figures that grow: what `LaneFigures` says is made of them when somebody looks, since each call adds to them."""

    __slots__ = (
        "calls",
        "decode_seconds",
        "decode_speed",
        "failures",
        "first_byte",
        "load",
        "prompt_seconds",
        "prompt_speed",
        "uncached_speed",
        "wait",
    )

    def __init__(self) -> None:
        self.calls = self.failures = 0
        self.wait = self.load = self.first_byte = self.uncached_speed = 0.0
        self.prompt_seconds = self.prompt_speed = self.decode_seconds = self.decode_speed = 0.0

    def add(self, metrics: Metrics, first_byte: float) -> None:
        """One call more."""
        weight = _WEIGHT if self.calls else 1.0
        load, prompt, decode = metrics.load_ns / 1e9, metrics.prompt_ns / 1e9, metrics.decode_ns / 1e9
        prompt_speed = metrics.prompt_tokens / prompt if prompt else 0.0
        decode_speed = metrics.completion_tokens / decode if decode else 0.0
        self.calls += 1
        self.wait += weight * (metrics.slot_wait_ns / 1e9 - self.wait)
        self.prompt_seconds += weight * (prompt - self.prompt_seconds)
        self.prompt_speed += weight * (prompt_speed - self.prompt_speed)
        self.decode_seconds += weight * (decode - self.decode_seconds)
        self.decode_speed += weight * (decode_speed - self.decode_speed)
        self.first_byte += weight * (first_byte - self.first_byte)
        if load > _LOAD_SECONDS:
            self.load = load
            if metrics.prompt_tokens >= _SHORTEST_PROMPT and prompt_speed:
                self.uncached_speed = min(self.uncached_speed or prompt_speed, prompt_speed)

    def said(self) -> LaneFigures:
        """As they are now."""
        return LaneFigures(
            self.calls,
            self.failures,
            self.wait,
            self.load,
            self.prompt_seconds,
            self.prompt_speed,
            self.decode_seconds,
            self.decode_speed,
            self.first_byte,
            self.uncached_speed,
        )


class Figures:
    """The figures of all lanes on all servers."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, Lane], _Averages] = {}
        self._ratios: dict[str, float] = {}

    def of(self, server: str, lane: Lane) -> LaneFigures:
        """What was measured there."""
        known = self._lanes.get((server, lane))
        return _NOTHING if known is None else known.said()

    def by_server(self, server: str) -> Mapping[Lane, LaneFigures]:
        """What was measured on the server, by lane."""
        return {lane: known.said() for (name, lane), known in self._lanes.items() if name == server}

    def served(self, server: str, lane: Lane, metrics: Metrics, first_byte_seconds: float) -> None:
        """A call was answered."""
        self._latest(server, lane).add(metrics, first_byte_seconds)

    def failed(self, server: str, lane: Lane) -> None:
        """A call failed there, by the server's or the wire's fault."""
        self._latest(server, lane).failures += 1

    def ratio(self, model: str) -> float:
        """How many tokens a byte of this model's prompts makes: see `estimate`."""
        return self._ratios.get(model, TOKENS_PER_BYTE)

    def estimate(self, model: str, size: int, turns: int) -> int:
        """How many tokens a prompt of `size` bytes in so many turns takes: rather too many than too few.

        By the largest ratio seen of this model and a tenth more; before the first answer, by the general one.
        """
        return math.ceil(size * self._ratios.get(model, TOKENS_PER_BYTE)) + MESSAGE_TOKENS * turns

    def learn(self, model: str, size: int, turns: int, prompt_tokens: int) -> None:
        """The server counted so many tokens for such a prompt."""
        if size < _BYTES_TO_LEARN or not prompt_tokens:
            return
        seen = max(0, prompt_tokens - MESSAGE_TOKENS * turns) / size * _MARGIN
        self._ratios[model] = max(seen, self._ratios.get(model, 0.0))

    def _latest(self, server: str, lane: Lane) -> _Averages:
        """Those of a lane there, as the last that are forgotten."""
        known = self._lanes.pop((server, lane), None)
        if known is None:
            known = _Averages()
            if len(self._lanes) >= _LANES_KEPT:
                del self._lanes[next(iter(self._lanes))]
        self._lanes[server, lane] = known
        return known


_NOTHING = LaneFigures()
