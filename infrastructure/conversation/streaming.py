"""A model that speaks in a session: its answer in pieces, its calls, and the one append that makes it a message.

Owns `LLMStreamService`. An answer is asked for as every question is (`workflow.asking`: watched, told as events, given
up where it runs away); here its pieces become chunks, its calls get ids, those that were printed as text are read out
of it, and the whole is written before the last chunk. Closing the stream stops the generation and writes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from agents.conversation.chunks import StreamChunk
from agents.conversation.plain_tools import told_in_text
from agents.conversation.ports import SessionPort, Speaker, StreamService
from agents.conversation.roster import MOST_TOOLS
from agents.fitting import LEAST_ANSWER_SHARE, Room
from agents.model import Completion, Message, Question, Tool, ToolCall
from infrastructure.config.settings import BudgetSettings
from infrastructure.conversation.errors import HistoryTooLong, NoAnswer
from infrastructure.conversation.ports import Announce, ReadCalls, Recovered, Toolbox
from infrastructure.events.catalogue import AnyEvent, CallRestarted, Event, TextStreamed
from infrastructure.ids import new_id
from infrastructure.pool.calls import Call
from infrastructure.pool.states import Band
from infrastructure.transport.errors import ContextExceeded, RequestRefused
from infrastructure.workflow.asking import StepModel
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.ports import ForgetfulRecorder, ModelSource

CLIENT = "session"
"""For whom the pool is asked."""
UNREADABLE = "unreadable_call"
"""The name of a call that was printed as text and could not be read; `problem` in its arguments says why."""
_GIVEN_UP = {
    "repeated": "it repeated itself without end",
    "thinking": "it only thought",
}
_NO_TOOLS = "does not support tools"
"""A server's words for a model whose template has no place for them."""
_EMPTY = "it said nothing and called nothing"
_DROPPED = "the server dropped what it wrote, as it does with a call of a tool that was not offered"
"""Ollama 0.32.15 passes on neither such a call nor its text where a Modelfile's template shows how calls look."""
_DROPPED_TOLD = (
    "(From Corral, not from the person.)\n"
    "What you wrote did not come through: as a rule it was a call of a tool that you do not have now, or a call that "
    "was not finished. Call only the tools you were given, or answer in words."
)
ONE_ANSWER = BudgetSettings(calls=2, tokens=1 << 40, seconds=7 * 86_400)
"""Of an answer and one more try; what bounds a turn is counted elsewhere."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as it is written."""

    message: Message
    changed: bool
    """Whether its text is another than what was streamed."""


