"""The event log in memory, for tests: the same promises as the real one, for as long as the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.events.bells import Bells
from infrastructure.events.catalogue import AnyEvent, RunFinished, RunInterrupted, RunStarted, TextStreamed
from infrastructure.events.causes import Place, cause, whole_causation
from infrastructure.events.log import PAGE, OnCommit, Stored, take_lost
from infrastructure.storage.errors import StorageError
from infrastructure.storage.times import Now, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from infrastructure.ids import RunId


class MemoryEventLog:
    """An `EventLog` that keeps everything in lists. `fail_next` makes it fail as a full disk would."""

    def __init__(self, now: Now = utc_now) -> None:
        self._now = now
        self._events: dict[RunId, list[Stored]] = {}
        self._lost: dict[RunId, StorageError] = {}
        self._bells = Bells()
        self._failure: StorageError | None = None
        self._observers: list[OnCommit] = []

    def fail_next(self, error: StorageError) -> None:
        """Make the next event fail with this error."""
        self._failure = error

    async def append(self, run: RunId, execution: int, event: AnyEvent) -> Stored:
        """Keep an event."""
        if (lost := self._lost.pop(run, None)) is not None:
            raise lost
        return self._keep(run, execution, event)

    def post(self, run: RunId, execution: int, event: AnyEvent) -> Place:
        """Keep an event; a failure is told by the next call."""
        place = Place(run)
        try:
            place.seq = self._keep(run, execution, event).seq
        except StorageError as error:
            self._lost.setdefault(run, error)
        return place

    def observe(self, observer: OnCommit) -> None:
        """Tell this one of every event from now on."""
        self._observers.append(observer)

    async def read(self, run: RunId, after: int = 0, limit: int = PAGE) -> tuple[Stored, ...]:
        """The run's events with a greater number."""
        return tuple(stored for stored in self._events.get(run, ()) if stored.seq > after)[:limit]

    async def follow(self, run: RunId, after: int = 0, *, ends_when_interrupted: bool = False) -> AsyncIterator[Stored]:
        """The run's events, those there and those to come."""
        rests = (RunFinished, RunInterrupted) if ends_when_interrupted else (RunFinished,)
        last = False
        with self._bells.listen(run) as bell:
            while True:
                for stored in await self.read(run, after):
                    after = stored.seq
                    yield stored
                if await self.read(run, after, 1):
                    continue
                if last or isinstance(self._turn(run), rests):
                    return
                last = not await self._bells.hear(bell)

    async def flush(self, run: RunId | None = None) -> None:
        """Raise what a posted event failed with: a run's own, or any."""
        if (lost := take_lost(self._lost, run)) is not None:
            raise lost

    async def aclose(self) -> None:
        """Let every follower end with what is there. Idempotent."""
        self._bells.close()
        await self.flush()

    async def prune_text(self, before: datetime) -> int:
        """Delete the streamed text of runs that finished before an instant; returns how many events went."""
        gone = 0
        for run, events in self._events.items():
            if any(isinstance(stored.event, RunFinished) and stored.at < before for stored in events):
                kept = [stored for stored in events[:-1] if not isinstance(stored.event, TextStreamed)] + events[-1:]
                gone += len(events) - len(kept)
                self._events[run] = kept
        return gone

    def _keep(self, run: RunId, execution: int, event: AnyEvent) -> Stored:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        events = self._events.setdefault(run, [])
        led = cause()
        stored = Stored(
            run,
            events[-1].seq + 1 if events else 1,
            self._now(),
            execution,
            event,
            correlation=led.correlation or (events[0].correlation if events else ""),
            causation=whole_causation(led.causation(run), run),
        )
        events.append(stored)
        self._bells.ring(run)
        for observer in self._observers:
            observer(stored, 0.0)
        return stored

    def _turn(self, run: RunId) -> AnyEvent | None:
        turns = (RunStarted, RunInterrupted, RunFinished)
        return next(
            (stored.event for stored in reversed(self._events.get(run, [])) if isinstance(stored.event, turns)), None
        )
