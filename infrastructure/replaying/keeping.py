"""A replay kept as a run of its own, so that a person can look at it as at any other.

Owns what it is in the table: finished, whatever the original is, since nothing can go on with a replay.
"""

from __future__ import annotations

from infrastructure.events.catalogue import RunCreated, RunStarted
from infrastructure.events.log import EventLog
from infrastructure.replaying.playing import Replayed
from infrastructure.running.recording import Recording
from infrastructure.running.results import finished_event
from infrastructure.storage.recordings import RecordingStore
from infrastructure.storage.runs import RunStore
from infrastructure.tasks import RunResult, TaskSpec

_OWNER = "replay"


async def keep_replay(
    recording: Recording, replayed: Replayed, *, runs: RunStore, log: EventLog, recordings: RecordingStore
) -> None:
    """Write a replay into the run table and the log, marked as one.

    Raises:
        StorageError: it could not be kept.
    """
    setup, run = recording.setup, replayed.run
    result = replayed.result or RunResult(
        run=run, status="cancelled", judge="none", exit_code=130, reason=f"as far as {replayed.original} came"
    )
    asked = TaskSpec.model_validate({"task": setup.task, "repo": setup.repo}).model_dump_json()
    await runs.create(run=run, thread=run, task=setup.task, repo=setup.repo, request_json=asked)
    await recordings.keep_setup(run, "", replay_of=replayed.original)
    await log.append(run, 0, RunCreated(task=setup.task, repo=setup.repo, simulated=recording.simulated))
    execution = await runs.begin(run, _OWNER)
    await log.append(run, execution, RunStarted())
    for stored in replayed.events:
        log.post(run, execution, stored.event)
    await runs.finish(run, result.status, result.judge, result.model_dump_json())
    await log.append(run, execution, finished_event(result))
