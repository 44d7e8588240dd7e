"""Tools whose arguments a stranger describes: clients and MCP servers send a JSON schema.

Owns which schemas are taken, and checking arguments by one. A schema is data: nothing it refers to is fetched, and none
of its words can make a check run for ever (`pattern` and `uniqueItems` are passed over: whoever does the call checks
those).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, cast

from jsonschema import validators
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from agents.model import JsonObject, JsonValue
from infrastructure.tools.arguments import BadArguments, as_object

MOST_SCHEMA = 16_000
"""Characters of a schema: it stands in the prompt."""
MOST_DEPTH = 24
MOST_ARGUMENTS = 256_000
"""Characters of the arguments of one call."""
MOST_DESCRIPTION = 500
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SHOWN = 120
_UNBOUNDED = ("patternProperties",)


class BadTool(ValueError):
    """A tool that cannot be taken; the message says what is wrong with it."""


class _Problem(Protocol):
    """What jsonschema finds wrong."""

    @property
    def message(self) -> str: ...
    @property
    def json_path(self) -> str: ...


class _Validator(Protocol):
    """A kind of schema, and a checker by one of that kind; the library has no types of its own."""

    @classmethod
    def check_schema(cls, schema: object) -> None: ...
    def __call__(self, schema: object, *, registry: object) -> _Validator: ...
    def iter_errors(self, instance: object) -> Iterator[_Problem]: ...


class _Validators(Protocol):
    Draft202012Validator: _Validator

    def extend(self, validator: _Validator, validators: Mapping[str, object]) -> _Validator: ...


def tool_name(name: str) -> str:
    """A name that a tool may bear.

    Raises:
        BadTool: It is none.
    """
    if not _NAME.fullmatch(name):
        raise BadTool(f"{name[:80]!r} is no name of a tool: a letter, then letters, digits, _ . - (64 at most)")
    return name


def checked_schema(schema: JsonObject) -> JsonObject:
    """A schema of arguments, found to be one, bounded, and an object's.

    Raises:
        BadTool: It is not.
    """
    _must_be_bounded(schema)
    plain = cast("dict[str, JsonValue]", json.loads(json.dumps(schema)))
    plain.setdefault("type", "object")
    plain.setdefault("properties", {})
    if plain["type"] != "object":
        raise BadTool(f"the schema is of {plain['type']!r}; the arguments of a tool are an object")
    for name, value in _words(plain):
        if name in _UNBOUNDED:
            raise BadTool(f"the schema uses {name}, which is not taken here")
        if name in ("$ref", "$dynamicRef") and not str(value).startswith("#"):
            raise BadTool(f"the schema refers to {str(value)[:_SHOWN]!r}, and nothing is fetched")
    try:
        _KIND.check_schema(plain)
    except SchemaError as error:
        raise BadTool(f"the schema is no JSON schema: {error.message[:_SHOWN]}") from error
    except RecursionError as error:
        raise BadTool("the schema is nested too deeply") from error
    return plain


def by_schema(schema: JsonObject) -> Callable[[JsonObject], JsonObject]:
    """Reads arguments by a schema that `checked_schema` took."""
    validator = _KIND(schema, registry=_NOTHING)

    def read(arguments: JsonObject) -> JsonObject:
        mended = as_object(arguments, schema)
        try:
            size = len(json.dumps(mended, ensure_ascii=False))
            problem = next(validator.iter_errors(mended), None) if size <= MOST_ARGUMENTS else None
        except (RecursionError, Unresolvable, TypeError) as error:
            raise BadArguments("the arguments cannot be checked by the tool's schema") from error
        if size > MOST_ARGUMENTS:
            raise BadArguments(f"the arguments have {size:,} characters, more than {MOST_ARGUMENTS:,}")
        if problem is not None:
            where = problem.json_path.removeprefix("$").removeprefix(".") or "the object"
            raise BadArguments(f"{where}: {problem.message[:_SHOWN]}")
        return mended

    return read


def short(description: str) -> str:
    """A description with no more than the prompt has room for, on one line."""
    text = " ".join(description.split())
    return text if len(text) <= MOST_DESCRIPTION else f"{text[:MOST_DESCRIPTION]}…"


def _must_be_bounded(schema: JsonObject) -> None:
    level: list[object] = [schema]
    for _ in range(MOST_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
    if level:
        raise BadTool(f"the schema is nested deeper than {MOST_DEPTH}")
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError) as error:
        raise BadTool("the schema is no JSON") from error
    if size > MOST_SCHEMA:
        raise BadTool(f"the schema has {size:,} characters, more than {MOST_SCHEMA:,}")


def _inner(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[str, object]", value).values())
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _words(value: object) -> Iterator[tuple[str, object]]:
    """Every name and value of the schema, however deep."""
    if isinstance(value, Mapping):
        for name, each in cast("Mapping[str, object]", value).items():
            yield name, each
            yield from _words(each)
    elif isinstance(value, list | tuple):
        for each in cast("Sequence[object]", value):
            yield from _words(each)


def _passed_over(validator: object, value: object, instance: object, schema: object) -> Sequence[_Problem]:
    del validator, value, instance, schema
    return ()


_TYPED = cast("_Validators", validators)
_KIND = _TYPED.extend(_TYPED.Draft202012Validator, {"pattern": _passed_over, "uniqueItems": _passed_over})
_NOTHING: Registry[object] = Registry()  # from which nothing is had, so nothing is fetched
