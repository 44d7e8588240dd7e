"""The race of a replay: whoever won wins again, and everybody ends in the recorded order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from infrastructure.replaying.following import Follower
from infrastructure.workflow.race import Lost, Place, Race

T = TypeVar("T")


class RecordedRace(Race):
    """A race whose outcome is known."""

    def __init__(self, follower: Follower) -> None:
        super().__init__()
        self._follower = follower
        self._settled: set[int] = set()

    async def run(self, place: Place, work: Coroutine[Any, Any, T]) -> T | Lost:
        """Run a candidate to its recorded end. `Lost` when it lost, as far as it had come by then."""
        follower, number = self._follower, place.number
        task = asyncio.ensure_future(work)
        try:
            if follower.course.outcome_of(number) == "lost":
                await self._until_dry(number, task)
                await follower.until(lambda: follower.in_turn(number))
                return Lost(follower.course.reasons[number])
            final = await task
            await follower.until(lambda: follower.in_turn(number) and self._losers_settled(place.round))
            return final
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            follower.end(number)

    async def _until_dry(self, number: int, task: asyncio.Task[Any]) -> None:
        """Let a loser come as far as it did, so that nothing of what it said is missing."""
        dry = asyncio.ensure_future(self._follower.until(lambda: self._follower.has_run_dry(number)))
        try:
            await asyncio.wait([task, dry], return_when=asyncio.FIRST_COMPLETED)
        finally:
            dry.cancel()
        if task.done():
            task.result()  # an error is to be told
        self._settled.add(number)
        self._follower.tell()

    def _losers_settled(self, round_number: int) -> bool:
        endings = self._follower.course.endings
        losers = {number for of, number, outcome in endings if of == round_number and outcome == "lost"}
        return losers <= self._settled
