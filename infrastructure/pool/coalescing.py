"""Equal questions that are under way at the same time are asked once.

Owns the flights: who waits for which answer. A flight ends early only when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from agents.model import Options

T = TypeVar("T")


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[object]
    waiting: int = 0


class Flights:
    """Answers that are under way, by what was asked."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight] = {}
        self.shared = 0
        """Questions that were answered by another one's answer."""

    async def share(self, key: Hashable, ask: Callable[[], Coroutine[object, object, T]]) -> T:
        """The answer to the question `key`, which is asked only if it is not under way already.

        Raises:
            Exception: whatever asking raised, for all who wait.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(
                asyncio.get_running_loop().create_task(ask(), name="a shared question")
            )
            flight.task.add_done_callback(lambda _: self._flights.pop(key, None))
        else:
            self.shared += 1
        flight.waiting += 1
        try:
            return cast("T", await asyncio.shield(flight.task))
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._flights.pop(key, None)
                flight.task.cancel()
                await asyncio.wait([flight.task])


def is_deterministic(options: Options) -> bool:
    """Whether the same question has the same answer: by temperature 0, or by a seed."""
    return options.get("temperature") == 0 or "seed" in options
