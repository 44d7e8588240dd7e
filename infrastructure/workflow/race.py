"""A race between the candidates of one plan: the first to pass makes the others lose.

Owns who is running and who has won. Siblings of a superstep cannot be cancelled from inside LangGraph (tried), so
each candidate runs in a task of its own, and turns the cancellation that means "lost" into a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Race:
    """The running candidates of one run, by number. Several rounds share it; each round has its own winner."""

    def __init__(self, winners: dict[int, int] | None = None) -> None:
        self._running: dict[int, tuple[int, asyncio.Task[Any]]] = {}
        self._winner = dict(winners or {})

    def winner_of(self, round_number: int) -> int | None:
        """The number of the candidate that has won a round, if one has."""
        return self._winner.get(round_number)

    def won(self, round_number: int, number: int) -> bool:
        """Say that a candidate has passed. False when another was first. Stops the others of its round."""
        first = self._winner.setdefault(round_number, number)
        for other, (its_round, task) in self._running.items():
            if its_round == round_number and other != first:
                task.cancel()
        return first == number

    async def run(self, round_number: int, number: int, work: Coroutine[Any, Any, T]) -> T | None:
        """Run a candidate. None when it has lost, which also stops its model calls and its tests.

        A cancellation from outside (a person, a shutdown) stops the work and goes on up.
        """
        if self._winner.get(round_number, number) != number:
            work.close()
            return None
        task = asyncio.ensure_future(work)
        self._running[number] = (round_number, task)
        try:
            return await task
        except asyncio.CancelledError:
            if _cancelled_from_outside() or self._winner.get(round_number, number) == number:
                await _stop(task)
                raise
            return None
        finally:
            del self._running[number]


def _cancelled_from_outside() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def _stop(task: asyncio.Task[Any]) -> None:
    """Wait until the cancelled work has cleaned up; what it raises then is not ours to tell."""
    task.cancel()
    await asyncio.wait([task])
