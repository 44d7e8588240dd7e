"""Which tools a model is offered, and whether it has to call one.

Owns what becomes of `tool_choice`, which Ollama does not know: "none" and a name are carried out by offering less; that
one must be called is carried out by a grammar for the answer, out of which the call is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

from agents.errors import UnusableAnswer
from agents.model import JsonObject, JsonValue, Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

ToolChoice: TypeAlias = str | bool | Mapping[str, object] | None
"""LangChain's and OpenAI's words: None, False, "auto", "none", "any", "required", True, a name, or a dict with one."""

DEFINITIONS = ("$defs", "definitions")
"""Where a schema keeps those that it refers to; the second is the word of JSON Schema before 2019."""

_NO_CALL: JsonObject = {}
_ASKED = (
    "Call one of these functions. Answer with one JSON object of the form "
    '{{"name": <its name>, "arguments": <its arguments>}} and nothing else.\n{tools}'
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of one call; with `must` one of them has to be called."""

    tools: tuple[Tool, ...]
    must: bool = False


def check_choice(choice: ToolChoice, names: Iterable[str]) -> str:
    """A choice in one of four words ("auto", "none", "any", or the name of a tool).

    Raises:
        ValueError: it is none of them.
    """
    known = tuple(names)
    if choice is None or choice is False:
        return "auto"
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = str(cast("JsonObject", function).get("name")) if isinstance(function, Mapping) else "?"
    if choice is True or choice in ("any", "required"):
        choice = "any"
        if not known:
            raise ValueError("a tool has to be called, and there is none: bind at least one")
    elif choice not in ("auto", "none", *known):
        raise ValueError(
            f'tool_choice {choice!r} is none of "auto", "none", "any" and the tools: {", ".join(known) or "none"}'
        )
    return choice


def offered(tools: Sequence[Tool], choice: ToolChoice) -> Offer:
    """What is offered; errors as for `check_choice`."""
    word = check_choice(choice, (tool.name for tool in tools))
    if word == "auto":
        return Offer(tuple(tools))
    if word == "none":
        return Offer(())
    return Offer(tuple(tool for tool in tools if word in ("any", tool.name)), must=True)


def asked_to_call(messages: tuple[Message, ...], tools: Sequence[Tool]) -> tuple[Message, ...]:
    """The conversation with the tools in its first system message.

    They are not sent as tools: in a request with both tools and a grammar a server may drop either (ollama #8095,
    #13750).
    """
    shown = "\n".join(
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            default=dict[str, object],
            ensure_ascii=False,
        )
        for tool in tools
    )
    told = _ASKED.format(tools=shown)
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{told}")
        return (first, *messages[1:])
    return (Message("system", told), *messages)


def call_schema(tools: Sequence[Tool]) -> JsonObject:
    """The grammar of an answer that is a call of one of the tools.

    Raises:
        ValueError: two tools mean different things by one name of their `$defs` (or `definitions`).
    """
    definitions: dict[str, dict[str, JsonValue]] = {}
    calls: list[JsonValue] = []
    for tool in tools:
        arguments = dict(tool.parameters) or {"type": "object", "properties": {}}
        for word in DEFINITIONS:  # they are referred to from the top
            for name, schema in cast("JsonObject", arguments.pop(word, None) or {}).items():
                if definitions.setdefault(word, {}).setdefault(name, schema) != schema:
                    raise ValueError(f"two tools have different {word} of the name {name!r}: rename one of them")
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    whole = cast("JsonObject", calls[0]) if len(calls) == 1 else {"anyOf": calls}
    return {**whole, **definitions}


def read_call(text: str, tools: Sequence[Tool]) -> ToolCall:
    """The call that an answer of that grammar is.

    Raises:
        UnusableAnswer: it is none, as of a server that did not enforce the grammar, or an answer that was cut short.
    """
    names = [tool.name for tool in tools]
    try:
        said: object = json.loads(text)
    except ValueError:
        said = None
    call = cast("JsonObject", said) if isinstance(said, dict) else _NO_CALL
    name, arguments = call.get("name"), call.get("arguments")
    if name not in names or not isinstance(arguments, Mapping):
        raise UnusableAnswer(
            "one of the tools had to be called, and the answer is no call",
            f'Answer with {{"name": …, "arguments": {{…}}}}; the functions are: {", ".join(names)}.',
        )
    return ToolCall(cast("str", name), arguments)
