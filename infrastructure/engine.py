"""The engine: the one spine behind every door. It owns the runs; who watches one may come and go.

Owns a run's life: taken, begun, stopped, gone on with, ended. What a run does is the graph's; what happened is the
log's; whether it is finished is for the `runs` table alone to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from langgraph.types import Command

from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import RunCreated
from infrastructure.events.causes import caused_by, correlated
from infrastructure.events.log import Stored
from infrastructure.ids import RunId, new_run_id
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.running.admission import Admitted, admit
from infrastructure.running.driving import GraphInput, waits_for
from infrastructure.running.errors import RunIsOver, RunNotWaiting
from infrastructure.running.executing import EngineParts, Executor
from infrastructure.running.gates import ALLOWED, GateAnswer, decision_of
from infrastructure.running.left import INTERRUPTED_EXIT, SHUT_DOWN, in_hand, is_guests, passes_on, rests_unasked
from infrastructure.running.live import LiveRun, StopKind, next_event
from infrastructure.running.outcomes import Outcome, resting
from infrastructure.running.recovery import recover, task_of
from infrastructure.running.requests import Requests
from infrastructure.running.results import Ending
from infrastructure.running.steering import Steering
from infrastructure.running.unkept import UnkeptEnds
from infrastructure.sessions.approvals import Approval, Decision
from infrastructure.storage.runs import RequestKey, RunState
from infrastructure.tasks import RunResult, TaskSpec

__all__ = [
    "INTERRUPTED_EXIT",
    "SHUT_DOWN",
    "EngineParts",
    "Resources",
    "TaskOrchestrator",
    "is_guests",
    "passes_on",
    "rests_unasked",
]

_BY_A_PERSON = "cancelled by a person"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What is in use now."""

    live: tuple[RunId, ...]
    pool: PoolSnapshot


