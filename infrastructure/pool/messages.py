"""Reading what a caller gives as messages and tools.

Owns the acceptance of Ollama's own dict shapes beside ours: `{"role": …, "content": …}`, `{"type": "function", …}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.model import JsonObject, JsonValue, Message, MessageRole, Tool, ToolCall

MessageLike: TypeAlias = Message | Mapping[str, JsonValue]
ToolLike: TypeAlias = Tool | Mapping[str, JsonValue]


class BadMessage(ValueError):
    """A message or tool is not of a shape that is understood."""


class _Function(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    name: str
    description: str = ""
    arguments: dict[str, object] = Field(default_factory=dict[str, object])
    parameters: dict[str, object] = Field(default_factory=dict[str, object])


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    function: _Function
    id: str | None = None


class _Message(BaseModel):
    # A field we would drop is an error: a model that does not see what was sent must not answer.
    model_config = ConfigDict(extra="forbid", strict=True)

    role: MessageRole
    content: str = ""
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    images: list[str] | None = None


class _Tool(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    function: _Function


def read_messages(messages: Iterable[MessageLike]) -> tuple[Message, ...]:
    """The messages as ours.

    Raises:
        BadMessage: one has an unknown role or field, or a value of the wrong kind.
    """
    return tuple(message if isinstance(message, Message) else _message(message) for message in messages)


def read_tools(tools: Iterable[ToolLike]) -> tuple[Tool, ...]:
    """The tools as ours.

    Raises:
        BadMessage: one is no function with a name.
    """
    return tuple(tool if isinstance(tool, Tool) else _tool(tool) for tool in tools)


def _message(raw: Mapping[str, JsonValue]) -> Message:
    try:
        read = _Message.model_validate(dict(raw))
    except ValidationError as error:
        raise BadMessage(f"message not understood: {_first(error)}") from None
    return Message(
        role=read.role,
        content=read.content,
        thinking=read.thinking or "",
        tool_calls=tuple(
            ToolCall(call.function.name, cast("JsonObject", call.function.arguments), call.id)
            for call in read.tool_calls or ()
        ),
        tool_name=read.tool_name,
        tool_call_id=read.tool_call_id,
        images=tuple(read.images or ()),
    )


def _tool(raw: Mapping[str, JsonValue]) -> Tool:
    try:
        function = _Tool.model_validate(dict(raw)).function
    except ValidationError as error:
        raise BadMessage(f"tool not understood: {_first(error)}") from None
    return Tool(function.name, function.description, cast("JsonObject", function.parameters))


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
