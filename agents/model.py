"""The port a role is given to ask a language model, and the values that cross it.

Owns the vocabulary of a conversation (`Message`, `ToolCall`, `Completion`) and the `LanguageModel` protocol.
Nothing here knows of servers, bands or queues: whoever hands a model to a role has bound those already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

JsonValue: TypeAlias = (
    "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"  # what JSON can say
)
JsonObject: TypeAlias = Mapping[str, JsonValue]
Options: TypeAlias = Mapping[str, str | int | float | bool | Sequence[str]]
"""Sampling and load-time options by the names Ollama gives them (`temperature`, `num_predict`, `stop`, …)."""

Think: TypeAlias = bool | Literal["low", "medium", "high", "max"]
"""Whether, or how hard, the model thinks before it answers."""

MessageRole: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for: `arguments` is a JSON object, `id` is the server's when it gave one."""

    name: str
    arguments: JsonObject
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. A `tool` message names the tool it answers for; images are in base64."""

    role: MessageRole
    content: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str | None = None
    tool_call_id: str | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool offered to the model; `parameters` is a JSON schema of its arguments."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer.

    `finish` is the server's word for why it ended ("stop", "length", …; unknown words pass through), or ours for an
    answer that was given up in its middle: "repeated" for a loop, "thinking" for one that came to no word of it.
    Token counts are the server's own; `prompt_tokens` includes a cached prefix.
    """

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that decides an answer. `format` is a JSON schema the answer must follow; None means free text."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    format: JsonObject | None = None
    think: Think | None = None
    options: Options = field(default_factory=dict[str, "str | int | float | bool | Sequence[str]"])


class LanguageModel(Protocol):
    """A model that answers one question at a time.

    Cancelling `answer` stops the generation on the server. Errors are the adapter's own and are not caught by
    roles; an answer that is cut short by the output bound is not an error: `finish` says "length".
    """

    async def answer(self, question: Question) -> Completion:
        """Ask, wait for the whole answer, return it."""
        ...
