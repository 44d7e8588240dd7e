"""Telling others how a batch stands, while it is worked on."""

from __future__ import annotations

import asyncio
from datetime import datetime

from infrastructure.batch.place import BatchPlace
from infrastructure.batch.registry import BatchRegistry, BatchState, BatchView
from infrastructure.batch.tally import Tally
from infrastructure.storage.times import Now

PUBLISH_SECONDS = 1.0
"""The least time between two views that are no turn."""


class Publisher:
    """Writes how the batch stands for others: at the turns, and in between once a second where it changed."""

    def __init__(self, place: BatchPlace, registry: BatchRegistry, now: Now) -> None:
        self._place, self._registry, self._now = place, registry, now
        self._started: datetime = now()
        self._last: BatchView | None = None
        self.state: BatchState = "running"
        self.note = ""

    async def write(self, tally: Tally, state: BatchState, note: str = "") -> None:
        """Write it now."""
        self.state, self.note = state, note
        await self._write(tally)

    async def keep_writing(self, tally: Tally) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PUBLISH_SECONDS)
            await self._write(tally)

    async def _write(self, tally: Tally) -> None:
        view = BatchView(
            id=self._place.id,
            name=self._place.name,
            jobs=tally.total,
            out=str(self._place.root),
            state=self.state,
            done=tally.done,
            failed=tally.failed,
            running=tally.running,
            rate_per_hour=tally.rate_per_hour,
            eta_seconds=tally.eta_seconds if self.state == "running" else None,
            started=self._started,
            updated=self._now(),
            statuses=dict(sorted(tally.statuses.items())),
            note=self.note,
        )
        if self._last is None or view != self._last.model_copy(update={"updated": view.updated}):
            self._last = view
            await self._registry.write(view)
