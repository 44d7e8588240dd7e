"""The runner: as many runs going as there is room for, until nothing is left or somebody stops it.

Owns the order of writing that makes a kill harmless: the intent, then the run, then the patch, then the record. Waits
while no server answers.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from infrastructure.batch.errors import BatchStopped
from infrastructure.batch.jobs import Entry
from infrastructure.batch.ledger import Intent, Ledger
from infrastructure.batch.records import Record
from infrastructure.batch.runs import FINAL, RunOutcome, Runs, after_result
from infrastructure.events.causes import correlated
from infrastructure.ids import RunId, new_run_id
from infrastructure.pool.errors import NoServerAvailable
from infrastructure.running.errors import ENVIRONMENT_EXIT, USAGE_EXIT, TaskRefused, error_info
from infrastructure.storage.runs import RequestKey
from infrastructure.tasks import RunResult, TaskSpec
from infrastructure.transport.errors import CloudModelRefused, ModelNotFound
from infrastructure.workflow.lanes import NoModel
from infrastructure.workspace.errors import NotADirectory

WAIT_SECONDS = 2.0
"""Between two looks for a server."""
_STOPPED = "the batch was stopped"
_EVERYONES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Why no folder could be made; every other reason is that of one job's folder."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One sample of one job that has no verdict yet."""

    entry: Entry
    sample: int
    identity: str

    @property
    def label(self) -> str:
        """How people see it."""
        return self.entry.job.id if self.sample == 0 else f"{self.entry.job.id} (sample {self.sample})"


@dataclass(frozen=True, slots=True)
class Began:
    """A run of a job is going; `again` tells that it was begun by an earlier command."""

    ticket: Ticket
    run: RunId
    again: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's sample has its record."""

    ticket: Ticket
    record: Record


@dataclass(frozen=True, slots=True)
class Rested:
    """A run was interrupted; the next command goes on with it."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Retried:
    """A run lost its server; the job is begun again."""

    ticket: Ticket
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """No server answers; the batch waits. Told once."""

    reason: str


@dataclass(frozen=True, slots=True)
class WentOn:
    """A server answers again."""


@dataclass(frozen=True, slots=True)
class Worked:
    """How the work ended: `complete` when every ticket has its record, `failure` when no job could go on."""

    complete: bool
    failure: BatchStopped | None = None


News = Began | Ended | Rested | Retried | Waiting | WentOn


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the runner works with: where runs are made, what they are told, where results are kept.

    Attributes:
        runs: Runs the jobs.
        ledger: By which key a ticket's run was begun.
        spec_of: The task of a ticket; makes its folder.
        keep: Keeps a record and its patch on disk, and returns the record.
        tell: Told of everything, at once.
        sleep: Waits some seconds.
    """

    runs: Runs
    ledger: Ledger
    spec_of: Callable[[Ticket], Awaitable[TaskSpec]]
    keep: Callable[[Ticket, RunOutcome], Awaitable[Record]]
    tell: Callable[[News], None]
    sleep: Sleep = asyncio.sleep


