"""How a step asks a model: recorded, counted, watched.

Owns `StepModel`, the `LanguageModel` a role is handed: it takes a recorded answer where there is one, counts the
budget, makes the question fit the window, turns the pool's updates and the stream into events, and records the answer
before anybody uses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import partial

from agents.errors import AgentError
from agents.fitting import Draft, Fitted, Room, Section, plain
from agents.model import Completion, LanguageModel, Message, Question, Tool, ToolCall
from agents.trimming import said
from infrastructure.events.catalogue import (
    CallBegan,
    CallCompleted,
    CallDoubted,
    CallFailed,
    CallPlaced,
    CallQueued,
    CallReplayed,
    CallRestarted,
    CallWaiting,
    Event,
    Noted,
    PromptTrimmed,
    TextStreamed,
)
from infrastructure.local_llm import Delta, Restarted, TextDelta
from infrastructure.pool.calls import Call, CallUpdate, Watch
from infrastructure.pool.errors import PoolError
from infrastructure.pool.states import CallState
from infrastructure.transport.errors import ContextExceeded, OllamaError
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.idle import ask_when_idle
from infrastructure.workflow.ports import Answered, CallRecorder, ModelSource, Sent, StepKey
from infrastructure.workflow.race import Turn
from infrastructure.workflow.runaway import AnswerStopped, StreamGuard

MOST_REFUSALS = 3
"""So often a question is made smaller because a server counts more tokens than was thought."""
CHARACTERS_A_TOKEN = 4
"""By which the tokens of an answer are estimated that no server has counted."""
MERGE_SECONDS = 0.05
"""Pieces of text that arrive within this time become one event."""

_NAMES = {kind: tuple(each.name for each in fields(kind)) for kind in (Question, Message, Tool, ToolCall)}

Emit = Callable[[Event], None]


def question_sha(question: Question, model: str) -> str:
    """SHA-256 over all that decides an answer.

    Of a draft in its whole form: how much of it is sent depends on what the pool has learned by then, and a step that
    runs again after a crash is to find its answer all the same.
    """
    asked = plain(question)
    said_of = {
        **_fields_of(asked),
        "messages": [_said(message) for message in asked.messages],
        "tools": [_fields_of(tool) for tool in asked.tools],
    }
    # ASCII, since a file name in a prompt may hold bytes that UTF-8 cannot say.
    said = json.dumps([model, said_of], sort_keys=True, default=str)
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def _said(message: Message) -> dict[str, object]:
    said = {**_fields_of(message), "tool_calls": [_fields_of(call) for call in message.tool_calls]}
    if not message.images:  # answers were recorded before there were any
        del said["images"]
    return said


def _fields_of(value: Question | Message | Tool | ToolCall) -> dict[str, object]:
    """As `asdict`, which would copy all that is within: of the tools' schemas, that took longer than all else here."""
    return {name: getattr(value, name) for name in _NAMES[type(value)]}


