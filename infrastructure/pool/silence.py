"""For how long a model may be silent on a server before something must be wrong.

Owns what was seen of silences, for each lane on each server: since when there has been no byte, and the longest silence
that ended well. Pure: whoever goes round says what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infrastructure.pool.figures import LaneFigures
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.running import Running

FLOOR_SECONDS = 30.0
"""No shorter silence is suspicious."""
FACTOR = 4.0
"""So many times what was seen is still believed."""
MEASURED_CALLS = 5
"""Before so many were answered there, nothing is known."""
_HALF_LIFE_SECONDS = 3600.0
"""The longest silence counts half after so long."""
_LANES_KEPT = 1000

Place: TypeAlias = "tuple[str, Lane]"
"""A lane on a server."""


@dataclass(slots=True)
class _Seen:
    """What was seen of one lane on one server."""

    heard_at: float
    longest: float = 0.0
    longest_at: float = 0.0

    def longest_by(self, now: float) -> float:
        return self.longest * 0.5 ** ((now - self.longest_at) / _HALF_LIFE_SECONDS)


class Silences:
    """The silences of all lanes on all servers."""

    def __init__(self, longest_answer: int) -> None:
        """With the tokens of an answer that nobody bounded."""
        self._seen: dict[Place, _Seen] = {}
        self.longest_answer = longest_answer
        """See above; another one may be set at any time."""

    def note(self, place: Place, oldest_sent_at: float, now: float, *, heard: bool) -> float:
        """A lane has calls there, the oldest of them sent then; for how long it has been silent.

        Args:
            place: the lane and its server.
            oldest_sent_at: when the oldest call in flight was sent.
            now: seconds.
            heard: whether a byte has come since this was asked last.
        """
        seen = self._seen.get(place)
        if seen is None:
            if len(self._seen) >= _LANES_KEPT:
                self._seen.clear()
            seen = self._seen[place] = _Seen(oldest_sent_at)
        silent = max(0.0, now - max(seen.heard_at, oldest_sent_at))
        if not heard:
            return silent
        seen.heard_at = now
        if silent >= seen.longest_by(now):
            seen.longest, seen.longest_at = silent, now
        return 0.0

    def limit(self, place: Place, runs: Sequence[Running], figures: LaneFigures, now: float) -> float | None:
        """How long these calls, all the lane has there, may be without a byte; None: not known.

        What may take its time without anything being wrong: whatever took its time before (a load, a queue, other
        programs' calls), prompts, and an answer that the server sends only when it is whole.
        """
        seen, decode_speed = self._seen.get(place), figures.decode_tokens_per_second
        if seen is None or figures.calls < MEASURED_CALLS or not decode_speed or any(_unmeasured(run) for run in runs):
            return None
        waiting = [run.ticket for run in runs if run.ticket.first_byte_at is None]
        prompts = sum(ticket.prompt_tokens for ticket in waiting)
        if figures.uncached_tokens_per_second:
            a_token = FACTOR / figures.uncached_tokens_per_second
        else:
            a_token = 1 / decode_speed  # prompts are evaluated in batches, so never more slowly than this
        held_back = sum(self._answer_tokens(run) for run in runs if run.errand.ask.holds_back)
        return max(FLOOR_SECONDS, FACTOR * (seen.longest_by(now) + held_back / decode_speed) + prompts * a_token)

    def heard_at(self, place: Place) -> float | None:
        """When the lane was heard there last, as far as it was noted."""
        seen = self._seen.get(place)
        return None if seen is None else seen.heard_at

    def acquit(self, place: Place, now: float) -> None:
        """The lane is well, although it is silent."""
        if place in self._seen:
            self._seen[place].heard_at = now

    def _answer_tokens(self, run: Running) -> int:
        wanted = run.errand.options.get("num_predict")
        return wanted if isinstance(wanted, int) and wanted > 0 else self.longest_answer


def _unmeasured(run: Running) -> bool:
    return run.errand.ask.embeds or run.ticket.lane.cloud
