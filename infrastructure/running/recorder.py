"""Recorded calls and tools: the workflow's recorders over the stores and the content store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from agents.fitting import plain
from agents.model import Completion, Question, ToolCall
from infrastructure.ids import RunId
from infrastructure.running.xray import dump_xray
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallStore, RecordedCall
from infrastructure.storage.recordings import RecordedTool, RecordingStore
from infrastructure.workflow.ports import Answered, CallRecorder, StepKey, ToolAnswer, ToolKey, ToolRecorder


@dataclass(frozen=True, slots=True)
class StoredRecorder(CallRecorder):
    """Keeps a run's questions and answers on disk. The question as it was sent is a blob, the answer a row."""

    run: RunId
    calls: CallStore
    blobs: Blobs

    async def recall(self, key: StepKey) -> Completion | None:
        """The recorded answer to exactly this question of this step."""
        found = await self.calls.find(self.run, key.step, key.ordinal, key.request_sha)
        return None if found is None else completion_of(found.answer_json)

    async def record(self, key: StepKey, role: str, question: Question, answered: Answered) -> None:
        """Keep an answer; it is on disk when this returns."""
        ended = datetime.now(UTC)
        request = await self.blobs.put(question_bytes(question))
        completion = answered.completion
        await self.calls.record(
            RecordedCall(
                run=self.run,
                step=key.step,
                ordinal=key.ordinal,
                request_sha=key.request_sha,
                role=role,
                request_blob=request,
                answer_json=_json(asdict(completion)),
                model=completion.model,
                server=answered.server,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
                started=answered.started or ended,
                ended=ended,
                queued_seconds=answered.queued_seconds,
                load_seconds=answered.load_seconds,
                prompt_seconds=answered.prompt_seconds,
                decode_seconds=answered.decode_seconds,
                xray_json=dump_xray(answered),
            )
        )


@dataclass(frozen=True, slots=True)
class StoredTools(ToolRecorder):
    """Keeps what a run's tools were asked and said: both as blobs, named by a row."""

    run: RunId
    recordings: RecordingStore
    blobs: Blobs

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        """What was said to exactly this request of this step."""
        found = await self.recordings.find_tool(self.run, key.step, key.name, key.request_sha)
        if found is None:
            return None
        content = await self.blobs.get(found.answer_blob)
        return ToolAnswer(content=content, started=found.started, ended=found.ended, sandbox=found.sandbox)

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        """Keep what was said; it is on disk when this returns."""
        await self.recordings.record_tool(
            RecordedTool(
                run=self.run,
                step=key.step,
                name=key.name,
                request_sha=key.request_sha,
                request_blob=await self.blobs.put(request),
                answer_blob=await self.blobs.put(answer.content),
                sandbox=answer.sandbox,
                started=answer.started,
                ended=answer.ended,
            )
        )


def question_bytes(question: Question) -> bytes:
    """A question as it is kept: JSON."""
    return _json(asdict(plain(question))).encode("ascii")


def _json(fields: dict[str, object]) -> str:
    """In ASCII: a prompt may name a file whose name UTF-8 cannot say."""
    return json.dumps(fields, default=dict)


def completion_of(stored: str) -> Completion:
    """An answer from its stored form."""
    fields = json.loads(stored)
    calls = tuple(ToolCall(**call) for call in fields.pop("tool_calls"))
    return Completion(**fields, tool_calls=calls)