class LLMStreamService(StreamService):
    """Streams answers of agents over a source of models. Stateless: any number of answers at once.

    Args:
        source: Who answers an agent; the pool, or a script.
        tools: Of sessions.
        announce: Where events go.
        read_calls: Reads calls that were printed as text.
    """

    def __init__(self, source: ModelSource, tools: Toolbox, announce: Announce, read_calls: ReadCalls) -> None:
        self._source = source
        self._tools = tools
        self._announce = announce
        self._read_calls = read_calls
        self._speaker = Speaker()
        self._without_tools: set[str] = set()

    def bound(self, speaker: Speaker) -> LLMStreamService:
        """The same service for one answer of one agent."""
        other = LLMStreamService(self._source, self._tools, self._announce, self._read_calls)
        other._speaker = replace(speaker, key=speaker.key or new_id())
        other._without_tools = self._without_tools  # what one answer has found out, the others know
        return other

    async def stream_response(
        self, session_id: str, history: Sequence[Message], allowed_tools: Sequence[str], session_mgr: SessionPort
    ) -> AsyncGenerator[StreamChunk, None]:
        """Stream one answer to these messages, and append it.

        Raises:
            HistoryTooLong: it would not fit into the window; nothing was sent, or the server refused it.
            NoAnswer: twice nothing came that can be used.
            OllamaError: the call could not be carried out.
        """
        sheets = self._tools.offered(session_id, allowed_tools, MOST_TOOLS)
        question = await self._fitting(tuple(history), tuple(sheet.tool for sheet in sheets))
        pieces: asyncio.Queue[StreamChunk | None] = asyncio.Queue()
        asking = asyncio.create_task(self._asked(session_id, question, pieces))
        asking.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            answer = await asking
        finally:
            await _stopped(asking)
        if answer.changed:
            yield self._chunk("restarted")
            if answer.message.content:
                yield self._chunk("text", text=answer.message.content)
        number = await session_mgr.append_message(
            session_id, answer.message, agent=self._speaker.agent, key=self._speaker.key
        )
        for call in answer.message.tool_calls:
            yield self._chunk("tool_call", call=call.id or "", tool=call.name, arguments=call.arguments)
        yield self._chunk("text", message=number)

    def _chunk(self, kind: str, **fields: object) -> StreamChunk:
        return StreamChunk(kind=kind, agent=self._speaker.agent, **fields)  # pyright: ignore[reportArgumentType]

    async def _fitting(self, messages: tuple[Message, ...], tools: tuple[Tool, ...]) -> Question:
        """The question, its answer bounded by what it leaves of the window."""
        speaker = self._speaker
        question = Question(messages=messages, tools=tools, think=speaker.think, options=speaker.options)
        room = await self._source.room(speaker.agent)
        tokens = room.tokens(question)
        wanted = speaker.options.get("num_predict")
        limit = room.prompt_limit(wanted if isinstance(wanted, int) else -1)
        if tokens > limit:
            raise HistoryTooLong(speaker.agent, room.window, tokens)
        if isinstance(wanted, int) and wanted >= 0:
            return replace(question, options={**question.options, "num_predict": _bounded(wanted, tokens, room)})
        return question

    async def _asked(self, session: str, question: Question, pieces: asyncio.Queue[StreamChunk | None]) -> _Answer:
        """Ask, and once more where nothing came that can be used."""
        why = ""
        for attempt in (1, 2):
            completion = await self._with_tools_or_text(session, question, pieces, attempt)
            answer = self._read(completion, question)
            why = _useless(completion, answer, bool(question.tools))
            if not why:
                return answer
            if attempt == 1:
                pieces.put_nowait(self._chunk("restarted", text=why))
                question = _once_more(question, why)
        raise NoAnswer(self._speaker.agent, why)

    async def _with_tools_or_text(
        self, session: str, question: Question, pieces: asyncio.Queue[StreamChunk | None], attempt: int
    ) -> Completion:
        """Ask; where the server takes no tools for the model, with the tools told in the prompt's text."""
        model = self._source.model_of(self._speaker.agent)
        if model not in self._without_tools:
            try:
                return await self._once(session, question, pieces, attempt)
            except RequestRefused as refused:
                if not question.tools or _NO_TOOLS not in refused.message:
                    raise
            self._without_tools.add(model)
        return await self._once(session, told_in_text(question), pieces, attempt)

    async def _once(
        self, session: str, question: Question, pieces: asyncio.Queue[StreamChunk | None], attempt: int
    ) -> Completion:
        def emit(event: Event) -> None:
            if isinstance(event, TextStreamed):
                pieces.put_nowait(self._chunk("thinking" if event.thinking else "text", text=event.text))
                return  # the message is the record
            if isinstance(event, CallRestarted):
                pieces.put_nowait(self._chunk("restarted", text=event.reason))
            self._announce(session, _as_any(event.model_copy(update={"node": self._speaker.agent})))

        model = StepModel(
            role=self._speaker.agent,
            step=f"{self._speaker.key}:{attempt}",
            call=Call(client=CLIENT, band=Band.INTERACTIVE, prefix=session),
            source=self._source,
            recorder=ForgetfulRecorder(),
            budget=Budget(limits=ONE_ANSWER, now=time.monotonic, started=time.monotonic()),
            emit=emit,
        )
        try:
            return await model.answer(question)
        except ContextExceeded as refusal:
            window, tokens = refusal.window or 0, refusal.prompt_tokens or 0
            raise HistoryTooLong(self._speaker.agent, window, tokens) from refusal

    def _read(self, completion: Completion, question: Question) -> _Answer:
        """The message that an answer is: its calls, native or printed as text, each with an id of ours.

        A model that was told of calls which could not be read, and prints such again, means them as text.
        """
        read = Recovered(completion.text)
        if not completion.tool_calls and question.tools:
            heard = [message.content for message in question.messages if message.role in ("user", "tool")]
            read = self._read_calls(completion.text, question.tools, heard)
            if not read.calls and any(message.tool_name == UNREADABLE for message in question.messages[-2:]):
                read = Recovered(completion.text)
        calls = [*(completion.tool_calls or read.calls), *(ToolCall(UNREADABLE, {"problem": p}) for p in read.problems)]
        text = read.text
        if self._speaker.closing and text and not calls:
            text = f"{text.rstrip()}\n\n{self._speaker.closing}"
        named = named_calls(self._speaker.key, calls)
        return _Answer(Message("assistant", text, completion.thinking, named), changed=text != completion.text)


def named_calls(key: str, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """An answer's calls with ids that are unique in the session; servers' own come again.

    They are made of what is asked for, too: what a crash left of an answer never stands for the calls of another one.
    """
    said = json.dumps([key, [[call.name, call.arguments] for call in calls]], sort_keys=True, default=dict)
    answer = hashlib.sha256(said.encode()).hexdigest()[:16]
    return tuple(replace(call, id=f"call_{answer}_{at}") for at, call in enumerate(calls, 1))


def _useless(completion: Completion, answer: _Answer, tools: bool) -> str:
    """Why an answer is none; empty for one. More tokens than the one that ends it were text or a call."""
    if completion.finish in _GIVEN_UP:
        return _GIVEN_UP[completion.finish]
    if answer.message.tool_calls or answer.message.content.strip():
        return ""
    return _DROPPED if tools and not completion.thinking and completion.completion_tokens > 1 else _EMPTY


def _once_more(question: Question, why: str) -> Question:
    """The question for the second try, which says what was wrong where the model can do something about it."""
    told = (Message("assistant", ""), Message("user", _DROPPED_TOLD)) if why == _DROPPED else ()
    return replace(question, messages=(*question.messages, *told), think=False)


def _bounded(wanted: int, tokens: int, room: Room) -> int:
    return max(room.window // LEAST_ANSWER_SHARE, 1, min(wanted, room.window - tokens))


def _as_any(event: Event) -> AnyEvent:
    return event  # pyright: ignore[reportReturnType] - every event of a call is in the catalogue


async def _stopped(task: asyncio.Task[_Answer]) -> None:
    """End a task that may still run, and wait until the server has been told."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # told already, or of no interest to one who has left
