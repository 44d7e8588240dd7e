"""The engine: the one spine behind every door. It owns the runs; who watches one may come and go.

Owns a run's life: taken, begun, stopped, gone on with, ended. What a run does is the graph's; what happened is the
log's; whether it is finished is for the `runs` table alone to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from langgraph.types import Command

from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.events.catalogue import ApprovalAsked, RunCreated, RunFinished, RunInterrupted, RunStarted
from infrastructure.events.log import EventLog, Stored, UnreadableEvent
from infrastructure.ids import RunId, new_run_id
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.running.admission import admit
from infrastructure.running.driving import GraphInput, drive, has_begun, input_of, values_of, waits_for
from infrastructure.running.errors import RunIsOver, RunNotWaiting, error_info, exit_code_of
from infrastructure.running.live import LiveRun, StopKind, next_event
from infrastructure.running.requests import Requests
from infrastructure.running.results import Ending, finished_event, result_of
from infrastructure.running.scopes import ScopeMaker
from infrastructure.sandbox import Sandbox
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallStore
from infrastructure.storage.control import ControlStore
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RequestKey, RunChanges, RunRecord, RunState, RunStore
from infrastructure.tasks import RunResult, TaskSpec
from infrastructure.workflow.graph import CodegenGraph
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.models import PoolModels

INTERRUPTED_EXIT = 130
SHUT_DOWN = "the engine was shut down"
"""Why runs rest that nobody stopped; those of guests go on by themselves."""
_PROCESS_ENDED = "its process ended before it did"
_BY_A_PERSON = "cancelled by a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What the engine works with. `open_sandbox` is called when the first run needs it, and remembers."""

    settings: Settings
    pool: OllamaConnectionPool
    open_sandbox: Callable[[], Awaitable[Sandbox]]
    graph: CodegenGraph
    log: EventLog
    runs: RunStore
    calls: CallStore
    blobs: Blobs
    control: ControlStore
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What is in use now."""

    live: tuple[RunId, ...]
    pool: PoolSnapshot


class TaskOrchestrator:
    """Starts, follows, answers, cancels, interrupts and resumes runs. One a data directory.

    Use it as an async context manager: leaving it interrupts what still runs, so that it can go on later.
    """

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._scopes = ScopeMaker(settings=parts.settings, log=parts.log, calls=parts.calls, blobs=parts.blobs)
        self._live: dict[RunId, LiveRun] = {}
        self._unkept: dict[RunId, RunResult] = {}  # of runs whose end the disk had no room for
        self._requests = Requests(parts.control, cancel=self.cancel, answer=self.answer)

    async def __aenter__(self) -> Self:
        await self._recover()
        self._requests.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.aclose()
        await self.drain(SHUT_DOWN)

    # ------------------------------------------------------------------------------------ starting
    async def start(self, spec: TaskSpec, request: RequestKey | None = None) -> RunId:
        """Take a task and begin it. A request that began a run before gives that run.

        Raises:
            KeyReused: the request's key stands for another request.
            TaskRefused, NotADirectory: the task cannot be taken as it is.
            NoServerAvailable, NoModel: nobody named a model, and none can be found.
            StorageError: the run could not be kept.
        """
        parts = self._parts
        if request is not None and (before := await parts.runs.keyed(request)) is not None:
            return before
        admitted = await admit(spec, parts.settings, parts.pool)
        spec = admitted.spec
        run, asked = new_run_id(), spec.model_dump_json()
        record = await parts.runs.create(
            run=run, thread=run, task=spec.task, repo=str(spec.repo), request_json=asked, request=request
        )
        if record.run != run:
            return record.run  # the same request came twice at once, and the other was first
        await parts.log.append(run, 0, RunCreated(task=spec.task, repo=str(spec.repo), simulated=admitted.simulated))
        await self._launch(run, spec, None)
        return run

    async def schedule_task(self, spec: TaskSpec) -> RunId:
        """Take a task; the pool decides when its calls are served. The same as `start`."""
        return await self.start(spec)

    async def execute_parallel(self, specs: Sequence[TaskSpec]) -> tuple[RunResult, ...]:
        """Run tasks side by side and wait for all; results in the order of the tasks."""
        runs = [await self.start(spec) for spec in specs]
        return tuple([await self.result(run) for run in runs])

    def manage_resources(self) -> Resources:
        """What is in use: runs in hand, and the pool's servers, slots and queue."""
        return Resources(live=tuple(self._live), pool=self._parts.pool.snapshot())

    # ------------------------------------------------------------------------------------ watching
    async def follow(self, run: RunId, after: int = 0, *, ends_when_interrupted: bool = True) -> AsyncGenerator[Stored]:
        """A run's events after a number, then the new ones, until it is finished or rests interrupted."""
        live = self._live.get(run)
        events = self._parts.log.follow(run, after, ends_when_interrupted=ends_when_interrupted)
        while (stored := await next_event(events, live)) is not None:
            yield stored

    async def result(self, run: RunId) -> RunResult:
        """The run's result, when it has one: finished, interrupted, or in want of an answer nobody gives.

        Raises:
            UnknownRun: there is no such run.
        """
        live = self._live.get(run)
        if live is not None:
            return await asyncio.shield(live.done)
        if run in self._unkept:
            return self._unkept[run]
        record = await self._parts.runs.get(run)
        if record.result_json:
            return RunResult.model_validate_json(record.result_json)
        return await self._result(record.run, _resting(record.reason))

    # ------------------------------------------------------------------------------------ steering
    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        """Answer what a run waits for; it goes on.

        Raises:
            RunNotWaiting: it does not wait for that.
        """
        record = await self._parts.runs.get(run)
        live = self._live.get(record.run)
        if live is not None and live.ending:
            await live.rests()
        record = await self._parts.runs.get(run)
        if record.state is not RunState.WAITING or await waits_for(self._parts.graph, record.run) != approval:
            raise RunNotWaiting(run, approval)
        live = self._live.get(record.run)
        if live is not None and live.running:
            raise RunNotWaiting(run, approval)  # somebody else answered in the meantime
        spec = live.spec if live is not None else TaskSpec.model_validate_json(record.request_json)
        await self._launch(record.run, spec, Command(resume={"approved": approved, "reason": reason}))

    async def cancel(self, run: RunId) -> None:
        """End a run for good; its best patch so far is kept.

        Raises:
            RunIsOver: it has ended already.
        """
        record = await self._parts.runs.get(run)
        if record.state is RunState.FINISHED:
            raise RunIsOver(run, record.status)
        live = self._live.get(record.run)
        if live is not None:
            live.stop_now(StopKind.CANCEL, _BY_A_PERSON)
            await live.rests()
            record = await self._parts.runs.get(record.run)
        if record.state is not RunState.FINISHED:
            await self._finish(record.run, Ending(status="cancelled", reason=_BY_A_PERSON), record.execution)
        elif record.status != "cancelled":
            raise RunIsOver(run, record.status)  # it came to its end before it could be stopped

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop a run at a step, so that `resume` goes on from there. Nothing to do when it is not running."""
        live = self._live.get(run)
        if live is None:
            return
        live.stop_now(StopKind.INTERRUPT, reason)
        await live.rests()
        if self._live.get(run) is live:  # it waits for a person
            await self._interrupted(live, reason, (await self._parts.runs.get(run)).execution)

    async def resume(self, run: RunId, *, no_input: bool = False) -> None:
        """Go on with a run from its last step; one that waits for a person asks again.

        Raises:
            RunIsOver: it has ended.
        """
        record = await self._parts.runs.get(run)
        if record.state is RunState.FINISHED:
            raise RunIsOver(run, record.status)
        live = self._live.get(record.run)
        if live is not None and live.running:
            return
        spec = TaskSpec.model_validate_json(record.request_json).model_copy(update={"no_input": no_input})
        await self._launch(record.run, spec, None)

    async def drain(self, reason: str) -> None:
        """Interrupt every run and wait until each has stopped."""
        await asyncio.gather(*(self.interrupt(run, reason) for run in tuple(self._live)))

    # ----------------------------------------------------------------------------------- executing
    async def _launch(self, run: RunId, spec: TaskSpec, given: Command[object] | None) -> None:
        """Begin an execution, and wait until the log says so."""
        self._unkept.pop(run, None)
        loop = asyncio.get_running_loop()
        live = self._live.get(run)
        if live is None:
            live = self._live[run] = LiveRun(run, spec, loop.create_future())
        task = loop.create_task(self._execute(live, given), name=f"run {run}")
        task.add_done_callback(partial(self._after, live))
        live.begin(spec, task)
        await live.begun.wait()

    def _after(self, live: LiveRun, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._live.pop(live.run, None)
            live.broke(error)
        live.begun.set()  # an execution that ended before it had begun must not keep anybody waiting

    async def _execute(self, live: LiveRun, given: Command[object] | None) -> None:
        """One execution: to its end, its interruption, or its question. A run's errors end here, as its result."""
        run, execution, asked = live.run, 0, None
        try:
            execution = await self._parts.runs.begin(run, self._parts.owner)
            await self._parts.log.append(run, execution, RunStarted(resumed=execution > 1))
            live.begun.set()
            asked = await self._drive(live, given, execution)
            ending = Ending()
        except asyncio.CancelledError:
            ending = Ending(status="cancelled", reason=live.reason)
        except Exception as error:  # noqa: BLE001 - the boundary of a run: whatever it is becomes its result
            ending = Ending(status="error", reason=str(error), error=error_info(error), exit_code=exit_code_of(error))
        live.ending = True  # nothing stops it from here on
        if asked is not None:
            await self._wait_for_person(live, asked, execution)
        elif ending.status == "cancelled" and live.stop is not StopKind.CANCEL:
            await self._interrupted(live, live.reason or "interrupted", execution)
        else:
            await self._finish(run, ending, execution)

    async def _drive(self, live: LiveRun, given: Command[object] | None, execution: int) -> ApprovalAsked | None:
        parts = self._parts
        lanes = RoleLanes(parts.settings, live.spec.model)
        scope = await self._scopes.make(live.run, live.spec, PoolModels(parts.pool, lanes), await parts.open_sandbox())
        start: GraphInput = given
        if given is None and not await has_begun(parts.graph, live.run):
            start = input_of(live.run, live.spec, parts.settings)
        return await drive(parts.graph, start, scope, parts.log, live.run, execution)

    async def _wait_for_person(self, live: LiveRun, asked: ApprovalAsked, execution: int) -> None:
        """The table first, then the question: who sees it can answer it."""
        reason = f"waits for an answer to {asked.approval}"
        result = None
        if live.spec.no_input:
            result = await self._result(live.run, Ending(status="needs_input", reason=reason))
        try:
            await self._parts.runs.set_state(live.run, RunState.WAITING, **_wanting(reason, result))
            await self._parts.log.append(live.run, execution, asked)
            if result is not None:
                await self._parts.log.append(live.run, execution, RunInterrupted(reason=reason))
        except StorageError as error:
            result = _not_kept(await self._result(live.run, Ending(reason=reason)), error)
            live.unlogged.set()
        if result is not None:
            self._settle(live.run, result)

    async def _interrupted(self, live: LiveRun, reason: str, execution: int) -> None:
        result = await self._result(live.run, _resting(reason))
        try:
            await self._parts.runs.set_state(live.run, RunState.INTERRUPTED, reason=reason, status="", result_json="")
            await self._tell(live.run, execution, RunInterrupted(reason=reason))
        except StorageError:
            live.unlogged.set()  # the next holder finds the run unfinished and says so
        self._settle(live.run, result)

    async def _finish(self, run: RunId, ending: Ending, execution: int) -> None:
        """Result, then the table, then the last event: who sees the last event can read the result."""
        result = await self._result(run, ending)
        try:
            await self._parts.runs.finish(run, result.status, result.judge, result.model_dump_json())
            await self._tell(run, execution, finished_event(result))
        except StorageError as error:
            if (await self._state_of(run)) is not RunState.FINISHED:
                result = self._unkept[run] = _not_kept(result, error)
            if run in self._live:
                self._live[run].unlogged.set()
        self._settle(run, result)

    async def _state_of(self, run: RunId) -> RunState | None:
        try:
            return (await self._parts.runs.get(run)).state
        except StorageError:
            return None

    async def _tell(self, run: RunId, execution: int, event: RunFinished | RunInterrupted) -> None:
        """Append the last event. An event lost before is told of first, once, which is no reason to lose this one."""
        try:
            await self._parts.log.append(run, execution, event)
        except StorageError:
            await self._parts.log.append(run, execution, event)

    def _settle(self, run: RunId, result: RunResult) -> None:
        live = self._live.pop(run, None)
        if live is not None and not live.done.done():
            live.done.set_result(result)

    async def _result(self, run: RunId, ending: Ending) -> RunResult:
        """What came of a run; what can be told of it where its state cannot be read."""
        parts = self._parts
        try:
            return await result_of(
                run,
                await values_of(parts.graph, run),
                await parts.calls.totals(run),
                parts.blobs,
                ending,
                seconds=await self._scopes.seconds_of(run),
                simulated=await self._simulated(run),
            )
        except (StorageError, UnreadableEvent) as error:
            return _not_kept(RunResult(run=run, status="error", judge="none", exit_code=0), error)

    async def _simulated(self, run: RunId) -> bool:
        first = await self._parts.log.read(run, limit=1)
        return any(isinstance(stored.event, RunCreated) and stored.event.simulated for stored in first)

    async def _recover(self) -> None:
        """Runs that a killed process left running can go on: say so. Guests' do; others wait for their users."""
        for record in await self._parts.runs.unfinished():
            if record.state in (RunState.RUNNING, RunState.QUEUED):
                record = await self._left_behind(record)
            if passes_on(record):
                await self._launch(record.run, TaskSpec.model_validate_json(record.request_json), None)

    async def _left_behind(self, record: RunRecord) -> RunRecord:
        moved = await self._parts.runs.set_state(record.run, RunState.INTERRUPTED, reason=_PROCESS_ENDED)
        await self._parts.log.append(record.run, record.execution, RunInterrupted(reason=_PROCESS_ENDED))
        return moved


def passes_on(record: RunRecord) -> bool:
    """Whether a guest's run goes on by itself with the next holder; one that waits for an answer then asks again."""
    left = record.state in (RunState.RUNNING, RunState.QUEUED) or rests_unasked(record)
    asks = record.state is RunState.WAITING and not record.result_json
    return (left or asks) and is_guests(record)


def rests_unasked(record: RunRecord) -> bool:
    """Whether a run rests although nobody meant to stop it: its engine ended."""
    return record.state is RunState.INTERRUPTED and record.reason in (SHUT_DOWN, _PROCESS_ENDED)


def is_guests(record: RunRecord) -> bool:
    """Whether a run was handed over by a guest."""
    return TaskSpec.model_validate_json(record.request_json).guest


def _resting(reason: str) -> Ending:
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
