"""A race between the candidates of one plan: the first to pass makes the others lose.

Owns who is running, who leads and who has won. Siblings of a superstep cannot be cancelled from inside LangGraph
(tried), so each candidate runs in a task of its own, and turns the cancellation that means "lost" into a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

PASSED_FIRST = "another candidate passed first"
NEVER_IDLE = "no slot was idle while the others worked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A candidate's place in its round.

    Attributes:
        round: The round.
        number: The candidate.
        first: The number of the round's first candidate; those from there up to this one go before it.
        optional: Whether it is only wanted if a slot is idle for it.
    """

    round: int
    number: int
    first: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """What a candidate ends with that was stopped, and why."""

    reason: str


@dataclass(slots=True)
class _Runner:
    place: Place
    leads: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Any] | None = None
    began: bool = False
    lost: str = ""


class Race:
    """The running candidates of one run, by number. Several rounds share it; each round has its own winner.

    Args:
        winners: The winner of each round that has one.
        ended: The candidates that have ended already.
    """

    def __init__(self, winners: Mapping[int, int] | None = None, ended: Iterable[int] = ()) -> None:
        self._runners: dict[int, _Runner] = {}
        self._winner = dict(winners or {})
        self._ended = set(ended)

    def winner_of(self, round_number: int) -> int | None:
        """The number of the candidate that has won a round, if one has."""
        return self._winner.get(round_number)

    def leads(self, place: Place) -> asyncio.Event:
        """Set once all candidates of its round that go before it have ended."""
        return self._runner(place).leads

    def begins(self, place: Place) -> None:
        """Say that a slot was found for the candidate: from now on it is wanted whatever comes of the others."""
        self._runner(place).began = True

    def won(self, round_number: int, number: int) -> bool:
        """Say that a candidate has passed. False when another was first. Stops the others of its round."""
        first = self._winner.setdefault(round_number, number)
        for other, runner in self._runners.items():
            if runner.place.round == round_number and other != first:
                _stop(runner, PASSED_FIRST)
        return first == number

    async def run(self, place: Place, work: Coroutine[Any, Any, T]) -> T | Lost:
        """Run a candidate. `Lost` when it was stopped, which also stops its model calls and its tests.

        A cancellation from outside (a person, a shutdown) stops the work and goes on up.
        """
        if self._winner.get(place.round, place.number) != place.number:
            work.close()
            return Lost(PASSED_FIRST)
        runner = self._runner(place)
        runner.task = task = asyncio.ensure_future(work)
        try:
            return await task
        except asyncio.CancelledError:
            if _cancelled_from_outside() or not runner.lost:
                await _stopped(task)
                raise
            return Lost(runner.lost)
        finally:
            self._end(place)

    def _runner(self, place: Place) -> _Runner:
        runner = self._runners.get(place.number)
        if runner is None:
            runner = self._runners[place.number] = _Runner(place)
            self._look(runner)
        return runner

    def _end(self, place: Place) -> None:
        del self._runners[place.number]
        self._ended.add(place.number)
        for runner in self._runners.values():
            self._look(runner)

    def _look(self, runner: _Runner) -> None:
        """Let it lead if its turn has come; one that is optional and has found no slot until then is not wanted."""
        place = runner.place
        if not self._ended.issuperset(range(place.first, place.number)):
            return
        runner.leads.set()
        if place.optional and not runner.began and place.number != place.first:
            _stop(runner, NEVER_IDLE)


@dataclass(frozen=True, slots=True)
class Turn:
    """One candidate's view of the race it is in."""

    race: Race
    place: Place

    @property
    def leads(self) -> asyncio.Event:
        """See `Race.leads`."""
        return self.race.leads(self.place)

    def begins(self) -> None:
        """See `Race.begins`."""
        self.race.begins(self.place)


def _stop(runner: _Runner, reason: str) -> None:
    if runner.task is not None and not runner.lost:
        runner.lost = reason
        runner.task.cancel()


def _cancelled_from_outside() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def _stopped(task: asyncio.Task[Any]) -> None:
    """Wait until the cancelled work has cleaned up; what it raises then is not ours to tell."""
    task.cancel()
    await asyncio.wait([task])