class BatchRunner:
    """Works through tickets. One use."""

    def __init__(self, desk: Desk, tickets: Iterable[Ticket]) -> None:
        self._desk = desk
        self._left = deque(tickets)
        self._without_record = len(self._left)
        self._live: set[RunId] = set()
        self._stopping = asyncio.Event()
        self._failure: BatchStopped | None = None
        self._waiting = False

    def stop(self) -> None:
        """Begin nothing more, and interrupt what is going. Idempotent."""
        self._stopping.set()

    async def work(self, at_once: int) -> Worked:
        """Work until nothing is left, `stop` was called, or an error came that every further job would meet.

        Raises:
            OSError, StorageError: something could not be kept.
        """
        async with asyncio.TaskGroup() as beside:
            stopper = beside.create_task(self._interrupt_all(), name="stop the batch")
            try:
                async with asyncio.TaskGroup() as workers:
                    for number in range(min(at_once, len(self._left))):
                        workers.create_task(self._worker(), name=f"batch worker {number}")
            finally:
                stopper.cancel()
        return Worked(complete=self._without_record == 0, failure=self._failure)

    async def _worker(self) -> None:
        while self._left and not self._stopping.is_set():
            await self._see_through(self._left.popleft())

    async def _see_through(self, ticket: Ticket) -> None:
        tries = 0
        while not self._stopping.is_set():
            tries += 1
            outcome = await self._outcome_of(ticket)
            if outcome is None:
                return
            if outcome.resting:
                self._desk.tell(Rested(ticket))
                return
            match after_result(outcome.result, tries):
                case "record":
                    record = await self._desk.keep(ticket, outcome)
                    self._without_record -= 1
                    self._desk.tell(Ended(ticket, record))
                    return
                case "again":
                    self._desk.tell(Retried(ticket, outcome.result.reason))
                case "stop":
                    self._stop_for(outcome.result)
                    if outcome.result.run:  # else no run could be made of it
                        self._desk.tell(Rested(ticket))
                    return

    async def _outcome_of(self, ticket: Ticket) -> RunOutcome | None:
        """Run a ticket, or take what an earlier command's run came to; None when stopped before it was begun."""
        runs = self._desk.runs
        key = self._desk.ledger.key_of(ticket.identity)
        known = None if key is None else await runs.known(key)
        if known is not None and known.finished:
            outcome = await runs.outcome(known.run)
            if outcome.result.status in FINAL:
                return outcome  # killed between the end of the run and its record
            key = known = None
        try:
            spec = await self._desk.spec_of(ticket)
        except OSError as error:
            if error.errno in _EVERYONES:
                raise
            return RunOutcome(result=_refused(error))
        if key is None:
            key = RequestKey(f"batch-{new_run_id()}", ticket.identity)
            await asyncio.to_thread(self._desk.ledger.intend, _intent(ticket, key))
        try:
            run = await self._begin(key, spec)
        except (TaskRefused, NotADirectory, NoModel, ModelNotFound, CloudModelRefused) as error:
            return RunOutcome(result=_refused(error))
        return None if run is None else await self._follow(Began(ticket, run, again=known is not None))

    async def _begin(self, key: RequestKey, spec: TaskSpec) -> RunId | None:
        """Begin a run, waiting for a server as long as it takes; None when stopped meanwhile."""
        while not self._stopping.is_set():
            try:
                with correlated(key.key):  # the job is what began the run
                    run = await self._desk.runs.ensure(key, spec)
            except NoServerAvailable as error:
                if not self._waiting:
                    self._waiting = True
                    self._desk.tell(Waiting(str(error)))
                await self._pause()
                continue
            if self._waiting:
                self._waiting = False
                self._desk.tell(WentOn())
            return run
        return None

    async def _follow(self, began: Began) -> RunOutcome:
        self._desk.tell(began)
        self._live.add(began.run)
        if self._stopping.is_set():  # the others were interrupted before this one was there
            await self._desk.runs.interrupt(began.run, _STOPPED)
        try:
            return await self._desk.runs.outcome(began.run)
        finally:
            self._live.discard(began.run)

    async def _pause(self) -> None:
        """Wait a little, or until stopped."""
        pause = asyncio.ensure_future(self._desk.sleep(WAIT_SECONDS))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([pause, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            stopped.cancel()
            await asyncio.wait([pause, stopped])

    async def _interrupt_all(self) -> None:
        await self._stopping.wait()
        await asyncio.gather(*(self._desk.runs.interrupt(run, _STOPPED) for run in tuple(self._live)))

    def _stop_for(self, result: RunResult) -> None:
        error = result.error
        if self._failure is None and error is not None:
            self._failure = BatchStopped(error.error_class, error.message, error.hint)
        self.stop()


def _intent(ticket: Ticket, key: RequestKey) -> Intent:
    return Intent(identity=ticket.identity, key=key.key, job_id=ticket.entry.job.id, sample_index=ticket.sample)


def _refused(error: Exception) -> RunResult:
    """The result of a task that no run could be made of."""
    code = USAGE_EXIT if isinstance(error, TaskRefused) else ENVIRONMENT_EXIT
    return RunResult(run="", status="error", judge="none", exit_code=code, reason=str(error), error=error_info(error))
