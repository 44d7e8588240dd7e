"""What a caller may say of a call, when a model is made and at each call, under the names that LangChain's users know.

Owns the names: Ollama's options as they are, `max_tokens`, `timeout`, and what is refused, with a word on where it
belongs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, cast

from agents.model import JsonObject
from infrastructure.pool.calls import Call
from infrastructure.pool.options import OPTIONS

if TYPE_CHECKING:
    from infrastructure.transport.messages import Format

OptionValue: TypeAlias = str | int | float | bool | list[str]

_UNUSED = ("api_key", "max_retries")
"""Code that sets up any chat model gives these; servers have their keys, and the pool its retries, in the settings."""

_NOTHING: JsonObject = {}
_ELSEWHERE = {
    "base_url": "servers are the pool's: configure_ollama_pool(…), OLLAMA_HOST, or pool=OllamaConnectionPool([…])",
    "client_kwargs": "connections are the pool's: see the settings",
    "keep_alive": "it belongs to the lane: [lanes.NAME] keep_alive",
    "format": "give it to a call, model.bind(format=…), or use with_structured_output",
}


def gathered(given: Mapping[str, object], fields: Collection[str]) -> dict[str, object]:
    """What a model is made of: options that stand beside its fields are put into `options`.

    Raises:
        ValueError: a name is unknown; the text says where it belongs.
    """
    found: dict[str, object] = {}
    beside: dict[str, object] = {}
    for name, value in given.items():
        if name in fields:
            found[name] = value
        elif name in OPTIONS or name == "max_tokens":
            beside[name] = value
        elif name not in (*_UNUSED, "timeout"):
            raise ValueError(f"{name!r} is unknown here: {_hint(name)}")
    within = cast("Mapping[str, object]", found.get("options") or {})
    found["options"] = merged_options(within, beside)
    if given.get("timeout") is not None:
        found["call"] = _within(found.get("call"), given["timeout"])
    return found


def merged_options(*given: Mapping[str, object]) -> dict[str, OptionValue]:
    """Options by Ollama's names, a later one before an earlier; None and an empty list of stop words say nothing."""
    merged: dict[str, OptionValue] = {}
    for options in given:
        for name, value in options.items():
            name = "num_predict" if name == "max_tokens" else name
            if name == "stop" and isinstance(value, str):
                value = [value]
            if name == "stop" and value is not None and not value:
                merged.pop(name, None)
            elif value is not None:
                merged[name] = _option(name, value)
    return merged


def format_of(response_format: object) -> Format | None:
    """OpenAI's `response_format` as Ollama's `format`; None for text.

    Raises:
        ValueError: it is neither of type text or json_object nor of type json_schema with a schema.
    """
    kind = object_of(response_format)
    if kind.get("type") == "text":
        return None
    if kind.get("type") == "json_object":
        return "json"
    schema = object_of(kind.get("json_schema")).get("schema")
    if kind.get("type") == "json_schema" and isinstance(schema, Mapping):
        return schema
    raise ValueError(
        'response_format is {"type": "text"}, {"type": "json_object"} or '
        '{"type": "json_schema", "json_schema": {"schema": …}}'
    )


def object_of(value: object) -> JsonObject:
    """The value where it is a JSON object, else an empty one."""
    return cast("JsonObject", value) if isinstance(value, Mapping) else _NOTHING


def _within(call: object, seconds: object) -> object:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError(f"timeout is a number of seconds for the whole call, not {seconds!r}")
    if isinstance(call, Mapping):
        return {"deadline": seconds, **cast("JsonObject", call)}
    known = call if isinstance(call, Call) else Call()
    return known if known.deadline is not None else replace(known, deadline=seconds)


def _option(name: str, value: object) -> OptionValue:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        words = list(cast("list[object]", value))
        if all(isinstance(word, str) for word in words):
            return cast("list[str]", words)
    raise ValueError(f"option {name!r} is text, a number, true or false, or a list of texts, not {value!r}")


def _hint(name: str) -> str:
    return _ELSEWHERE.get(name, "options of Ollama that are not in its documentation go into options={…}")
