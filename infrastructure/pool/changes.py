"""Who is told that the pool has changed.

Owns the bells: one for each who looks on, rung by whatever changes something. Nobody polls: while nothing happens,
nothing runs.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from infrastructure.pool.snapshot import PoolSnapshot

CHANGES_SECONDS = 0.25
"""How often one who looks on is told, at most; what happens in between is told together."""


class Changes:
    """The bells."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()
        self._over = asyncio.Event()

    def ring(self) -> None:
        """Something has changed. Costs nothing while nobody looks on."""
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        """Nothing will change any more."""
        self._over.set()
        self.ring()

    async def follow(self, look: Callable[[], PoolSnapshot]) -> AsyncGenerator[PoolSnapshot, None]:
        """What there is now, then anew after each change; ends with what there is when nothing changes any more."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            while not self._over.is_set():
                yield look()
                await bell.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHANGES_SECONDS):
                        await self._over.wait()
                bell.clear()
            yield look()
        finally:
            self._bells.discard(bell)