class StepModel(LanguageModel):
    """A language model bound to one step of one run."""

    def __init__(
        self,
        *,
        role: str,
        step: str,
        call: Call,
        source: ModelSource,
        recorder: CallRecorder,
        budget: Budget,
        emit: Emit,
        turn: Turn | None = None,
    ) -> None:
        self._role = role
        self._step = step
        self._call = call
        self._source = source
        self._recorder = recorder
        self._budget = budget
        self._emit = emit
        self._turn = turn
        self._asked = 0

    async def answer(self, question: Question) -> Completion:
        """Take the recorded answer, or ask, record, and only then return.

        Raises:
            BudgetExhausted: nothing was sent.
            OllamaError: what the server or the wire did.
            PoolError: what the pool refused.
        """
        sha = question_sha(question, self._source.model_of(self._role))
        key = StepKey(step=self._step, ordinal=self._asked, request_sha=sha)
        self._asked += 1
        call_id = f"{key.step}#{key.ordinal}"
        known = await self._recorder.recall(key)
        if known is not None:
            self._begins()
            self._emit(CallReplayed(call=call_id, role=self._role, answer_sha=_text_sha(known)))
            return known
        self._budget.begin_call()
        answered, sent = await self._ask_fitting(call_id, question)
        answered = replace(answered, sent=sent)
        await self._recorder.record(key, self._role, sent.fitted.question, answered)
        completion = answered.completion
        self._budget.end_call(completion.prompt_tokens + completion.completion_tokens, answered.gpu_seconds)
        self._emit(_completed(call_id, self._role, sha, answered))
        if answered.doubted:
            self._emit(_doubted(call_id, self._role, answered, sent))
        return completion

    async def _ask_fitting(self, call_id: str, question: Question) -> tuple[Answered, Sent]:
        """Ask with as much of the question as fits; where a server counts more than was thought, with less of it."""
        try:
            sent = await self._sent(call_id, question)
            while True:
                try:
                    return await self._ask(call_id, sent.fitted.question), sent
                except ContextExceeded as refusal:
                    sent = await self._sent_after(call_id, question, sent, refusal)
        except (OllamaError, PoolError, AgentError) as error:
            failed = CallFailed(
                call=call_id, role=self._role, error_class=type(error).__name__, error_message=str(error)
            )
            self._emit(failed)
            raise

    async def _sent(self, call_id: str, question: Question) -> Sent:
        if not isinstance(question, Draft):
            return Sent(fitted=_as_it_is(question))
        room = await self._source.room(self._role)
        return self._told(call_id, Sent(fitted=await _fitted(question, room), room=room))

    async def _sent_after(self, call_id: str, question: Question, sent: Sent, refusal: ContextExceeded) -> Sent:
        """What is sent after a refusal; raises it again where that would not help."""
        if not isinstance(question, Draft) or sent.room is None or sent.refusals >= MOST_REFUSALS:
            raise refusal
        room = sent.room.after_refusal(sent.fitted.tokens, refusal.prompt_tokens, refusal.window)
        self._emit(CallRestarted(call=call_id, role=self._role, reason=str(refusal)))
        return self._told(call_id, Sent(fitted=await _fitted(question, room), room=room, refusals=sent.refusals + 1))

    def _told(self, call_id: str, sent: Sent) -> Sent:
        if sent.fitted.trimmed:
            cuts = tuple(said(cut) for cut in sent.fitted.trimmed)
            self._emit(PromptTrimmed(call=call_id, role=self._role, cuts=cuts, tokens=sent.fitted.tokens))
        return sent

    async def _ask(self, call_id: str, question: Question) -> Answered:
        stream = _Stream(call_id, self._role, self._emit)
        tell = partial(_tell, call_id, self._role, self._source.model_of(self._role), self._emit)
        placed = self._budget.now()

        def watch(update: CallUpdate) -> None:
            nonlocal placed
            if update.state is CallState.PLACED:
                placed = self._budget.now()
                self._begins()
            tell(update)

        def ask(call: Call, watch: Watch) -> Awaitable[Answered]:
            return self._source.ask(self._role, question, call, stream.feed, watch)

        clock = asyncio.timeout(self._budget.seconds_left())
        try:
            async with clock:
                if self._turn is None:
                    return await ask(self._call, watch)
                return await ask_when_idle(ask, self._call, watch, self._turn.leads)
        except AnswerStopped as stopped:
            self._emit(Noted(text=stopped.told(self._role)))
            return self._stopped(stopped, self._budget.now() - placed)
        except TimeoutError:
            if clock.expired():
                self._budget.end_seconds()
            raise
        finally:
            stream.flush()

    def _stopped(self, stopped: AnswerStopped, seconds: float) -> Answered:
        """What had come of an answer that was given up: it counts as one, since the model has worked for it.

        No server says how long that took, so all the time since it was placed counts as writing.
        """
        text, thinking = stopped.text, stopped.thinking
        tokens = (len(text) + len(thinking)) // CHARACTERS_A_TOKEN
        model = self._source.model_of(self._role)
        said = Completion(text, thinking, finish=stopped.reason, completion_tokens=tokens, model=model)
        return Answered(completion=said, decode_seconds=seconds)

    def _begins(self) -> None:
        if self._turn is not None:
            self._turn.begins()


