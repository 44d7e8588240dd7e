"""What the last engine left: put right when the next one opens, before it takes anything new.

Owns that every run in the table is then in nobody's hand, the choice of those that go on by themselves, and how a
task is read back.
"""

from __future__ import annotations

import logging

from pydantic import ValidationError

from infrastructure.events.catalogue import RunFinished, RunInterrupted
from infrastructure.ids import RunId
from infrastructure.running.driving import waits_for
from infrastructure.running.errors import ENVIRONMENT_EXIT, TaskRefused
from infrastructure.running.left import PROCESS_ENDED, REPLAYED, in_hand, passes_on
from infrastructure.running.outcomes import Outcomes
from infrastructure.running.results import Ending, failed, finished_event
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.tasks import EXIT_CODES, RunResult, TaskSpec

_logger = logging.getLogger(__name__)


async def recover(outcomes: Outcomes) -> tuple[tuple[RunId, TaskSpec], ...]:
    """Say of runs that a killed process left that they can go on. A run whose task cannot be read ends as an error.

    What an older Corral left half written is completed: a last event, a question that was to be put, a kept replay.

    Returns:
        Those that go on at once: guests'. Others wait for their users.

    Raises:
        StorageError: the table or the log cannot be read or written.
    """
    for record in await outcomes.runs.untold():
        await outcomes.log.append(record.run, record.execution, _last_event(record))
    going_on: list[tuple[RunId, TaskSpec]] = []
    for record in await outcomes.runs.unfinished():
        try:
            task = task_of(record)
        except TaskRefused as error:
            _logger.warning("%s", error)
            await outcomes.finish(record.run, failed(error), record.execution)
            continue
        if await _is_replay(outcomes, record):
            broken_off = Ending(status="cancelled", reason="it was broken off while it was kept")
            await outcomes.finish(record.run, broken_off, record.execution)
            continue
        left = await outcomes.leave(record.run, PROCESS_ENDED, record.execution) if in_hand(record) else record
        if passes_on(left):
            going_on.append((record.run, task))
        elif left.state is RunState.WAITING:
            await _see_asked(outcomes, left)
    return tuple(going_on)


def task_of(record: RunRecord) -> TaskSpec:
    """What was asked for.

    Raises:
        TaskRefused: it cannot be read; a newer Corral may have written it.
    """
    try:
        return TaskSpec.model_validate_json(record.request_json)
    except ValidationError as error:
        raise TaskRefused(
            f"what run {record.run} was asked for cannot be read: {_told(error)}",
            "Update Corral if a newer one began it; otherwise start the task again.",
        ) from error


async def _is_replay(outcomes: Outcomes, record: RunRecord) -> bool:
    """Whether a run repeats another: it was once kept by several writes, and nothing can go on with it."""
    if record.owner not in ("", REPLAYED):
        return False
    return bool((await outcomes.scopes.recordings.of_run(record.run)).replay_of)


async def _see_asked(outcomes: Outcomes, record: RunRecord) -> None:
    """See that a run which waits is asked about. An answer that came to nothing lets it rest: it goes on with that."""
    run, gates = record.run, outcomes.gates
    if await gates.approvals.pending(run):
        return
    asked = await waits_for(outcomes.graph, run)
    if asked is None or await gates.given(run, asked) is not None:
        await outcomes.leave(run, PROCESS_ENDED, record.execution)
    else:
        await gates.ask(run, asked, record.execution)


def _last_event(record: RunRecord) -> RunFinished | RunInterrupted:
    """What was to be told of a run when its row was written."""
    if record.state is not RunState.FINISHED:
        return RunInterrupted(reason=record.reason)
    try:
        return finished_event(RunResult.model_validate_json(record.result_json))
    except ValidationError:  # a newer Corral may have written it
        code = next((code for status, code in EXIT_CODES.items() if status == record.status), ENVIRONMENT_EXIT)
        return RunFinished(status=record.status, judge=record.judge, exit_code=code)


def _told(error: ValidationError) -> str:
    """The first of its problems, in a few words."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else problem["msg"]
