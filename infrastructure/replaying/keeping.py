"""A replay kept as a run of its own, so that a person can look at it as at any other.

Owns what it is in the table: finished, whatever the original is, since nothing can go on with a replay.
"""

from __future__ import annotations

import sqlite3

from infrastructure.events.catalogue import AnyEvent, RunCreated, RunStarted
from infrastructure.replaying.playing import Replayed
from infrastructure.running.left import REPLAYED
from infrastructure.running.recording import Recording
from infrastructure.running.results import finished_event
from infrastructure.sessions.ports import Recorder
from infrastructure.storage.recordings import RecordingStore
from infrastructure.storage.runs import RunStore
from infrastructure.tasks import RunResult, TaskSpec

_EXECUTION = 1
"""It has one."""


async def keep_replay(
    recording: Recording, replayed: Replayed, *, runs: RunStore, log: Recorder, recordings: RecordingStore
) -> None:
    """Write a replay into the run table and the log, marked as one: all of it or nothing.

    Raises:
        StorageError: it could not be kept.
    """
    setup, run = recording.setup, replayed.run
    result = replayed.result or RunResult(
        run=run, status="cancelled", judge="none", exit_code=130, reason=f"as far as {replayed.original} came"
    )
    asked = TaskSpec.model_validate({"task": setup.task, "repo": setup.repo}).model_dump_json()
    creating = runs.creating(run=run, thread=run, task=setup.task, repo=setup.repo, request_json=asked)
    marking = recordings.keeping_setup(run, "", replay_of=replayed.original)
    beginning = runs.beginning(run, REPLAYED)
    finishing = runs.finishing(run, result.status, result.judge, result.model_dump_json())
    created = RunCreated(task=setup.task, repo=setup.repo, simulated=recording.simulated)
    events = (created, RunStarted(), *(stored.event for stored in replayed.events), finished_event(result))

    def work(connection: sqlite3.Connection) -> tuple[None, tuple[AnyEvent, ...]]:
        creating(connection)
        marking(connection)
        beginning(connection)
        finishing(connection)
        return None, events

    await log.append_with(run, _EXECUTION, work)
