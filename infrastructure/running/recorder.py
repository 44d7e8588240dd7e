"""Recorded calls: the workflow's `CallRecorder` over the call store and the content store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from agents.model import Completion, Question, ToolCall
from infrastructure.ids import RunId
from infrastructure.running.xray import dump_xray
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallStore, RecordedCall
from infrastructure.workflow.ports import Answered, CallRecorder, StepKey


@dataclass(frozen=True, slots=True)
class StoredRecorder(CallRecorder):
    """Keeps a run's questions and answers on disk. The question as it was sent is a blob, the answer a row."""

    run: RunId
    calls: CallStore
    blobs: Blobs

    async def recall(self, key: StepKey) -> Completion | None:
        """The recorded answer to exactly this question of this step."""
        found = await self.calls.find(self.run, key.step, key.ordinal, key.request_sha)
        return None if found is None else _completion(found.answer_json)

    async def record(self, key: StepKey, role: str, question: Question, answered: Answered) -> None:
        """Keep an answer; it is on disk when this returns."""
        ended = datetime.now(UTC)
        request = await self.blobs.put(_json(asdict(question)).encode("ascii"))
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
                xray_json=dump_xray(answered),
            )
        )


def _json(fields: dict[str, object]) -> str:
    """In ASCII: a prompt may name a file whose name UTF-8 cannot say."""
    return json.dumps(fields, default=dict)


def _completion(stored: str) -> Completion:
    fields = json.loads(stored)
    calls = tuple(ToolCall(**call) for call in fields.pop("tool_calls"))
    return Completion(**fields, tool_calls=calls)
