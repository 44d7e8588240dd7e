"""One command's work on a batch: the folder taken, what is missing found, done, and reported on.

Owns `work_on`, the whole of it over the port `Runs`; the command line, or a server, only says what and shows it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infrastructure.batch.folders import Folders, solution_of
from infrastructure.batch.holding import held
from infrastructure.batch.identity import Params, Wishes, identity_of, params_of
from infrastructure.batch.jobs import Entry
from infrastructure.batch.keeping import record_of, write_patch, write_report
from infrastructure.batch.ledger import Ledger
from infrastructure.batch.place import BatchPlace
from infrastructure.batch.publishing import Publisher
from infrastructure.batch.records import Record, RecordFile, Told, told_of
from infrastructure.batch.registry import BatchRegistry, BatchState
from infrastructure.batch.report import BatchReport, report_on
from infrastructure.batch.runner import (
    BatchRunner,
    Began,
    Desk,
    Ended,
    News,
    Rested,
    Retried,
    Sleep,
    Ticket,
    Waiting,
    WentOn,
    Worked,
)
from infrastructure.batch.runs import RunOutcome, Runs
from infrastructure.batch.tally import Tally
from infrastructure.config.settings import Settings
from infrastructure.pool.states import Band
from infrastructure.storage.times import Now, utc_now
from infrastructure.tasks import TaskSpec
from infrastructure.workspace.threads import in_thread


@dataclass(frozen=True, slots=True)
class Opened:
    """The batch is taken: what there is to do. `cut` counts bytes that a killed command left unfinished."""

    total: int
    finished: int
    at_once: int
    cut: int


OnNews = Callable[[News | Opened, Tally], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done, and how it is shown.

    Attributes:
        entries: The jobs.
        place: The batch's folder.
        wishes: What was asked for beside the jobs.
        settings: All of them.
        on_news: Told of everything that happens, with how the batch stands.
        stop: Set by whoever wants it to stop.
        clock: Seconds from any fixed moment.
    """

    entries: Sequence[Entry]
    place: BatchPlace
    wishes: Wishes
    settings: Settings
    on_news: OnNews
    stop: asyncio.Event
    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Now = utc_now


async def work_on(order: Order, runs: Runs, registry: BatchRegistry) -> BatchReport:
    """Do what is missing of a batch, and write its report.

    Raises:
        FolderInUse: another command works there.
        UnreadableLine: the batch's own files were changed.
        BatchStopped: an error that every job would meet; the report is written all the same.
        OSError, StorageError: something could not be kept.
    """
    place = order.place
    async with held(place.root, place.lock, "batch", place.prepare):
        work = await _Work.open(order, runs, registry)
        try:
            return await work.through()
        finally:
            await work.aclose()


