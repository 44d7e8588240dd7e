"""LangChain's messages as ours.

Owns what becomes of each kind of message and content block. What a model would not see is refused, not dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from agents.model import JsonObject, Message, MessageRole, ToolCall
from infrastructure.chat_model.arguments import object_of
from infrastructure.pool.messages import BadMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAID_ELSEWHERE = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "function_call", "reasoning", "thinking", "non_standard"}
)
"""Blocks of an answer that are in its fields as well, or that were another provider's own."""


def conversation(messages: Iterable[BaseMessage]) -> tuple[Message, ...]:
    """The messages as ours. A tool's result is told the name of its tool by the call that it answers.

    Raises:
        BadMessage: one is of a kind, or has content, that Ollama cannot be told.
    """
    names: dict[str, str] = {}
    read: list[Message] = []
    for message in messages:
        if isinstance(message, AIMessage):
            names.update((str(call["id"]), call["name"]) for call in message.tool_calls)
        read.append(_message(message, names))
    return tuple(read)


def _message(message: BaseMessage, names: Mapping[str, str]) -> Message:
    match message:
        case AIMessage():
            return _answer(message)
        case ToolMessage():
            name = message.name or names.get(message.tool_call_id)
            return Message(
                "tool",
                _text(message),
                tool_name=name,
                tool_call_id=message.tool_call_id,
                images=_images(message),
            )
        case HumanMessage():
            return Message("user", _text(message), images=_images(message))
        case SystemMessage():
            return Message("system", _text(message))
        case ChatMessage(role="user" | "assistant" | "system" as role):
            return Message(cast("MessageRole", role), _text(message))
        case _:
            raise BadMessage(
                f"a message of type {message.type!r} cannot be told to Ollama: use system, human, AI or tool messages"
            )


def _answer(message: AIMessage) -> Message:
    calls = tuple(ToolCall(call["name"], cast("JsonObject", call["args"]), call["id"]) for call in message.tool_calls)
    return Message("assistant", _text(message), thinking=_thinking(message), tool_calls=calls)


def _thinking(message: AIMessage) -> str:
    said: object = message.additional_kwargs.get("reasoning_content")
    if isinstance(said, str):
        return said
    return "".join(str(block.get("reasoning") or "") for block in _blocks(message) if block.get("type") == "reasoning")


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts: list[str] = []
    for block in _blocks(message):
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind in ("image", "image_url") and isinstance(message, HumanMessage | ToolMessage):
            continue
        elif kind not in _SAID_ELSEWHERE or not isinstance(message, AIMessage):
            raise BadMessage(f"content of type {kind!r} in a {message.type} message cannot be told to Ollama: {_HOW}")
    return ("" if isinstance(message, AIMessage) else "\n").join(texts)


_HOW = "give it as text, or an image of a human or tool message as base64"


def _images(message: HumanMessage | ToolMessage) -> tuple[str, ...]:
    return tuple(_image(block) for block in _blocks(message) if block.get("type") in ("image", "image_url"))


def _image(block: Mapping[str, object]) -> str:
    """The picture itself, in base64: nobody is sent to fetch one."""
    found = block.get("base64") or block.get("data") or object_of(block.get("source")).get("data")
    if block.get("type") == "image_url":
        url = object_of(block.get("image_url")).get("url", block.get("image_url"))
    else:
        url = None if found else block.get("url") or object_of(block.get("source")).get("url")
    if url is not None:
        head, comma, data = str(url).partition(",")
        found = data if comma and head.lower().startswith("data:") and head.lower().endswith(";base64") else None
    if not isinstance(found, str) or not found:
        raise BadMessage("an image by its address is not fetched: give its bytes in base64")
    return found


def _blocks(message: BaseMessage) -> Sequence[Mapping[str, object]]:
    content = cast("str | list[str | dict[str, object]]", message.content)
    if isinstance(content, str):
        return ()
    return [{"type": "text", "text": block} if isinstance(block, str) else block for block in content]
