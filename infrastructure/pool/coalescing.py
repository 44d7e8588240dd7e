"""Equal questions that are under way at the same time are asked once.

Owns the flights: who waits for which answer. A flight ends early only when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from agents.model import Options

T = TypeVar("T")
_ANY_SEED = 0xFFFF_FFFF
"""To llama.cpp, "a new one each time": what -1 becomes there, as every number below 0 means that to Ollama."""


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
            flight.task.add_done_callback(partial(self._landed, key))
        else:
            self.shared += 1
        flight.waiting += 1
        try:
            return cast("T", await asyncio.shield(flight.task))
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._landed(key, flight.task)
                flight.task.cancel()
                await asyncio.wait([flight.task])

    def _landed(self, key: Hashable, task: asyncio.Task[object]) -> None:
        """It is over, or left by all. A later one for the same question may be under way by now: that stays."""
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]


def is_deterministic(options: Options) -> bool:
    """Whether the same question has the same answer: by temperature 0, or by a seed."""
    temperature: object = options.get("temperature")
    if temperature == 0 and temperature is not False:
        return True
    seed: object = options.get("seed")
    return type(seed) is int and 0 <= seed < _ANY_SEED