class _Work:
    """The open files of one command's work, and how it stands."""

    def __init__(
        self, order: Order, runs: Runs, view: Publisher, params: Params, records: RecordFile, ledger: Ledger
    ) -> None:
        self._order, self._runs, self._view = order, runs, view
        self._params = params
        self._records, self._ledger = records, ledger
        self._folders = Folders(order.place)
        self._tickets = tuple(_tickets(order, params))
        self._told: dict[str, Told] = {}
        self._running: set[str] = set()
        self._tally = Tally(len(self._tickets), order.clock)

    @classmethod
    async def open(cls, order: Order, runs: Runs, registry: BatchRegistry) -> _Work:
        """Open the batch's files."""
        params = await in_thread(lambda _: params_of(order.settings, order.wishes))
        records = await in_thread(lambda _: RecordFile(order.place))
        try:
            ledger = await in_thread(lambda _: Ledger(order.place))
            work = await in_thread(
                lambda _: cls(order, runs, Publisher(order.place, registry, order.now), params, records, ledger)
            )
        except BaseException:
            await in_thread(lambda _: records.close())
            raise
        return work

    async def aclose(self) -> None:
        """Close the files."""
        await self._folders.aclose()
        await in_thread(lambda _: self._close())

    async def through(self) -> BatchReport:
        """Work, then settle and report, however the work ended."""
        known = await in_thread(lambda _: self._records.load())
        self._told = {each.identity: known[each.identity] for each in self._tickets if each.identity in known}
        missing = [each for each in self._tickets if not self._is_final(each)]
        finished = [told for told in self._told.values() if told.final]
        self._tally.begin(finished)
        at_once = self._order.wishes.at_once or self._runs.slots()
        self._order.on_news(Opened(len(self._tickets), len(finished), at_once, self._records.cut), self._tally)
        await self._view.write(self._tally, "running")
        worked = await self._do(missing, at_once)
        if worked.failure is not None:
            await self._conclude("stopped", str(worked.failure))
            raise worked.failure
        return await self._conclude("finished" if worked.complete else "interrupted", "")

    async def _do(self, missing: Sequence[Ticket], at_once: int) -> Worked:
        desk = Desk(
            runs=self._runs,
            ledger=self._ledger,
            spec_of=self._spec_of,
            keep=self._keep,
            tell=self._tell,
            sleep=self._order.sleep,
        )
        runner = BatchRunner(desk, missing)
        async with asyncio.TaskGroup() as beside:
            helpers = (
                beside.create_task(_when(self._order.stop, runner.stop), name="watch for the batch's stop"),
                beside.create_task(self._view.keep_writing(self._tally), name="publish the batch"),
            )
            try:
                return await runner.work(at_once)
            finally:
                for helper in helpers:
                    helper.cancel()

    async def _conclude(self, state: BatchState, note: str) -> BatchReport:
        order = self._order
        await in_thread(lambda _: self._records.settle([each.identity for each in self._tickets]))
        report = report_on(
            list(self._told.values()),
            batch=order.place.id,
            name=order.place.name,
            out=str(order.place.root),
            jobs=len(self._tickets),
            interrupted=state == "interrupted",
        )
        await in_thread(
            lambda _: write_report(order.place, report, has_samples=any(each.solution for each in order.entries))
        )
        self._tally.running = 0
        await self._view.write(self._tally, state, note)
        return report

    # ------------------------------------------------------------------------------ the runner's desk
    async def _spec_of(self, ticket: Ticket) -> TaskSpec:
        entry, wishes, own = ticket.entry, self._order.wishes, ticket.entry.own
        said = self._order.settings.run  # by which it is recorded, whoever holds the engine
        repo, tests = await self._folders.of(entry)
        return TaskSpec(
            task=entry.job.prompt,
            repo=repo,
            model=own.model or wishes.model,
            test_command=entry.job.test_command,
            tests=tests,
            candidates=own.candidates or wishes.candidates or said.candidates,
            repairs=said.repairs if own.repairs is None else own.repairs,
            rounds=own.rounds or said.rounds,
            budget=said.budget,
            profiles=said.profiles,
            seed=own.seed,
            approve=(),  # nobody is there to ask, and nothing is applied
            no_input=True,
            client=f"batch:{self._order.place.name}",
            band=Band.BATCH,
        )

    async def _keep(self, ticket: Ticket, outcome: RunOutcome) -> Record:
        """The patch first, so that whoever sees the record finds it."""
        result = outcome.result
        file = self._order.place.patch(ticket.entry.file, ticket.sample)
        await in_thread(lambda _: write_patch(file, result.patch))
        record = record_of(ticket, outcome, self._params)
        changes = {
            "solution": await solution_of(ticket.entry, result.patch),
            "patch_file": file.relative_to(self._order.place.root).as_posix() if result.patch else "",
        }
        record = record.model_copy(update=changes)
        await in_thread(lambda _: self._records.add(record))
        self._told[ticket.identity] = told_of(record)
        return record

    def _tell(self, news: News) -> None:
        match news:
            case Began():
                self._running.add(news.ticket.identity)
            case Ended():
                self._running.discard(news.ticket.identity)
                self._tally.ended(told_of(news.record))
            case Rested() | Retried():
                self._running.discard(news.ticket.identity)
            case Waiting():
                self._view.state, self._view.note = "waiting", news.reason
            case WentOn():
                self._view.state, self._view.note = "running", ""
        self._tally.running = len(self._running)
        self._order.on_news(news, self._tally)

    def _is_final(self, ticket: Ticket) -> bool:
        told = self._told.get(ticket.identity)
        return told is not None and told.final

    def _close(self) -> None:
        self._records.close()
        self._ledger.close()


def _tickets(order: Order, params: Params) -> list[Ticket]:
    """Every sample of every job: all first samples, then all second ones, so that each job has an answer early."""
    counts = [entry.job.samples or order.wishes.samples for entry in order.entries]
    return [
        Ticket(entry=entry, sample=sample, identity=identity_of(entry, sample, params))
        for sample in range(max(counts, default=0))
        for entry, count in zip(order.entries, counts, strict=True)
        if sample < count
    ]


async def _when(event: asyncio.Event, then: Callable[[], None]) -> None:
    await event.wait()
    then()
