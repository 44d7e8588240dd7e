"""Replaying a run: the same graph, driven by what was recorded, in memory and in a temporary folder.

Owns `play`. No model, no sandbox, no network, no data directory: what a step is given comes from the recording, and the
files it began with are put on disk again for as long as the replay takes.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from infrastructure.checkpoints import serializer_of
from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.events.log import Stored, as_stored
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import RunId, new_run_id
from infrastructure.replaying.answering import Answers, NoModel, NoSandbox, RecordedTools, ReplayScope
from infrastructure.replaying.comparing import difference_of
from infrastructure.replaying.following import Diverged, Follower, RecordedFailure
from infrastructure.replaying.racing import RecordedRace
from infrastructure.running.driving import drive, values_of
from infrastructure.running.outcomes import INTERRUPTED_EXIT
from infrastructure.running.recording import Recording
from infrastructure.running.results import Ending, failed, result_of
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.calls import CallTotals
from infrastructure.tasks import RunResult
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.nodes import which
from infrastructure.workflow.ports import ForgetfulRecorder
from infrastructure.workflow.values import STORED_TYPES
from infrastructure.workspace.packing import unpack_snapshot

_NO_LIMIT = BudgetSettings(calls=1 << 40, tokens=1 << 50, seconds=1e12)
"""What a replay may use: where a budget ended the run, the recording says so."""
_PAGE = 1 << 30
STANDSTILL_SECONDS = 30.0
_SETTLING_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay.

    Attributes:
        run: The replay's own id.
        original: The run it repeats.
        result: What came of it; None where the original rests without one.
        events: What happened in it.
        difference: The first that is other than in the recording, in lines; empty where all is equal.
        calls: Questions that were answered from the recording.
        tools: Uses of tools, likewise.
        compared: Events that were compared.
    """

    run: RunId
    original: RunId
    result: RunResult | None
    events: tuple[Stored, ...]
    difference: tuple[str, ...]
    calls: int
    tools: int
    compared: int

    @property
    def equal(self) -> bool:
        """Whether it is the recorded run, to the last byte."""
        return not self.difference


async def play(recording: Recording) -> Replayed:
    """Replay a recorded run, and compare what comes of it.

    Raises:
        WorkspaceError: the recorded files cannot be put on disk.
    """
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="corral-replay-")
    try:
        return await _play(recording, Path(folder.name))
    finally:
        await asyncio.to_thread(folder.cleanup)


async def _play(recording: Recording, trees: Path) -> Replayed:
    run, log, blobs = new_run_id(), MemoryEventLog(), MemoryBlobs()
    graph = compile_codegen_graph(checkpointer=InMemorySaver(serde=serializer_of(STORED_TYPES)))
    budget = Budget(limits=_NO_LIMIT, now=time.monotonic, started=time.monotonic())
    follower = Follower(recording, budget)
    answers = Answers.of(recording, follower)
    await unpack_snapshot(recording.snapshot, trees)
    scope = ReplayScope(
        run=run,
        trees=trees,
        source=NoModel(),
        recorder=ForgetfulRecorder(),
        budget=budget,
        race=RecordedRace(follower),
        sandbox=NoSandbox(),
        blobs=blobs,
        sandbox_settings=recording.setup.sandbox(),
        tools=RecordedTools(answers),
        decided=recording.decided,
        temperature=recording.setup.temperature,
        map_tokens=recording.setup.map_tokens,
        measured=recording.setup.measured,
        may_ask=any(stored.event.node == which.NAME for stored in recording.events),
        seed=recording.setup.seed,
        answers=answers,
    )
    diverged: Diverged | None = None
    ending = Ending()
    try:
        ending = await _drive(recording, graph, scope, log, run)
    except Diverged as error:
        diverged, ending = error, failed(error)
    except RecordedFailure:
        ending = _as_recorded(recording)
    except Exception as error:  # noqa: BLE001 - a run's errors are its result, as in the engine
        ending = failed(error)
    events = tuple(replace(each, event=as_stored(each.event)) for each in await log.read(run, limit=_PAGE))
    result = await result_of(
        run,
        await values_of(graph, run),
        _totals(recording),
        blobs,
        ending,
        seconds=0.0,
        simulated=recording.simulated,
    )
    difference = difference_of(recording, diverged, result, events, answers.unused())
    return Replayed(
        run=run,
        original=recording.run,
        result=None if recording.result is None else result,
        events=events,
        difference=difference,
        calls=sum(1 for _, which, _ in answers.taken if isinstance(which, int)),
        tools=sum(1 for _, which, _ in answers.taken if isinstance(which, str)),
        compared=sum(len(step.events) for steps in follower.course.streams.values() for step in steps),
    )


async def _drive(
    recording: Recording, graph: CodegenGraph, scope: ReplayScope, log: MemoryEventLog, run: RunId
) -> Ending:
    """Drive the graph to its end, or to where the recording breaks off."""
    follower = scope.answers.follower
    driving = asyncio.ensure_future(drive(graph, recording.setup.given(run), scope, log, run, 1))
    broken = asyncio.ensure_future(follower.broken_off())
    try:
        await _wait([driving, broken], log, run)
        if driving.done():
            return _ending(recording, scope, driving.result())
        await _settled(graph, run, len(follower.course.endings))
        return _as_recorded(recording)
    finally:
        for each in (driving, broken):
            each.cancel()
        await asyncio.wait([driving, broken])


async def _wait(tasks: Sequence[asyncio.Future[Any]], log: MemoryEventLog, run: RunId) -> None:
    """Wait for the first; a recording that is at odds with itself could let a replay wait for ever."""
    seen = -1
    while True:
        done, _ = await asyncio.wait(tasks, timeout=STANDSTILL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return
        told = len(await log.read(run, limit=_PAGE))
        if told == seen:
            raise Diverged("the replay", f"nothing has happened for {STANDSTILL_SECONDS:.0f} s; it is given up")
        seen = told


def _ending(recording: Recording, scope: ReplayScope, asked: ApprovalAsked | None) -> Ending:
    """The graph's own end, unless the run was stopped by then, or waits for a person."""
    course = scope.answers.follower.course
    stopped = any(course.cut(key) for key in course.streams if not key.candidate)
    failed_by_itself = recording.result is not None and recording.result.status == "error"
    if asked is None and (not stopped or failed_by_itself):
        return Ending()
    return _as_recorded(recording)


def _as_recorded(recording: Recording) -> Ending:
    """How the recording ends that was broken off from outside, which nothing inside the run could tell."""
    result = recording.result
    if result is None:
        return Ending(status="cancelled", reason=recording.reason, exit_code=INTERRUPTED_EXIT)
    return Ending(status=result.status, reason=result.reason, error=result.error, exit_code=result.exit_code)


async def _settled(graph: CodegenGraph, run: RunId, ended: int) -> None:
    """Wait until the state knows every candidate that has ended, as it did when the run was broken off."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while time.monotonic() < deadline:
        tried = (await values_of(graph, run)).get("tried", ())
        if len(tried) >= ended:  # pyright: ignore[reportArgumentType] - the state's own type is lost in a mapping
            return
        await asyncio.sleep(0.001)


def _totals(recording: Recording) -> CallTotals:
    """What the recorded calls used; which of them were taken is compared apart."""
    calls = recording.calls
    return CallTotals(
        len(calls),
        sum(each.prompt_tokens for each in calls),
        sum(each.completion_tokens for each in calls),
        sum(each.load_seconds + each.prompt_seconds + each.decode_seconds for each in calls),
    )
