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
    """A prompt, message or tool is not of a shape that is understood."""


_LIKE = '{"role": "user", "content": "…"}'
_TOOL_LIKE = '{"type": "function", "function": {"name": "…", "parameters": {…}}}'


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
    content: str | None = ""
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
        BadMessage: one has an unknown role or field, or a value of the wrong kind; or they are no list of messages.
    """
    if not _is_many(messages):
        raise BadMessage(f"messages are a list of them, not {_what(messages)}: [{_LIKE}]")
    return tuple(
        message if type(message) is Message and type(message.content) is str else _message(message, number)
        for number, message in enumerate(messages)
    )


def read_tools(tools: Iterable[ToolLike]) -> tuple[Tool, ...]:
    """The tools as ours.

    Raises:
        BadMessage: one is no function with a name; or they are no list of tools.
    """
    if not _is_many(tools):
        raise BadMessage(f"tools are a list of them, not {_what(tools)}")
    return tuple(tool if isinstance(tool, Tool) else _tool(tool, number) for number, tool in enumerate(tools))


def check_prompt(prompt: object) -> None:
    """See that it is text.

    Raises:
        BadMessage: it is not.
    """
    if not isinstance(prompt, str):
        raise BadMessage(f"a prompt is text, not {_what(prompt)}")


def _is_many(things: object) -> bool:
    return isinstance(things, Iterable) and not isinstance(things, str | bytes | Mapping)


def _message(raw: object, number: int) -> Message:
    if isinstance(raw, Message):  # a subclass, or one whose content is no text
        _check_content(raw.content, number)
        return raw
    if callable(dump := getattr(raw, "model_dump", None)):  # such as the client library of Ollama has
        raw = dump(exclude_none=True)
    if not isinstance(raw, Mapping):
        raise BadMessage(f"message {number} not understood: it is {_what(raw)}, and a message is like {_LIKE}")
    try:
        read = _Message.model_validate(dict(cast("JsonObject", raw)))
    except ValidationError as error:
        raise BadMessage(f"message {number} not understood: {_first(error)}") from None
    if read.content is None and not read.tool_calls:  # with them it is how other libraries say that nothing was said
        _check_content(None, number)
    return Message(
        role=read.role,
        content=read.content or "",
        thinking=read.thinking or "",
        tool_calls=tuple(
            ToolCall(call.function.name, cast("JsonObject", call.function.arguments), call.id)
            for call in read.tool_calls or ()
        ),
        tool_name=read.tool_name,
        tool_call_id=read.tool_call_id,
        images=tuple(read.images or ()),
    )


def _check_content(content: object, number: int) -> None:
    if not isinstance(content, str):
        raise BadMessage(f"message {number} not understood: its content is text, not {_what(content)}")


def _tool(raw: object, number: int) -> Tool:
    if not isinstance(raw, Mapping):
        raise BadMessage(f"tool {number} not understood: it is {_what(raw)}, and a tool is like {_TOOL_LIKE}")
    try:
        function = _Tool.model_validate(dict(cast("JsonObject", raw))).function
    except ValidationError as error:
        raise BadMessage(f"tool {number} not understood: {_first(error)}") from None
    return Tool(function.name, function.description, cast("JsonObject", function.parameters))


def _what(value: object) -> str:
    return f"of type {type(value).__name__}"


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
