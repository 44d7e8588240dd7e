"""What follows from a session's messages: whose turn it is, which calls are open, how often a model was asked.

Owns the reading of a history. The messages are the truth: after a crash these answers are the same as before it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.conversation.ports import History
from agents.model import Message, ToolCall

EXPIRED = "Nobody answered in time, so it was not done."
"""The result of a call that was asked about for too long."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message and its place in the session, from 1."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class Done:
    """A call and what came of it."""

    call: ToolCall
    result: str


def said(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages without summaries, which alone have the role `system` in a session."""
    return tuple(message for message in messages if message.role != "system")


def this_turn(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What was said since the person's last message, without it; everything, where a summary has swallowed that."""
    begin = next((at for at in range(len(messages) - 1, -1, -1) if messages[at].role == "user"), -1)
    return said(messages[begin + 1 :])


def open_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Calls of the last answer that have no result yet, in the order they were asked for."""
    results = set[str | None]()
    for message in reversed(messages):
        if message.role == "tool":
            results.add(message.tool_call_id)
        elif message.role == "assistant":
            return tuple(call for call in message.tool_calls if call.id not in results)
    return ()


def awaits_answer(messages: Sequence[Message]) -> bool:
    """Whether a model is to speak next: a person has, or every call has its result."""
    last = _last_said(messages)
    return last is not None and last.role in ("user", "tool") and not open_calls(messages)


def answers_to(messages: Sequence[Message]) -> str:
    """What the next answer comes after, as a word that is unique in a turn: the last result's call, or `message`."""
    last = _last_said(messages)
    return last.tool_call_id or "result" if last is not None and last.role == "tool" else "message"


def answers_in(messages: Sequence[Message]) -> int:
    """How many answers this turn has so far."""
    return sum(message.role == "assistant" for message in this_turn(messages))


def done_in(messages: Sequence[Message]) -> tuple[Done, ...]:
    """The calls of this turn that have a result, in the order of the results."""
    turn = this_turn(messages)
    calls = {call.id: call for message in turn for call in message.tool_calls}
    return tuple(
        Done(calls[message.tool_call_id], message.content)
        for message in turn
        if message.role == "tool" and message.tool_call_id in calls
    )


def expired_in(messages: Sequence[Message]) -> tuple[str, ...]:
    """The tools of this turn that nobody allowed in time."""
    return tuple(done.call.name for done in done_in(messages) if done.result == EXPIRED)


def _last_said(messages: Sequence[Message]) -> Message | None:
    return next((message for message in reversed(messages) if message.role != "system"), None)


def numbered(history: History) -> tuple[Numbered, ...]:
    """The messages with their numbers."""
    numbers = history.numbers or range(history.first, history.first + len(history.messages))
    return tuple(map(Numbered, numbers, history.messages))
