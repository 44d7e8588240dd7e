"""Schemas whose value is no object, as the arguments of a tool.

Owns the one argument that carries such a value (a call's arguments are an object), and that it is taken out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import JsonOutputKeyToolsParser
from langchain_core.outputs import Generation
from typing_extensions import override

from agents.model import JsonObject
from infrastructure.chat_model.choosing import DEFINITIONS
from infrastructure.chat_model.reading import of_kind

_VALUE = "value"


def wrapped(schema: JsonObject) -> JsonObject:
    """The schema of an object with that value alone in it."""
    kept = {word: schema[word] for word in DEFINITIONS if word in schema}
    value = {word: said for word, said in schema.items() if word not in kept}
    return {
        "type": "object",
        "properties": {_VALUE: value},
        "required": [_VALUE],
        "additionalProperties": False,
        **kept,
    }


def is_object(schema: JsonObject) -> bool:
    """Whether each value that the schema allows is an object, as far as the schema says it outright."""
    return _is_object(schema, schema, {})


class WrappedReader(JsonOutputKeyToolsParser):
    """The value out of the call of that tool."""

    kind: Any = None
    """A pydantic type, which the value is made of; None: as it is."""

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The value; None where no call came (yet: it comes whole, so a stream's is read like any other).

        Raises:
            OutputParserException: the call has no value, or none of that kind.
        """
        arguments = super().parse_result(result, partial=partial)
        if arguments is None:
            return None
        if _VALUE not in arguments:
            raise OutputParserException(f"the call has no {_VALUE!r}: {arguments}", llm_output=str(arguments))
        value = arguments[_VALUE]
        try:
            return value if self.kind is None else of_kind(self.kind, value)
        except ValueError as error:
            raise OutputParserException(f"the call cannot be used: {error}", llm_output=str(value)) from error


def _is_object(schema: object, whole: JsonObject, known: dict[str, bool]) -> bool:
    if not isinstance(schema, Mapping):
        return False
    words = cast("JsonObject", schema)
    if "type" in words:
        return words["type"] == "object" or words["type"] == ["object"]
    if "properties" in words:
        return True
    if isinstance(ref := words.get("$ref"), str):
        if ref not in known:  # each once, however often it is asked for
            known[ref] = False  # for as long as it asks for itself
            known[ref] = _is_object(_found(ref, whole), whole, known)
        return known[ref]
    values = words.get("enum", [words["const"]] if "const" in words else None)
    if isinstance(values, list):
        return all(isinstance(value, Mapping) for value in values)
    for word in ("anyOf", "oneOf"):
        if isinstance(choices := words.get(word), list):
            return all(_is_object(choice, whole, known) for choice in choices)
    parts = words.get("allOf")
    return isinstance(parts, list) and any(_is_object(part, whole, known) for part in parts)


def _found(ref: str, whole: JsonObject) -> object:
    place: object = whole
    for name in ref.removeprefix("#").split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, Mapping) else None
    return place