class TaskOrchestrator:
    """Starts, follows, answers, cancels, interrupts and resumes runs. One a data directory.

    Use it as an async context manager: leaving it interrupts what still runs, so that it can go on later. What is asked
    of a run is done in turn, and to its end, also when whoever asked is cancelled.
    """

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._executor = Executor(parts)
        self._outcomes = self._executor.outcomes
        self._live: dict[RunId, LiveRun] = {}
        self._steering = Steering()
        self._unkept = UnkeptEnds(parts.runs, self._steering)
        self._requests = Requests(parts.control, cancel=self.cancel, answer=self.answer, on_fault=self._fail)
        self._fault: BaseException | None = None

    async def __aenter__(self) -> Self:
        try:
            with correlated(""):  # what goes on by itself goes on for whoever began it
                for run, spec in await recover(self._outcomes):
                    await self._launch(run, spec)
        except BaseException:
            await self.drain(SHUT_DOWN)
            raise
        self._parts.approvals.hand_over(ALLOWED, self._decide)
        self._requests.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.aclose()
        await self._unkept.aclose()
        await self.drain(SHUT_DOWN)
        if error is None:
            self._check()

    # ------------------------------------------------------------------------------------ starting
    async def start(self, spec: TaskSpec, request: RequestKey | None = None) -> RunId:
        """Take a task and begin it. A request that began a run before gives that run.

        Raises:
            KeyReused: the request's key stands for another request.
            TaskRefused, NotADirectory: the task cannot be taken as it is.
            NoServerAvailable, NoModel, ModelNotFound: no server answers, or none has a model that the roles need.
            StorageError: the run could not be kept.
        """
        self._check()
        run = None if request is None else await self._parts.runs.keyed(request)
        if run is None:
            settings = self._parts.config.current
            admitted = await admit(spec, settings, self._parts.pool.with_lanes(settings.lanes))
            new = new_run_id()
            run = await self._steering.alone(new, lambda: self._take(new, admitted, settings, request))
            if run == new:
                return run
        await self._steering.alone(run, lambda: self._begin_left(run))
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
            live = self._live.get(run, live)  # somebody may have gone on with it

    async def result(self, run: RunId) -> RunResult:
        """The run's result, when it has one: finished, interrupted, or in want of an answer nobody gives.

        Raises:
            UnknownRun: there is no such run.
        """
        live = self._live.get(run)
        if live is not None:
            return await asyncio.shield(live.done)
        if (unkept := self._unkept.of(run)) is not None:
            return unkept.result
        record = await self._parts.runs.get(run)
        if record.result_json:
            return RunResult.model_validate_json(record.result_json)
        return await self._outcomes.result(record.run, resting(record.reason))

    # ------------------------------------------------------------------------------------ steering
    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        """Answer what a run waits for: its approval is decided and used, and it goes on.

        Raises:
            RunNotWaiting: it does not wait for that.
        """
        self._check()
        record = await self._parts.runs.get(run)
        answer = GateAnswer(approval, lambda asked: decision_of(asked, approved, reason))
        await self._steering.alone(record.run, lambda: self._answer(record.run, answer))

    async def _decide(self, approval: Approval, decision: Decision, by: str) -> Approval:
        """Answer by the approval's id: the same, for exactly the question that it is."""
        self._check()
        run, answer = RunId(approval.owner), GateAnswer(approval.key, lambda asked: decision, by, approval.nonce)
        await self._steering.alone(run, lambda: self._answer(run, answer))
        return await self._parts.approvals.get(approval.id)

    async def cancel(self, run: RunId) -> None:
        """End a run for good; its best patch so far is kept.

        Raises:
            RunIsOver: it has ended already.
        """
        record = await self._parts.runs.get(run)
        if record.state is RunState.FINISHED:
            raise RunIsOver(run, record.status)
        await self._steering.alone(record.run, lambda: self._cancel(record.run))

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop a run at a step, so that `resume` goes on from there. Nothing to do when it is not running."""
        await self._steering.alone(run, lambda: self._interrupt(run, reason))

    async def resume(self, run: RunId, *, no_input: bool = False) -> None:
        """Go on with a run from its last step; one that waits for a person asks again.

        Raises:
            RunIsOver: it has ended.
            TaskRefused: what it was asked for cannot be read.
        """
        self._check()
        record = await self._parts.runs.get(run)
        await self._steering.alone(record.run, lambda: self._resume(record.run, no_input=no_input))

    async def drain(self, reason: str) -> None:
        """Interrupt every run and wait until each has stopped. What goes wrong with one is raised when all have.

        Ends that the disk had no room for are written down if there is some now; else the next engine settles them.
        """
        failures: dict[RunId, Exception] = {}
        while True:
            runs = [run for run in self._live if run not in failures]
            told = await asyncio.gather(*(self.interrupt(run, reason) for run in runs), return_exceptions=True)
            failures |= {run: error for run, error in zip(runs, told, strict=True) if isinstance(error, Exception)}
            await self._steering.settled()  # what was asked before may have begun a run since
            if self._live.keys() <= failures.keys():
                break
        await self._unkept.try_all()
        if failures:
            raise ExceptionGroup("some runs could not be brought to rest", list(failures.values()))

    # ------------------------------------------------------------------------- steering, each run's in turn
    async def _take(self, run: RunId, admitted: Admitted, settings: Settings, request: RequestKey | None) -> RunId:
        """Keep a new run and begin it; the run that the same request began meanwhile instead, if there is one."""
        spec, runs = admitted.spec, self._parts.runs
        asked, repo = spec.model_dump_json(), str(spec.repo)
        record = await runs.create(run=run, thread=run, task=spec.task, repo=repo, request_json=asked, request=request)
        if record.run == run:
            created = RunCreated(task=spec.task, repo=repo, simulated=admitted.simulated)
            with caused_by(await self._parts.log.append(run, 0, created)):
                await self._launch(run, spec, settings=settings)
        return record.run

    async def _begin_left(self, run: RunId) -> None:
        """Begin a run that a request took before, if nobody has it in hand: the disk had no room for the rest."""
        record = await self._parts.runs.get(run)
        if run not in self._live and in_hand(record):
            await self._launch(run, task_of(record))

    async def _answer(self, run: RunId, answer: GateAnswer) -> None:
        live = self._live.get(run)
        if live is not None and live.ending:
            await live.rests()
        record = await self._parts.runs.get(run)
        live = self._live.get(run)
        executed = live is not None and live.running
        asked = await waits_for(self._parts.graph, run)
        if executed or record.state is not RunState.WAITING or asked is None or asked.approval != answer.approval:
            raise RunNotWaiting(run, answer.approval)
        spec = live.spec if live is not None else task_of(record)
        given = await self._outcomes.gates.answer(run, asked, answer, record.execution)
        await self._launch(run, spec, Command(resume=given))

    async def _cancel(self, run: RunId) -> None:
        live = self._live.get(run)
        if live is not None:
            live.stop_now(StopKind.CANCEL, _BY_A_PERSON)
            await live.rests()
        record = await self._parts.runs.get(run)
        if record.state is RunState.FINISHED:
            if record.status != "cancelled":
                raise RunIsOver(run, record.status)  # it came to its end before it could be stopped
            return
        ending = Ending(status="cancelled", reason=_BY_A_PERSON)
        await self._settle(run, lambda: self._outcomes.finish(run, ending, record.execution))

    async def _interrupt(self, run: RunId, reason: str) -> None:
        live = self._live.get(run)
        if live is None:
            return
        live.stop_now(StopKind.INTERRUPT, reason)
        await live.rests()
        if self._live.get(run) is live:  # it waits for a person
            await self._settle(run, lambda: self._outcomes.rest(run, reason, live.execution))

    async def _resume(self, run: RunId, *, no_input: bool) -> None:
        live = self._live.get(run)
        executed = live is not None and live.running
        if live is not None and executed:
            if not live.ending:
                return
            await live.rests()
        record = await self._parts.runs.get(run)
        if record.state is RunState.FINISHED:
            if executed:
                return  # it went on by itself, to its end
            raise RunIsOver(run, record.status)
        await self._launch(run, task_of(record).model_copy(update={"no_input": no_input}))

    # ----------------------------------------------------------------------------------- executing
    async def _launch(
        self, run: RunId, spec: TaskSpec, given: GraphInput = None, settings: Settings | None = None
    ) -> None:
        """Begin an execution, and wait until the log says so. A run in hand has its settings already."""
        self._unkept.drop(run)
        loop = asyncio.get_running_loop()
        live = self._live.get(run)
        if live is None:
            live = self._live[run] = LiveRun(run, spec, settings or self._parts.config.current, loop.create_future())
        live.begin(spec)
        executing = self._settle(run, lambda: self._executor.execute(live, given))
        live.task = loop.create_task(executing, name=f"run {run}")
        live.task.add_done_callback(partial(self._after, live, live.begun))
        await live.begun.wait()

    def _after(self, live: LiveRun, begun: asyncio.Event, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._let_go(live, None if task.cancelled() else task.exception())
        begun.set()  # an execution that ended before it had begun must not keep anybody waiting

    async def _settle(self, run: RunId, coming: Callable[[], Awaitable[Outcome]]) -> None:
        """Wait for an outcome, and tell it to whoever waits; a run that waits for a person stays in hand."""
        live = self._live.get(run)
        try:
            outcome = await coming()
        except Exception as error:  # a fault of the engine's own, since a run's errors are outcomes
            _logger.exception("run %s broke", run)
            if live is not None:
                self._let_go(live, error)
            raise
        if outcome.result is None:
            return
        self._live.pop(run, None)
        if outcome.unwritten is None:
            self._unkept.drop(run)
        else:
            self._unkept.add(run, outcome.result, outcome.unwritten)
        if live is not None:
            live.ended(outcome.result, logged=outcome.unwritten is None)

    def _let_go(self, live: LiveRun, error: BaseException | None) -> None:
        self._live.pop(live.run, None)
        live.broke(error)

    def _fail(self, error: BaseException) -> None:
        """Meet a fault of the engine's own that is no run's: told at once, and to whoever asks for more."""
        _logger.critical("the engine takes nothing new: its watch for requests has ended", exc_info=error)
        self._fault = error

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault
