"""What the last engine left: put right when the next one opens, before it takes anything new.

Owns that every run in the table is then in nobody's hand, the choice of those that go on by themselves, and how a
task is read back.
"""

from __future__ import annotations

import logging

from pydantic import ValidationError

from infrastructure.events.catalogue import RunInterrupted
from infrastructure.ids import RunId
from infrastructure.running.errors import TaskRefused
from infrastructure.running.left import PROCESS_ENDED, in_hand, passes_on
from infrastructure.running.outcomes import Outcomes, failed
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.tasks import TaskSpec

_logger = logging.getLogger(__name__)


async def recover(outcomes: Outcomes) -> tuple[tuple[RunId, TaskSpec], ...]:
    """Say of runs that a killed process left that they can go on. A run whose task cannot be read ends as an error.

    Returns:
        Those that go on at once: guests'. Others wait for their users.

    Raises:
        StorageError: the table or the log cannot be read or written.
    """
    going_on: list[tuple[RunId, TaskSpec]] = []
    for record in await outcomes.runs.unfinished():
        try:
            task = task_of(record)
        except TaskRefused as error:
            _logger.warning("%s", error)
            await outcomes.finish(record.run, failed(error), record.execution)
            continue
        left = await _left_behind(outcomes, record) if in_hand(record) else record
        if passes_on(left):
            going_on.append((record.run, task))
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


async def _left_behind(outcomes: Outcomes, record: RunRecord) -> RunRecord:
    moved = await outcomes.runs.set_state(record.run, RunState.INTERRUPTED, reason=PROCESS_ENDED)
    await outcomes.log.append(record.run, record.execution, RunInterrupted(reason=PROCESS_ENDED))
    return moved


def _told(error: ValidationError) -> str:
    """The first of its problems, in a few words."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else problem["msg"]
