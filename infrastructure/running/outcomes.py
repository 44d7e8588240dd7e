"""How an execution ends, on disk: finished, resting, or waiting for a person.

Owns the order in which result, table and log are written, so that who sees the last event can read the result and who
sees a question can answer it; and what is told when the disk has no room for it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from infrastructure.events.catalogue import ApprovalAsked, RunCreated, RunFinished, RunInterrupted
from infrastructure.events.log import EventLog, UnreadableEvent
from infrastructure.ids import RunId
from infrastructure.running.driving import values_of
from infrastructure.running.errors import error_info, exit_code_of
from infrastructure.running.gates import RunGates
from infrastructure.running.left import INTERRUPTED_EXIT
from infrastructure.running.results import Ending, finished_event, result_of
from infrastructure.running.scopes import ScopeMaker
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RunChanges, RunState, RunStore
from infrastructure.tasks import RunResult
from infrastructure.workflow.graph import CodegenGraph

FIRST_EVENTS = 2
"""Among which a run's creation is told: only that it was left behind can have been told before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an execution, and how much of that is on disk."""

    result: RunResult | None
    """None while the run waits for an answer."""
    kept: bool = True
    """Whether the table has it."""
    logged: bool = True
    """Whether its last event could be written: otherwise nobody is to wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Writes down how executions end. Errors of storage are told in the outcome; any other is a fault."""

    graph: CodegenGraph
    runs: RunStore
    log: EventLog
    scopes: ScopeMaker
    gates: RunGates

    async def finish(self, run: RunId, ending: Ending, execution: int) -> Outcome:
        """End a run for good: the table, then the last event."""
        result = await self.result(run, ending)
        try:
            await self.gates.withdraw(run)
            await self.runs.finish(run, result.status, result.judge, result.model_dump_json())
            await self._tell(run, execution, finished_event(result))
        except StorageError as error:
            await self._take_losses(run)
            if await self._is_finished(run):
                return Outcome(result=result, logged=False)
            return Outcome(result=_not_kept(result, error), kept=False, logged=False)
        return Outcome(result=result)

    async def rest(self, run: RunId, reason: str, execution: int) -> Outcome:
        """Leave a run where it can go on. Where that cannot be written the next engine finds it out and says so."""
        result = await self.result(run, resting(reason))
        try:
            await self.gates.withdraw(run)
            await self.runs.set_state(run, RunState.INTERRUPTED, reason=reason, status="", result_json="")
            await self._tell(run, execution, RunInterrupted(reason=reason))
        except StorageError:
            await self._take_losses(run)
            return Outcome(result=result, logged=False)
        return Outcome(result=result)

    async def ask(self, run: RunId, asked: ApprovalAsked, execution: int, *, no_input: bool) -> Outcome:
        """Let a run wait for a person, or end for want of one: the table first, then the question."""
        reason = f"waits for an answer to {asked.approval}"
        result = None
        if no_input:
            result = await self.result(run, Ending(status="needs_input", reason=reason))
        try:
            await self.runs.set_state(run, RunState.WAITING, **_wanting(reason, result))
            await self.gates.ask(run, asked, execution)
            if result is not None:
                await self.log.append(run, execution, RunInterrupted(reason=reason))
        except StorageError as error:
            await self._take_losses(run)
            return Outcome(result=_not_kept(await self.result(run, Ending(reason=reason)), error), logged=False)
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

    async def _take_losses(self, run: RunId) -> None:
        """Nobody else need be told of events that were lost: that the run could not be kept is in its outcome."""
        with suppress(StorageError):
            await self.log.flush(run)

    async def _is_finished(self, run: RunId) -> bool:
        try:
            return (await self.runs.get(run)).state is RunState.FINISHED
        except StorageError:
            return False

    async def _tell(self, run: RunId, execution: int, event: RunFinished | RunInterrupted) -> None:
        """Append the last event. An event lost before is told of first, once, which is no reason to lose this one."""
        try:
            await self.log.append(run, execution, event)
        except StorageError:
            await self.log.append(run, execution, event)


def resting(reason: str) -> Ending:
    """How a run stands that can go on."""
    return Ending(status="cancelled", reason=reason, exit_code=INTERRUPTED_EXIT)


def failed(error: BaseException) -> Ending:
    """How a run ends that met an error."""
    return Ending(status="error", reason=str(error), error=error_info(error), exit_code=exit_code_of(error))


def _wanting(reason: str, result: RunResult | None) -> RunChanges:
    """What the table says of a run that ends for want of an answer; one that waits has no result yet."""
    if result is None:
        return {"reason": reason, "status": "", "result_json": ""}
    return {"reason": reason, "status": result.status, "result_json": result.model_dump_json()}


def _not_kept(result: RunResult, error: Exception) -> RunResult:
    """A result that could not be kept, or read: an error, whatever the run itself came to."""
    told = {"status": "error", "exit_code": exit_code_of(error), "error": error_info(error), "reason": str(error)}
    return result.model_copy(update=told)
