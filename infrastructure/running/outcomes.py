"""How an execution ends, on disk: finished, resting, or waiting for a person.

Owns that table, approvals and log are written in one transaction: who sees the last event can read the result, who sees
a question can answer it, and no kill leaves a run without its last word. And what is told when the disk has no room.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from infrastructure.events.catalogue import AnyEvent, ApprovalAsked, RunCreated, RunInterrupted
from infrastructure.events.log import EventLog, Told, UnreadableEvent
from infrastructure.ids import RunId
from infrastructure.running.driving import values_of
from infrastructure.running.errors import error_info, exit_code_of
from infrastructure.running.gates import RunGates
from infrastructure.running.left import INTERRUPTED_EXIT
from infrastructure.running.results import Ending, finished_event, result_of
from infrastructure.running.scopes import ScopeMaker
from infrastructure.sessions.ports import Recorder
from infrastructure.storage.connection import Work
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RunChanges, RunRecord, RunState, RunStore
from infrastructure.tasks import RunResult
from infrastructure.workflow.graph import CodegenGraph

_T = TypeVar("_T")
FIRST_EVENTS = 2
"""Among which a run's creation is told: only that it was left behind can have been told before."""


class RunLog(EventLog, Recorder, Protocol):
    """The event log, as far as the engine uses it."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What could not be written down, and why."""

    state: RunState
    """That the run was to have."""
    error: StorageError
    again: Callable[[], Awaitable[Outcome]]
    """Tries it again, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an execution, and how much of that is on disk."""

    result: RunResult | None
    """None while the run waits for an answer."""
    unwritten: Unwritten | None = None
    """How it is written down after all, where it could not be: table and log have nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Writes down how executions end. Errors of storage are told in the outcome; any other is a fault."""

    graph: CodegenGraph
    runs: RunStore
    log: RunLog
    scopes: ScopeMaker
    gates: RunGates

    async def finish(self, run: RunId, ending: Ending, execution: int) -> Outcome:
        """End a run for good; later rather let it rest, where storage ended it and has no room to say so."""
        result = await self.result(run, ending)
        move = self.runs.finishing(run, result.status, result.judge, result.model_dump_json())
        try:
            await self._put_down(run, execution, move, finished_event(result))
        except StorageError as error:
            unwritten = Unwritten(RunState.FINISHED, error, partial(self.finish, run, ending, execution))
            if ending.by_storage:
                unwritten = Unwritten(RunState.INTERRUPTED, error, partial(self.rest, run, ending.reason, execution))
            return Outcome(result=_not_kept(result, error), unwritten=unwritten)
        return Outcome(result=result)

    async def rest(self, run: RunId, reason: str, execution: int) -> Outcome:
        """Leave a run where it can go on."""
        result = await self.result(run, resting(reason))
        try:
            await self.leave(run, reason, execution)
        except StorageError as error:
            again = partial(self.rest, run, reason, execution)
            return Outcome(result=result, unwritten=Unwritten(RunState.INTERRUPTED, error, again))
        return Outcome(result=result)

    async def leave(self, run: RunId, reason: str, execution: int) -> RunRecord:
        """Write down that a run rests.

        Raises:
            StorageError: that could not be kept.
        """
        move = self.runs.moving(run, RunState.INTERRUPTED, reason=reason, status="", judge="", result_json="")
        return await self._put_down(run, execution, move, RunInterrupted(reason=reason))

    async def ask(self, run: RunId, asked: ApprovalAsked, execution: int, *, no_input: bool) -> Outcome:
        """Let a run wait for a person, or end for want of one."""
        reason = f"waits for an answer to {asked.approval}"
        result = None
        if no_input:
            result = await self.result(run, Ending(status="needs_input", reason=reason))
        put = self.gates.asking(run, asked)
        move = self.runs.moving(run, RunState.WAITING, **_wanting(reason, result))

        def work(connection: sqlite3.Connection) -> tuple[None, tuple[AnyEvent, ...]]:
            _, question = put(connection)
            move(connection)
            told = (question, None if result is None else RunInterrupted(reason=reason))
            return None, tuple(event for event in told if event is not None)

        try:
            await self._keep(run, execution, work)
        except StorageError as error:
            again = partial(self.ask, run, asked, execution, no_input=no_input)
            unwritten = Unwritten(RunState.WAITING, error, again)
            return Outcome(result=_not_kept(await self.result(run, Ending(reason=reason)), error), unwritten=unwritten)
        return Outcome(result=result)

    async def result(self, run: RunId, ending: Ending) -> RunResult:
        """What came of a run; what can be told of it where its state cannot be read."""
        try:
            created = await self.created(run)
            return await result_of(
                run,
                await values_of(self.graph, run),
                await self.scopes.calls.totals(run),
                self.scopes.blobs,
                ending,
                seconds=await self.scopes.seconds_of(run),
                simulated=created is not None and created.simulated,
            )
        except (StorageError, UnreadableEvent) as error:
            return _not_kept(RunResult(run=run, status="error", judge="none", exit_code=0), error)

    async def created(self, run: RunId) -> RunCreated | None:
        """The event that tells of the run's creation; None where there was no room for it."""
        first = await self.log.read(run, limit=FIRST_EVENTS)
        return next((stored.event for stored in first if isinstance(stored.event, RunCreated)), None)

    async def _put_down(self, run: RunId, execution: int, move: Work[RunRecord], last: AnyEvent) -> RunRecord:
        """Move a run that waits for nobody any more, and tell of it."""
        withdraw, tell = self.gates.approvals.withdrawal(run)

        def work(connection: sqlite3.Connection) -> tuple[RunRecord, AnyEvent]:
            withdraw(connection)
            return move(connection), last

        moved = await self._keep(run, execution, work)
        tell()
        return moved

    async def _keep(self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[_T, Told]]) -> _T:
        """Do a work of the log. Nobody else need be told of events lost before, and they are no reason to lose this."""
        with suppress(StorageError):
            await self.log.flush(run)
        return await self.log.append_with(run, execution, work)


def resting(reason: str) -> Ending:
    """How a run stands that can go on."""
    return Ending(status="cancelled", reason=reason, exit_code=INTERRUPTED_EXIT)


def _wanting(reason: str, result: RunResult | None) -> RunChanges:
    """What the table says of a run that ends for want of an answer; one that waits has no result yet."""
    if result is None:
        return {"reason": reason, "status": "", "result_json": ""}
    return {"reason": reason, "status": result.status, "result_json": result.model_dump_json()}


def _not_kept(result: RunResult, error: Exception) -> RunResult:
    """A result that could not be kept, or read: an error, whatever the run itself came to."""
    told = {"status": "error", "exit_code": exit_code_of(error), "error": error_info(error), "reason": str(error)}
    return result.model_copy(update=told)
