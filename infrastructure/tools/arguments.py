"""Reading the arguments of a call as they were meant.

Owns the slips that small models make and that have one meaning only: an object sent as text, `"5"` for 5, `"true"`,
null for nothing, one string where a list of strings is wanted. What a string says is never changed, so no path and no
command is ever guessed. Pure.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.model import JsonObject, JsonValue

MOST_CHARACTERS = 3 << 20
"""Of arguments that come as text: a file of 2 MiB, escaped."""
MOST_DEPTH = 24
_MOST_DIGITS = 40
_SHOWN = 80

M = TypeVar("M", bound=BaseModel)


class Arguments(BaseModel):
    """The arguments of a local tool. Its docstring is the tool's description; each field says what it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BadArguments(Exception):
    """The arguments are not what the tool takes; the message says what is wrong and what would be right."""


def as_object(arguments: object, schema: JsonObject) -> JsonObject:
    """The arguments as a JSON object, with the slips mended that the schema shows to be slips.

    Raises:
        BadArguments: It is no object, too deep, or names what the tool does not take.
    """
    if isinstance(arguments, str):
        arguments = _parsed(arguments)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise BadArguments(f"the arguments have to be one JSON object, not {_shown(arguments)}. {_wanted(schema)}")
    given = cast("Mapping[str, JsonValue]", arguments)
    _refuse_depth(given)
    properties = _object(schema.get("properties"))
    closed = schema.get("additionalProperties", True) is False
    mended: dict[str, JsonValue] = {}
    for name, value in given.items():
        described = _object(properties.get(name))
        if name not in properties and closed:
            if value not in (None, "", [], {}):
                raise BadArguments(_unknown(name, tuple(properties), schema))
        elif not (value is None and name not in _required(schema) and not _takes(described, "null")):
            mended[name] = _mended(value, described)
    return mended


def by_model(model: type[M]) -> Callable[[JsonObject], JsonObject]:
    """Reads arguments by a pydantic model; gives back every field, defaults included."""
    schema = schema_of(model)

    def read(arguments: JsonObject) -> JsonObject:
        mended = as_object(arguments, schema)
        try:
            return cast("JsonObject", model.model_validate(mended).model_dump(mode="json"))
        except ValidationError as error:
            raise BadArguments(f"{_first_of(error)}. {_wanted(schema)}") from error

    return read


@functools.cache
def schema_of(model: type[BaseModel]) -> JsonObject:
    """The JSON schema that a model is offered: without the words that only pydantic needs. Nobody changes it."""
    plain = cast("dict[str, JsonValue]", _without_titles(cast("JsonValue", model.model_json_schema())))
    plain.pop("description", None)
    return plain


def nearest(word: str, known: Sequence[str], most: int = 3) -> str:
    """A sentence that begins with a blank and says what may have been meant; empty where nothing is near."""
    same = [each for each in known if _bare(each) == _bare(word[:200])]
    if len(same) == 1:
        return f" Did you mean {same[0]}?"
    folded = {each.casefold(): each for each in known}
    found = [folded[each] for each in difflib.get_close_matches(word[:200].casefold(), list(folded), most, 0.6)]
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _bare(word: str) -> str:
    return "".join(each for each in word.casefold() if each.isalnum())


# ------------------------------------------------------------------------------------------------ mending
def _mended(value: JsonValue, schema: JsonObject) -> JsonValue:
    """The value, or what it was meant to be where the schema leaves one reading."""
    if isinstance(value, str) and not _takes(schema, "string"):
        return _from_text(value, schema)
    if isinstance(value, float) and value.is_integer() and _takes(schema, "integer") and not _takes(schema, "number"):
        return int(value)
    if isinstance(value, list | tuple):
        items = _object(schema.get("items"))
        return [_mended(each, items) for each in cast("Sequence[JsonValue]", value)]
    return value


def _from_text(text: str, schema: JsonObject) -> JsonValue:
    plain = text.strip()
    if _takes(schema, "boolean") and plain.casefold() in ("true", "false"):
        return plain.casefold() == "true"
    if (_takes(schema, "integer") or _takes(schema, "number")) and len(plain) <= _MOST_DIGITS:
        number = _number(plain)
        if number is not None:
            return _mended(number, schema)
    if _takes(schema, "null") and plain.casefold() in ("", "null", "none"):
        return None
    if plain[:1] in ("[", "{") and (_takes(schema, "array") or _takes(schema, "object")):
        return _mended(_parsed(text), schema)
    if _takes(schema, "array") and _takes(_object(schema.get("items")), "string"):
        return [text]
    return text


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _parsed(text: str) -> JsonValue:
    if len(text) > MOST_CHARACTERS:
        raise BadArguments(f"the arguments have {len(text):,} characters, more than {MOST_CHARACTERS:,}")
    try:
        value = cast("JsonValue", json.loads(text, strict=False, parse_int=_bounded, parse_constant=_refuse))
    except RecursionError as error:
        raise BadArguments(f"the JSON is nested deeper than {MOST_DEPTH}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadArguments(f"the arguments are no JSON: {error.msg} at {where}") from error
    _refuse_depth(value)
    return value


def _bounded(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise BadArguments(f"a number has {len(digits)} digits, more than {_MOST_DIGITS}")
    return int(digits)


def _refuse(word: str) -> float:
    raise BadArguments(f"{word} is not JSON")


def _refuse_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return
    raise BadArguments(f"the arguments are nested deeper than {MOST_DEPTH}")


def _inner(value: JsonValue) -> Sequence[JsonValue]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[str, JsonValue]", value).values())
    return cast("Sequence[JsonValue]", value) if isinstance(value, list | tuple) else ()


# ------------------------------------------------------------------------------------------------ schemas
def _takes(schema: JsonObject, kind: str) -> bool:
    """Whether a schema may take a value of this type; one that says nothing of types takes everything."""
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds == kind
    if isinstance(kinds, list | tuple):
        return kind in kinds
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list | tuple):
        return any(_takes(_object(each), kind) for each in choices)
    allowed = schema.get("enum")
    if isinstance(allowed, list | tuple):
        return kind == "string" and any(isinstance(each, str) for each in allowed)
    return True


def _object(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}


def _required(schema: JsonObject) -> Sequence[str]:
    names = schema.get("required")
    return cast("Sequence[str]", names) if isinstance(names, list | tuple) else ()


def _without_titles(value: JsonValue, of_names: bool = False) -> JsonValue:
    """The schema without `title` and `default: null`; a property may itself be named title."""
    if isinstance(value, Mapping):
        return {
            name: _without_titles(each, name == "properties" and not of_names)
            for name, each in cast("JsonObject", value).items()
            if of_names or name != "title"
        }
    if isinstance(value, list | tuple):
        return [_without_titles(each) for each in cast("Sequence[JsonValue]", value)]
    return value


# -------------------------------------------------------------------------------------------------- words
def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the object"
    said = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    got = "" if first["type"] == "missing" else f", not {_shown(first['input'])}"
    return f"{where}: {said}{got}"


def _unknown(name: str, known: Sequence[str], schema: JsonObject) -> str:
    return f"there is no argument {_shown(name)}.{nearest(name, known, 1)} {_wanted(schema)}"


def _wanted(schema: JsonObject) -> str:
    required = _required(schema)
    names = [name if name in required else f"{name} (may be left out)" for name in _object(schema.get("properties"))]
    return f"It takes {', '.join(names)}." if names else "It takes no arguments."


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
