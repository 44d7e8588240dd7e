"""The engine as a batch's `Runs`: runs in this process, begun by keys that the batch has written down first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from infrastructure.batch.runs import KnownRun, RunOutcome
from infrastructure.events.catalogue import CallCompleted, CallReplayed
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.storage.runs import RequestKey, RunRecord, RunState
from infrastructure.tasks import RunResult, TaskSpec

_PAGE = 1000


class BatchEngine(Protocol):
    """What a batch asks of the engine, which this process holds or is a guest of."""

    async def ready(self) -> None:
        """Return when a server answers.

        Raises:
            NoServerAvailable: none does.
        """
        ...

    async def keyed(self, request: RequestKey) -> RunId | None:
        """The run that a request began."""
        ...

    async def record_of(self, run: str) -> RunRecord:
        """The run as the table has it."""
        ...

    async def start(self, spec: TaskSpec, request: RequestKey | None = None) -> RunId:
        """Begin a task."""
        ...

    async def resume(self, run: RunId, *, no_input: bool = False) -> None:
        """Go on with a run."""
        ...

    async def result(self, run: RunId) -> RunResult:
        """What came of it."""
        ...

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop it at a step."""
        ...

    async def events_of(self, run: RunId, after: int = 0, limit: int = _PAGE) -> tuple[Stored, ...]:
        """A page of its events."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRuns:
    """Begins runs through the engine and reads what came of them from its tables."""

    engine: BatchEngine
    places: int
    """Parallel places of all servers together."""

    async def known(self, key: RequestKey) -> KnownRun | None:
        """By the runs table, which alone says what is finished."""
        run = await self.engine.keyed(key)
        return None if run is None else KnownRun(run, (await self.engine.record_of(run)).state is RunState.FINISHED)

    async def ensure(self, key: RequestKey, spec: TaskSpec) -> RunId:
        """Begin it, or go on with it."""
        known = await self.known(key)
        if known is None:
            return await self.engine.start(spec, key)
        if not known.finished:
            await self.engine.ready()  # without a server it would go on to end as an error
            await self.engine.resume(known.run, no_input=True)
        return known.run

    async def outcome(self, run: RunId) -> RunOutcome:
        """Wait for the result, and add what the run's events say."""
        result = await self.engine.result(run)
        record = await self.engine.record_of(run)
        if record.state is RunState.INTERRUPTED and result.status == "cancelled":
            return RunOutcome(result=result, resting=True)
        figures = await self._figures(run)
        return RunOutcome(
            result=result,
            models=tuple(figures.models),
            servers=tuple(figures.servers),
            queue_ms=round(figures.queued * 1000),
            load_ms=round(figures.loading * 1000),
            prefill_ms=round(figures.prompt * 1000),
            decode_ms=round(figures.decode * 1000),
            replayed=figures.replayed,
            started=record.started,
            ended=record.ended,
        )

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop it at a step."""
        await self.engine.interrupt(run, reason)

    def slots(self) -> int:
        """Of one lane, over all servers."""
        return max(1, self.places)

    async def _figures(self, run: RunId) -> _Figures:
        figures, after = _Figures(), 0
        while page := await self.engine.events_of(run, after, _PAGE):
            for stored in page:
                figures.add(stored)
            after = page[-1].seq
        return figures


@dataclass(slots=True)
class _Figures:
    """Sums over a run's calls; in seconds. Names in the order they came, each once."""

    models: dict[str, None] = field(default_factory=dict[str, None])
    servers: dict[str, None] = field(default_factory=dict[str, None])
    queued: float = 0.0
    loading: float = 0.0
    prompt: float = 0.0
    decode: float = 0.0
    replayed: bool = False

    def add(self, stored: Stored) -> None:
        match stored.event:
            case CallCompleted() as call:
                self.models[call.model] = None
                self.servers[call.server] = None
                self.queued += call.queued_seconds
                self.loading += call.load_seconds
                self.prompt += call.prompt_seconds
                self.decode += call.decode_seconds
            case CallReplayed():
                self.replayed = True
            case _:
                return
