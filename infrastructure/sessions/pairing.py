"""Calls and their results: which belong together, and where a conversation may be cut. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.model import Message, ToolCall
from infrastructure.sessions.records import StoredMessage


def in_pairs(messages: Sequence[StoredMessage]) -> tuple[Message, ...]:
    """The messages as a model is shown them: each result stands behind the message that asked for it.

    What was said while a call was out comes after its result, since models know no other order.
    """
    results = {each.answers: each.message for each in messages if each.answers}
    shown: list[Message] = []
    for each in messages:
        if each.answers:
            continue
        shown.append(each.message)
        shown += [results[call] for call in each.calls if call in results]
    return tuple(shown)


def open_calls(messages: Iterable[StoredMessage]) -> dict[str, ToolCall]:
    """Calls without a result, in the order they were asked for."""
    calls: dict[str, ToolCall] = {}
    for each in messages:
        calls |= {call.id or "": call for call in each.message.tool_calls}
        calls.pop(each.answers, None)
    return calls
