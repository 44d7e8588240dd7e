"""One command's work on an evaluation: a batch of its trials, each judged when its run is over, and the report.

Owns `evaluate` and `reported`: both end in the same function over the same files, so that a report made later is the
one that was made at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from infrastructure.batch import (
    BatchError,
    BatchRegistry,
    Ended,
    News,
    Opened,
    Order,
    Record,
    Runs,
    Tally,
    read_records,
    work_on,
)
from infrastructure.batch.holding import held
from infrastructure.batch.lines import JsonLines, replace_lines
from infrastructure.evaluation.judging import HiddenJudge
from infrastructure.evaluation.place import EvalPlace, Outline, read_outline
from infrastructure.evaluation.plan import Trial
from infrastructure.evaluation.report import EvalReport
from infrastructure.evaluation.reporting import report_on
from infrastructure.evaluation.samples import Sample, Tried, read_samples
from infrastructure.evaluation.tracing import Trace
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.storage.blobs import sha_of
from infrastructure.workspace.threads import Stopping, in_thread

JUDGES = 4
"""Samples that are judged side by side; the sandbox has a bound of its own."""
_PAGE = 1000

EventsOf = Callable[[RunId, int, int], Awaitable[tuple[Stored, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What is to be evaluated.

    Attributes:
        outline: What was asked for, as it is kept.
        trials: All of them.
        order: The batch that carries them; its entries are theirs.
        place: Where it is kept.
    """

    outline: Outline
    trials: Sequence[Trial]
    order: Order
    place: EvalPlace


async def evaluate(
    assignment: Assignment, runs: Runs, registry: BatchRegistry, judge: HiddenJudge, events_of: EventsOf
) -> EvalReport:
    """Run what is missing, judge what is not judged, and write the report.

    Raises:
        FolderInUse: another command works there.
        BatchStopped: an error that every trial would meet; what is finished is kept.
        UnreadableLine: the evaluation's own files were changed.
        OSError, StorageError: something could not be kept.
    """
    place = assignment.place
    async with held(place.root, place.lock, "eval", place.batch.prepare):
        outline = assignment.outline.model_dump_json(indent=1).encode()
        await in_thread(lambda _: replace_lines(place.outline, [outline]))
        bench = await in_thread(lambda _: _Bench(assignment, judge, events_of))
        try:
            await bench.work(runs, registry)
        finally:
            await in_thread(lambda _: bench.close())
        return await in_thread(lambda _: reported(place))


def reported(place: EvalPlace) -> EvalReport:
    """Report on what a folder holds, and write it there. Blocking.

    Raises:
        NoEvaluation: nothing was begun there.
        UnreadableLine: its files were changed.
    """
    outline = read_outline(place)
    current = {record.identity: record.run for record in read_records(place.batch.records)}
    judged = {(sample.identity, sample.run): sample for sample in read_samples(place.samples)}
    # In the order of the records, and only what belongs to them: a changed setting makes other identities.
    report = report_on(outline, [judged[each] for each in current.items() if each in judged])
    replace_lines(place.report, [report.model_dump_json(indent=1).encode()])
    return report


class _Bench:
    """The open file of judged samples, and the queue of records to judge."""

    def __init__(self, assignment: Assignment, judge: HiddenJudge, events_of: EventsOf) -> None:
        self._assignment, self._judge, self._events_of = assignment, judge, events_of
        self._trials = {trial.entry.job.id: trial for trial in assignment.trials}
        self._done = {
            sample.identity: (sample.run, sample.tests_sha)
            for sample in read_samples(assignment.place.samples)
            if sample.fit != "not runnable"  # what was missing may be there now
        }
        self._file = JsonLines(assignment.place.samples)
        self._queue: asyncio.Queue[Record | None] = asyncio.Queue()

    async def work(self, runs: Runs, registry: BatchRegistry) -> None:
        """Run and judge side by side: tests need no GPU."""
        order = replace(self._assignment.order, on_news=self._heard)
        known = await in_thread(lambda _: {each.identity: each for each in read_records(order.place.records)})
        for record in known.values():
            self._queue.put_nowait(record)  # of an earlier command, perhaps killed before they were judged
        failure: BatchError | None = None
        async with asyncio.TaskGroup() as judges:
            for number in range(JUDGES):
                judges.create_task(self._judge_all(), name=f"judge {number}")
            try:
                await work_on(order, runs, registry)
            except BatchError as error:
                failure = error  # what is finished is judged all the same
            finally:
                for _ in range(JUDGES):
                    self._queue.put_nowait(None)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Close the file. Idempotent. Blocking."""
        self._file.close()

    def _heard(self, news: News | Opened, tally: Tally) -> None:
        if isinstance(news, Ended):
            self._queue.put_nowait(news.record)
        self._assignment.order.on_news(news, tally)

    async def _judge_all(self) -> None:
        while (record := await self._queue.get()) is not None:
            trial = self._trials.get(record.job_id)
            if trial is None:
                continue
            judged = (record.run, trial.problem.tests_sha)
            if self._done.get(record.identity) != judged:
                self._done[record.identity] = judged
                sample = await self._sample(trial, record)
                await in_thread(partial(self._keep, sample))

    def _keep(self, sample: Sample, _: Stopping) -> None:
        self._file.append(sample.line())

    async def _sample(self, trial: Trial, record: Record) -> Sample:
        trace = Trace.of(await self._events(RunId(record.run))) if record.run else Trace()
        patch = record.patch.encode("utf-8", "surrogatepass")
        chosen = (trace.delivered or sha_of(patch)) if patch else ""
        solved = await self._judge.passes(trial.problem, chosen, patch)
        tried = [await self._judged(trial, each) for each in trace.tried]
        return Sample(
            identity=record.identity,
            problem=trial.problem.id,
            arm=trial.arm.name,
            seed=trial.seed,
            run=record.run,
            status=record.status,
            reason=record.reason,
            error_class=record.error.error_class if record.error else "",
            tests_sha=trial.problem.tests_sha,
            fit=await self._judge.fit(trial.problem),
            chosen=chosen,
            solved=bool(solved),
            attempts=record.attempts,
            tried=tuple(tried),
            figures=trace.figures.model_copy(
                update={
                    "calls": record.model_calls,
                    "prompt_tokens": record.prompt_tokens,
                    "completion_tokens": record.completion_tokens,
                }  # as the table of calls has them
            ),
            seconds=record.seconds,
            started=record.started_at,
            ended=record.ended_at,
            simulated=record.simulated,
        )

    async def _judged(self, trial: Trial, tried: Tried) -> Tried:
        return tried.model_copy(update={"passes": await self._judge.passes(trial.problem, tried.patch)})

    async def _events(self, run: RunId) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        after = 0
        while page := await self._events_of(run, after, _PAGE):
            events += [stored.event for stored in page]
            after = page[-1].seq
        return events