class _Stream:
    """Merges what streams in, so that the log sees at most twenty events a second of one call."""

    def __init__(self, call_id: str, role: str, emit: Emit) -> None:
        self._call = call_id
        self._role = role
        self._emit = emit
        self._parts: list[str] = []
        self._thinking = False
        self._begin_anew()
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            self._parts.clear()
            self._begin_anew()
            self._emit(CallRestarted(call=self._call, role=self._role, reason=delta.reason))
            return
        thinking = not isinstance(delta, TextDelta)
        if thinking is not self._thinking:
            self.flush()
            self._thinking = thinking
        self._parts.append(delta.text)
        self._keep(delta.text, thinking=thinking)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MERGE_SECONDS, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._parts:
            text = "".join(self._parts)
            self._parts.clear()
            self._emit(TextStreamed(call=self._call, role=self._role, text=text, thinking=self._thinking))

    def _begin_anew(self) -> None:
        self._guard = StreamGuard()
        self._said: dict[bool, list[str]] = {False: [], True: []}

    def _keep(self, text: str, *, thinking: bool) -> None:
        self._said[thinking].append(text)
        if runaway := self._guard.feed(text, thinking=thinking):
            raise AnswerStopped(runaway, "".join(self._said[False]), "".join(self._said[True]))


def _tell(call_id: str, role: str, model: str, emit: Emit, update: CallUpdate) -> None:
    match update.state:
        case CallState.QUEUED:
            emit(CallQueued(call=call_id, role=role, model=model, ahead=update.position or 0))
        case CallState.PLACED:
            emit(CallPlaced(call=call_id, role=role, server=update.server or ""))
        case CallState.WAITING:
            emit(CallWaiting(call=call_id, role=role, server=update.server or "", loading=update.loaded is False))
        case CallState.STREAMING:
            emit(CallBegan(call=call_id, role=role, server=update.server or "", seconds=round(update.seconds, 3)))
        case _:
            return


def _completed(call_id: str, role: str, sha: str, answered: Answered) -> CallCompleted:
    completion = answered.completion
    return CallCompleted(
        call=call_id,
        role=role,
        model=completion.model,
        server=answered.server,
        prompt_sha=sha,
        answer_sha=_text_sha(completion),
        finish=completion.finish,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        queued_seconds=answered.queued_seconds,
        load_seconds=answered.load_seconds,
        prompt_seconds=answered.prompt_seconds,
        decode_seconds=answered.decode_seconds,
    )


def _doubted(call_id: str, role: str, answered: Answered, sent: Sent) -> CallDoubted:
    return CallDoubted(
        call=call_id,
        role=role,
        server=answered.server,
        estimated_tokens=sent.fitted.tokens,
        prompt_tokens=answered.completion.prompt_tokens,
    )


async def _fitted(draft: Draft, room: Room) -> Fitted:
    """In a thread: a long prompt is put together some twenty times, which takes a tenth of a second."""
    return await asyncio.to_thread(draft.fit, room)


def _as_it_is(question: Question) -> Fitted:
    """A question that nobody can make smaller; its sections are its messages."""
    bound = question.options.get("num_predict")
    return Fitted(
        question=question,
        sections=tuple(Section(message.role, message.content) for message in question.messages),
        tokens=0,
        answer=bound if isinstance(bound, int) else -1,
    )


def _text_sha(completion: Completion) -> str:
    return hashlib.sha256(completion.text.encode("utf-8", "surrogatepass")).hexdigest()
