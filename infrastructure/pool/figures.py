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


class Figures:
    """The figures of all lanes on all servers."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, Lane], LaneFigures] = {}
        self._ratios: dict[str, float] = {}

    def of(self, server: str, lane: Lane) -> LaneFigures:
        """What was measured there."""
        return self._lanes.get((server, lane), _NOTHING)

    def by_server(self, server: str) -> Mapping[Lane, LaneFigures]:
        """What was measured on the server, by lane."""
        return {lane: figures for (name, lane), figures in self._lanes.items() if name == server}

    def served(self, server: str, lane: Lane, metrics: Metrics, first_byte_seconds: float) -> None:
        """A call was answered."""
        before = self.of(server, lane)
        load, weight = metrics.load_ns / 1e9, _WEIGHT if before.calls else 1.0
        prompt_speed = _rate(metrics.prompt_tokens, metrics.prompt_ns)
        decode_speed = _rate(metrics.completion_tokens, metrics.decode_ns)
        self._put(
            server,
            lane,
            LaneFigures(
                before.calls + 1,
                before.failures,
                _mixed(before.server_wait_seconds, metrics.slot_wait_ns / 1e9, weight),
                load if load > _LOAD_SECONDS else before.load_seconds,
                _mixed(before.prompt_seconds, metrics.prompt_ns / 1e9, weight),
                _mixed(before.prompt_tokens_per_second, prompt_speed, weight),
                _mixed(before.decode_seconds, metrics.decode_ns / 1e9, weight),
                _mixed(before.decode_tokens_per_second, decode_speed, weight),
                _mixed(before.first_byte_seconds, first_byte_seconds, weight),
                _slowest(before.uncached_tokens_per_second, prompt_speed if _is_uncached(metrics) else 0.0),
            ),
        )

    def failed(self, server: str, lane: Lane) -> None:
        """A call failed there, by the server's or the wire's fault."""
        before = self.of(server, lane)
        self._put(server, lane, before._replace(failures=before.failures + 1))

    def ratio(self, model: str) -> float:
        """How many tokens a byte of this model's prompts makes: see `estimate`."""
        return self._ratios.get(model, TOKENS_PER_BYTE)

    def estimate(self, model: str, size: int, turns: int) -> int:
        """How many tokens a prompt of `size` bytes in so many turns takes: rather too many than too few.

        By the largest ratio seen of this model and a tenth more; before the first answer, by the general one.
        """
        return math.ceil(size * self.ratio(model)) + MESSAGE_TOKENS * turns

    def learn(self, model: str, size: int, turns: int, prompt_tokens: int) -> None:
        """The server counted so many tokens for such a prompt."""
        if size < _BYTES_TO_LEARN or not prompt_tokens:
            return
        seen = max(0, prompt_tokens - MESSAGE_TOKENS * turns) / size * _MARGIN
        self._ratios[model] = max(seen, self._ratios.get(model, 0.0))

    def _put(self, server: str, lane: Lane, figures: LaneFigures) -> None:
        self._lanes.pop((server, lane), None)
        self._lanes[server, lane] = figures
        if len(self._lanes) > _LANES_KEPT:
            del self._lanes[next(iter(self._lanes))]


_NOTHING = LaneFigures()


def _mixed(known: float, value: float, weight: float) -> float:
    return known + weight * (value - known)


def _is_uncached(metrics: Metrics) -> bool:
    return metrics.load_ns / 1e9 > _LOAD_SECONDS and metrics.prompt_tokens >= _SHORTEST_PROMPT


def _slowest(known: float, speed: float) -> float:
    return min(known, speed) if known and speed else known or speed


def _rate(count: int, nanoseconds: int) -> float:
    return count / (nanoseconds / 1e9) if nanoseconds else 0.0
