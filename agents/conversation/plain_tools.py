"""Tools for a model whose server takes none for it: told in the system prompt, called in the answer's text.

Owns the words for that, and how earlier calls and results look to such a model. Pure. The calls are read as all are
that a model prints as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from agents.model import Message, Question, Tool, ToolCall

_HOW = """## Tools
To call a tool, end your answer with this and nothing behind it, one for each call:
<tool_call>
{"name": "the tool's name", "arguments": {"an argument": "its value"}}
</tool_call>
The result comes with the next message. You have these tools, each with the JSON schema of its arguments:"""


def told_in_text(question: Question) -> Question:
    """The question without tools of its own; they stand in its text instead."""
    messages = [_plain(message) for message in question.messages]
    if question.tools:
        messages[:1] = _with_tools(messages[0], question.tools)
    return replace(question, messages=tuple(messages), tools=())


def _with_tools(first: Message, tools: Sequence[Tool]) -> list[Message]:
    lines = [f"- {tool.name}: {tool.description} {json.dumps(tool.parameters, default=dict)}" for tool in tools]
    text = "\n".join([_HOW, *lines])
    if first.role == "system":
        return [replace(first, content=f"{first.content}\n\n{text}")]
    return [Message("system", text), first]


def _plain(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", message.content)
    if not message.tool_calls:
        return message
    printed = [_printed(call) for call in message.tool_calls]
    return Message("assistant", "\n".join(filter(None, (message.content, *printed))))


def _printed(call: ToolCall) -> str:
    said = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False, default=dict)
    return f"<tool_call>\n{said}\n</tool_call>"
