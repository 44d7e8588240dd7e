"""A run that begins as another one did, and goes its own way from a step on.

Owns what is taken from the other run: its files, and every answer that was there when the step began. Those are taken
by their place, not by their question, so that a change (another task, another model) applies from the step on. What is
taken is copied into the new run, so that it can be replayed as any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from agents.model import Completion, Question
from infrastructure.events.catalogue import ApprovalGiven
from infrastructure.running.ordering import Order
from infrastructure.running.recorder import StoredRecorder, StoredTools, completion_of
from infrastructure.running.recording import Recording
from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.recordings import RecordedTool
from infrastructure.storage.steps import steps_of
from infrastructure.tasks import Fork
from infrastructure.workflow.ports import Answered, CallRecorder, StepKey, ToolAnswer, ToolKey, ToolRecorder
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.trying import same_request
from infrastructure.workspace.errors import SnapshotUnfinished
from infrastructure.workspace.packing import unpack_snapshot
from infrastructure.workspace.snapshot import load_snapshot

ReadRun = Callable[[str], Awaitable[Recording]]


class UnknownStep(Exception):
    """The run has no such step. `hint` says which there are."""

    def __init__(self, run: str, step: str, known: tuple[str, ...]) -> None:
        super().__init__(f"run {run} has no step {step!r}")
        self.hint = f"It has: {', '.join(known) or 'none'}. `corral show {run} --steps` tells more of each."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What was there of a run when one of its steps began."""

    calls: Mapping[tuple[str, int], RecordedCall]
    tools: Mapping[tuple[str, str], RecordedTool]
    contents: Mapping[str, bytes]
    decided: Mapping[str, tuple[bool, str]]


def prefix_of(recording: Recording, step: str) -> Prefix:
    """What was answered before a step asked for the first time.

    Raises:
        UnknownStep: the run has no such step.
    """
    steps = steps_of(recording.calls, recording.tools)
    if all(each.step != step for each in steps):
        raise UnknownStep(recording.run, step, tuple(each.step for each in steps))
    order = Order(recording.events)
    began = order.began(step)

    def before(seq: int | None) -> bool:
        return began is None or (seq is not None and seq < began)

    calls = [each for each in recording.calls if each.step != step and before(order.answered(each.step, each.ordinal))]
    tools = [each for each in recording.tools if each.step != step and before(order.ended(each.step))]
    return Prefix(
        calls={(each.step, each.ordinal): each for each in calls},
        tools={(each.step, each.name): each for each in tools},
        contents=recording.contents,
        decided={
            stored.event.approval: (stored.event.approved, stored.event.reason)
            for stored in recording.events
            if isinstance(stored.event, ApprovalGiven) and before(stored.seq)
        },
    )


async def forked(scope: RunScope, fork: Fork, read: ReadRun) -> RunScope:
    """A run's scope, with what it takes from the run that it was forked from.

    Raises:
        UnknownRun, NotReplayable, UnknownStep: there is nothing to take.
        WorkspaceError: its files cannot be put on disk.
    """
    recording = await read(fork.run)
    prefix = prefix_of(recording, fork.step)
    try:
        await load_snapshot(scope.trees)
    except SnapshotUnfinished:
        await unpack_snapshot(recording.snapshot, scope.trees)
    recorder, tools = scope.recorder, scope.tools
    if isinstance(recorder, StoredRecorder) and isinstance(tools, StoredTools):
        recorder, tools = ForkedRecorder(recorder, prefix), ForkedTools(tools, prefix)
    return replace(scope, recorder=recorder, tools=tools, decided=prefix.decided, temperature=fork.temperature)


@dataclass(frozen=True, slots=True)
class ForkedRecorder(CallRecorder):
    """A run's own answers, and before its fork the other run's."""

    own: StoredRecorder
    prefix: Prefix

    async def recall(self, key: StepKey) -> Completion | None:
        """The answer at this place."""
        known = await self.own.recall(key)
        taken = self.prefix.calls.get((key.step, key.ordinal))
        if known is not None or taken is None:
            return known
        await self.own.calls.record(replace(taken, run=self.own.run, request_sha=key.request_sha))
        return completion_of(taken.answer_json)

    async def record(self, key: StepKey, role: str, question: Question, answered: Answered) -> None:
        """Keep an answer."""
        await self.own.record(key, role, question, answered)


@dataclass(frozen=True, slots=True)
class ForkedTools(ToolRecorder):
    """What a run's own tools said, and before its fork the other run's, where they were asked for the same."""

    own: StoredTools
    prefix: Prefix

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        """What was said at this place."""
        known = await self.own.recall(key, request)
        taken = self.prefix.tools.get((key.step, key.name))
        if known is not None or taken is None:
            return known
        contents = self.prefix.contents
        if not same_request(contents[taken.request_blob], request):
            return None
        answer = ToolAnswer(
            content=contents[taken.answer_blob], started=taken.started, ended=taken.ended, sandbox=taken.sandbox
        )
        await self.own.record(key, request, answer)
        return answer

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        """Keep what was said."""
        await self.own.record(key, request, answer)
