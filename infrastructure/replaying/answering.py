"""What a replay's steps are given instead of a model, a sandbox and the tools: what was recorded.

Owns the comparison of a question with the recorded one, and the telling of where they differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from agents.fitting import Room
from agents.model import Completion, LanguageModel, Question
from infrastructure.events.catalogue import CallCompleted, CallFailed, Event, Noted
from infrastructure.pool.calls import Call, Watch
from infrastructure.replaying.following import Diverged, Follower, recorded_failure
from infrastructure.running.recorder import completion_of, question_bytes
from infrastructure.running.recording import Recording
from infrastructure.sandbox import Check, Command, Execution, Level, Sandbox
from infrastructure.storage.blobs import sha_of
from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.recordings import RecordedTool
from infrastructure.workflow.asking import question_sha
from infrastructure.workflow.ports import Answered, ModelSource, OnDelta, ToolAnswer, ToolKey, ToolRecorder
from infrastructure.workflow.race import Place
from infrastructure.workflow.runaway import stop_told
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.trying import asked_for, same_request

_LINE = 200
"""Characters shown of a line that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The recorded answers of a run, and which of them were taken."""

    recording: Recording
    follower: Follower
    calls: Mapping[tuple[str, int], Sequence[RecordedCall]]
    tools: Mapping[tuple[str, str], Sequence[RecordedTool]]
    taken: set[tuple[str, object, str]]

    @classmethod
    def of(cls, recording: Recording, follower: Follower) -> Answers:
        """All of a recording, by the place where they were asked for."""
        calls: dict[tuple[str, int], list[RecordedCall]] = {}
        for call in recording.calls:
            calls.setdefault((call.step, call.ordinal), []).append(call)
        tools: dict[tuple[str, str], list[RecordedTool]] = {}
        for tool in recording.tools:
            tools.setdefault((tool.step, tool.name), []).append(tool)
        return cls(recording=recording, follower=follower, calls=calls, tools=tools, taken=set())

    def unused(self) -> tuple[str, ...]:
        """What was recorded and not asked for, where nothing else was taken in its place."""
        places = {(step, which) for step, which, _ in self.taken}
        left = [f"{step}#{number}" for step, number in self.calls if (step, number) not in places]
        return (*left, *(f"{step} ({name})" for step, name in self.tools if (step, name) not in places))


class RecordedModel(LanguageModel):
    """Answers one step's questions as they were answered."""

    def __init__(self, answers: Answers, role: str, step: str, emit: Callable[[Event], None]) -> None:
        self._answers, self._role, self._step, self._emit = answers, role, step, emit
        self._asked = 0

    async def answer(self, question: Question) -> Completion:
        """The recorded answer.

        Raises:
            Diverged: the question is not the recorded one, or none was asked here.
            BudgetExhausted, RecordedFailure: as it was in the recording.
        """
        ordinal, self._asked = self._asked, self._asked + 1
        recorded = self._answers.calls.get((self._step, ordinal), ())
        found = next((call for call in recorded if self._is(call, question)), None)
        name = f"{self._step}#{ordinal}"
        if found is None:
            await self._unknown(name, question, recorded)
        self._answers.taken.add((self._step, ordinal, found.request_sha))
        completion = completion_of(found.answer_json)
        if stopped := stop_told(self._role, completion.finish):
            self._emit(Noted(text=stopped))
        self._emit(_completed(name, found, completion))
        return completion

    def _is(self, call: RecordedCall, question: Question) -> bool:
        """Whether this is the question: by its text, or by the sum over it and its lane."""
        if sha_of(question_bytes(question)) == call.request_blob:
            return True
        lane = self._answers.recording.setup.lanes.get(self._role)
        return lane is not None and question_sha(question, lane) == call.request_sha

    async def _unknown(self, name: str, question: Question, recorded: Sequence[RecordedCall]) -> NoReturn:
        follower = self._answers.follower
        if recorded:
            before = self._answers.recording.contents.get(recorded[-1].request_blob, b"")
            difference = first_difference(_lines(before), _lines(question_bytes(question)))
            raise Diverged(name, f"the {self._role} is asked another question than in the recording", difference)
        failed = follower.now().call_failed(name)
        if failed is not None:
            self._emit(CallFailed(**failed.model_dump(include={"call", "role", "error_class", "error_message"})))
            raise recorded_failure(failed.error_class, failed.error_message)
        why = f"the {self._role} is asked a question that the recording does not have"
        await follower.unknown(Diverged(name, why, tuple(_lines(question_bytes(question))[-1:])))


