"""A run's scope, made by the engine: recorded, budgeted from where earlier executions stopped, its race resumed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agents.codegen import NOTHING_KNOWN, Measured
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import CandidateEnded
from infrastructure.events.log import EventLog, Stored
from infrastructure.ids import RunId
from infrastructure.running.recorder import StoredRecorder, StoredTools
from infrastructure.sandbox import Sandbox
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallStore
from infrastructure.storage.recordings import RecordingStore
from infrastructure.tasks import TaskSpec
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.mapping import map_tokens
from infrastructure.workflow.ports import ModelSource
from infrastructure.workflow.race import Race
from infrastructure.workflow.scope import RunScope
from infrastructure.workspace.mapping.cache import MemoryTags
from infrastructure.workspace.mapping.mapper import Mapper

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeMaker:
    """What every run's scope is made of."""

    data: Path
    """The data directory."""
    log: EventLog
    calls: CallStore
    blobs: Blobs
    recordings: RecordingStore
    mapper: Mapper = field(default_factory=lambda: Mapper(MemoryTags()))

    def trees_of(self, run: RunId) -> Path:
        """The folder of a run's snapshot and throw-away trees."""
        return self.data / "trees" / run

    async def make(
        self,
        run: RunId,
        spec: TaskSpec,
        settings: Settings,
        source: ModelSource,
        sandbox: Sandbox,
        measured: Measured = NOTHING_KNOWN,
    ) -> RunScope:
        """A scope that goes on where the run's earlier executions stopped."""
        totals = await self.calls.totals(run)
        history = await self._history(run)
        return RunScope(
            run=run,
            trees=self.trees_of(run),
            source=source,
            recorder=StoredRecorder(run, self.calls, self.blobs),
            budget=Budget(
                limits=spec.budget or settings.run.budget,
                now=time.monotonic,
                started=time.monotonic() - history.seconds,
                calls=totals.calls,
                tokens=totals.tokens,
                gpu_seconds=totals.gpu_seconds,
            ),
            race=Race(history.winners, history.ended),
            sandbox=sandbox,
            blobs=self.blobs,
            client=spec.client,
            band=spec.band,
            sandbox_settings=settings.sandbox,
            may_ask=not spec.no_input,
            seed=spec.seed,
            tools=StoredTools(run, self.recordings, self.blobs),
            mapper=self.mapper,
            map_tokens=map_tokens(settings, RoleLanes(settings, spec.model)),
            measured=measured,
        )

    async def seconds_of(self, run: RunId) -> float:
        """How long all executions of a run took, by its log; waiting for a person between two does not count."""
        return (await self._history(run)).seconds

    async def _history(self, run: RunId) -> _History:
        """Who had ended and won before a crash, and what the time budget has been charged already."""
        history = _History()
        after = 0
        while page := await self.log.read(run, after, _PAGE):
            for stored in page:
                history.add(stored)
            after = page[-1].seq
        return history


@dataclass(slots=True)
class _History:
    winners: dict[int, int] = field(default_factory=dict[int, int])
    ended: set[int] = field(default_factory=set[int])
    spans: dict[int, tuple[datetime, datetime]] = field(default_factory=dict[int, tuple[datetime, datetime]])

    def add(self, stored: Stored) -> None:
        first, _ = self.spans.get(stored.execution, (stored.at, stored.at))
        self.spans[stored.execution] = (first, stored.at)
        event = stored.event
        if isinstance(event, CandidateEnded) and event.candidate is not None:
            self.ended.add(event.candidate)
            if event.outcome == "done":
                self.winners.setdefault(event.round, event.candidate)

    @property
    def seconds(self) -> float:
        return sum((last - first).total_seconds() for number, (first, last) in self.spans.items() if number)
