"""A recording read from a data directory.

Owns the choice of where a run's files are taken from: its tree while that is there, else what `corral clean` packed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from infrastructure.events.catalogue import TextStreamed
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.running.recording import NotReplayable, Recording
from infrastructure.running.setups import RunSetup
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallReader, RecordedCall
from infrastructure.storage.errors import CorruptBlob, MissingBlob
from infrastructure.storage.recordings import RecordedTool, RecordingReader
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.tasks import RunResult
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.packing import PackedSnapshot, from_bytes, pack_snapshot
from infrastructure.workspace.threads import in_thread

ReadEvents = Callable[[RunId, int], Awaitable[tuple[Stored, ...]]]
"""A page of a run's events after a number."""

_GOING_ON = (RunState.QUEUED, RunState.RUNNING)


async def read_recording(
    record: RunRecord,
    *,
    calls: CallReader,
    recordings: RecordingReader,
    blobs: Blobs,
    events: ReadEvents,
    tree: Path,
) -> Recording:
    """All that a run is replayed from.

    Args:
        record: The run.
        calls: Its questions.
        recordings: What its tools said, and what it began with.
        blobs: The contents that those name.
        events: What happened.
        tree: The folder of its snapshot, if that is still there.

    Raises:
        NotReplayable: it goes on still, an older Corral ran it, it ended before there was anything to replay, or a part
            of it is gone.
    """
    run = record.run
    if record.state in _GOING_ON:
        raise NotReplayable(run, "it goes on still", f"Wait for its end: corral follow {run}.")
    kept = await recordings.of_run(run)
    if kept.replay_of:
        raise NotReplayable(run, f"it is a replay itself, of {kept.replay_of}", f"corral replay {kept.replay_of}")
    if not kept.setup_json:
        raise NotReplayable(
            run, "nothing of what it began with was kept; an older Corral ran it, or it never began", "Run it again."
        )
    asked, used = await calls.of_run(run), await recordings.tools_of(run)
    return Recording(
        run=run,
        setup=_setup(run, kept.setup_json),
        calls=asked,
        tools=used,
        contents=await _contents(run, asked, used, blobs),
        events=await _all(run, events),
        snapshot=await _snapshot(run, kept.snapshot, blobs, tree),
        state=record.state,
        reason=record.reason,
        result=RunResult.model_validate_json(record.result_json) if record.result_json else None,
    )


def _setup(run: RunId, text: str) -> RunSetup:
    try:
        return RunSetup.model_validate_json(text)
    except ValidationError as error:
        why = "what it began with cannot be read; a newer Corral may have run it"
        raise NotReplayable(run, why, "Update Corral.") from error


async def _contents(
    run: RunId, calls: Iterable[RecordedCall], tools: Iterable[RecordedTool], blobs: Blobs
) -> dict[str, bytes]:
    wanted = {call.request_blob for call in calls}
    for tool in tools:
        wanted |= {tool.request_blob, tool.answer_blob}
    try:
        return {sha: await blobs.get(sha) for sha in sorted(wanted)}
    except (MissingBlob, CorruptBlob) as error:
        raise NotReplayable(run, f"a part of it is gone: {error}", "Run it again.") from error


async def _all(run: RunId, events: ReadEvents) -> tuple[Stored, ...]:
    found: list[Stored] = []
    after = 0
    while page := await events(run, after):
        found += [stored for stored in page if not isinstance(stored.event, TextStreamed)]
        after = page[-1].seq
    return tuple(found)


async def _snapshot(run: RunId, packed: str, blobs: Blobs, tree: Path) -> PackedSnapshot:
    try:
        if packed:
            stored = await blobs.get(packed)
            return await in_thread(lambda _: from_bytes(stored))
        return await pack_snapshot(tree)
    except (WorkspaceError, MissingBlob, CorruptBlob) as error:
        raise NotReplayable(run, f"the files it began with are gone: {error}", "Run it again.") from error
