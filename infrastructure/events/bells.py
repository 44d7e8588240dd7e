"""Bells: how followers of a run are told that there is more, or that no more will come."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from infrastructure.ids import RunId


class Bells:
    """One bell a listener. Ringing it twice before it is heard is ringing it once, so nothing piles up."""

    def __init__(self) -> None:
        self._bells: dict[RunId, set[asyncio.Event]] = {}
        self._closed = False

    def ring(self, run: RunId) -> None:
        """Tell those who listen for this run."""
        for bell in self._bells.get(run, ()):
            bell.set()

    def close(self) -> None:
        """Tell everyone that no more will come. Idempotent."""
        self._closed = True
        for run in self._bells:
            self.ring(run)

    async def hear(self, bell: asyncio.Event) -> bool:
        """Wait for a bell; False when it was the last time."""
        if not self._closed:
            await bell.wait()
            bell.clear()
        return not self._closed

    @contextmanager
    def listen(self, run: RunId) -> Generator[asyncio.Event]:
        """A bell for this run."""
        bell = asyncio.Event()
        self._bells.setdefault(run, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._bells[run]
            bells.discard(bell)
            if not bells:
                del self._bells[run]