@dataclass(frozen=True, slots=True)
class RecordedTools(ToolRecorder):
    """Says what the tools said. Nothing is ever carried out."""

    answers: Answers

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        """The recorded answer; never None.

        Raises:
            Diverged: the request is not the recorded one, or none was made here.
            BudgetExhausted, RecordedFailure: as it was in the recording.
        """
        recorded = self.answers.tools.get((key.step, key.name), ())
        contents = self.answers.recording.contents
        found = next((tool for tool in recorded if same_request(contents[tool.request_blob], request)), None)
        name = f"{key.step} ({key.name})"
        if found is None and recorded:
            before = contents[recorded[-1].request_blob]
            difference = first_difference(_fields(before), _fields(request))
            raise Diverged(name, "the tool is asked for something else than in the recording", difference)
        if found is None:
            await self.answers.follower.unknown(Diverged(name, "the recording has no such use of a tool"))
        self.answers.taken.add((key.step, key.name, found.request_sha))
        content = contents[found.answer_blob]
        return ToolAnswer(content=content, started=found.started, ended=found.ended, sandbox=found.sandbox)

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        """Nothing is recorded, since nothing is carried out."""
        raise AssertionError("a replay carries no tool out")


class NoModel(ModelSource):
    """Asks nobody: every question of a replay is answered before it gets here."""

    def model_of(self, role: str) -> str:
        """No model."""
        return ""

    async def room(self, role: str) -> Room:
        """Refused."""
        raise AssertionError("a replay asks no model, so nothing has to fit")

    async def ask(self, role: str, question: Question, call: Call, on_delta: OnDelta, watch: Watch) -> Answered:
        """Refused."""
        raise AssertionError("a replay asks no model")


class NoSandbox(Sandbox):
    """Runs nothing."""

    @property
    def level(self) -> Level:
        """Nothing is held."""
        return Level.NONE

    async def run(self, command: Command) -> Execution:
        """Refused."""
        raise AssertionError("a replay runs no command")

    async def self_check(self) -> tuple[Check, ...]:
        """There is nothing to check."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayScope(RunScope):
    """What the steps of a replay act with."""

    answers: Answers

    async def enter(self, node: str, round_number: int, candidate: int | None) -> str | None:
        """Told of each step before it begins."""
        return await self.answers.follower.enter(node, round_number, candidate)

    def model(self, role: str, step: str, emit: Callable[[Event], None], place: Place | None = None) -> LanguageModel:
        """The recorded answers of a step."""
        return self.tempered(RecordedModel(self.answers, role, step, emit))


def first_difference(before: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """The first line in which two texts differ, with its number, as a person is shown it; empty where none does."""
    for number in range(max(len(before), len(now))):
        old = before[number] if number < len(before) else None
        new = now[number] if number < len(now) else None
        if old != new:
            return (f"line {number + 1}", f"  recorded: {_shown(old, new)}", f"  now:      {_shown(new, old)}")
    return ()


def _shown(line: str | None, other: str | None) -> str:
    """A line; of a long one, the part where it begins to differ."""
    if line is None:
        return "(nothing: the text ends before)"
    if len(line) <= _LINE:
        return line
    other = other or ""
    same = next((at for at, (left, right) in enumerate(zip(line, other, strict=False)) if left != right), len(other))
    begin = max(0, min(same, len(line)) - _LINE // 4)
    return ("…" if begin else "") + line[begin : begin + _LINE] + ("…" if begin + _LINE < len(line) else "")


def _lines(question: bytes) -> list[str]:
    """A question as lines: first how it is asked, then what is said."""
    try:
        fields = cast("dict[str, Any]", json.loads(question))
        messages = cast("list[dict[str, Any]]", fields.pop("messages"))
    except (ValueError, KeyError, AttributeError):
        return [question.decode("utf-8", "replace")]
    lines = [f"{name}: {json.dumps(value, sort_keys=True)}" for name, value in sorted(fields.items())]
    for message in messages:
        lines += [f"[{message.get('role')}]", *str(message.get("content", "")).split("\n")]
    return lines


def _fields(request: bytes) -> list[str]:
    return [f"{name}: {json.dumps(value, sort_keys=True)}" for name, value in sorted(asked_for(request).items())]


def _completed(name: str, call: RecordedCall, completion: Completion) -> CallCompleted:
    return CallCompleted(
        call=name,
        role=call.role,
        model=completion.model,
        server=call.server,
        prompt_sha=call.request_sha,
        answer_sha=sha_of(completion.text.encode("utf-8", "surrogatepass")),
        finish=completion.finish,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        queued_seconds=call.queued_seconds,
        load_seconds=call.load_seconds,
        prompt_seconds=call.prompt_seconds,
        decode_seconds=call.decode_seconds,
    )
