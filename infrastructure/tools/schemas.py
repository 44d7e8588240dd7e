"""Tools whose arguments a stranger describes: clients and MCP servers send a JSON schema.

Owns which schemas are taken, and what a model is told of arguments that do not fit one. A schema is data: nothing that
it refers to is fetched, and a check by it ends (`validating`).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

from agents.model import JsonObject, JsonValue
from infrastructure.tools.arguments import BadArguments, as_object
from infrastructure.tools.validating import Checker, TooMuch, schema_problem

MOST_SCHEMA = 16_000
"""Characters of a schema: it stands in the prompt."""
MOST_DEPTH = 24
MOST_ARGUMENTS = 256_000
"""Characters of the arguments of one call."""
MOST_DESCRIPTION = 500
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SHOWN = 120
_UNBOUNDED = ("patternProperties",)
_MOST_KEPT = 512
_LESS = "Send less, or do without this tool."


class BadTool(ValueError):
    """A tool that cannot be taken; the message says what is wrong with it."""


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
    for name, value in _words({name: value for name, value in plain.items() if name != "$id"}):
        _must_be_taken(name, value)
    problem = _problem_of(json.dumps(plain))
    if problem:
        raise BadTool(problem)
    return plain


def by_schema(schema: JsonObject) -> Callable[[JsonObject], JsonObject]:
    """Reads arguments by a schema that `checked_schema` took."""
    checker = Checker(schema)

    def read(arguments: JsonObject) -> JsonObject:
        mended = as_object(arguments, schema)
        try:
            size = len(json.dumps(mended, ensure_ascii=False))
            problem = checker.problem(mended) if size <= MOST_ARGUMENTS else None
        except TooMuch as error:
            raise BadArguments(f"these arguments take too long to check by the tool's schema. {_LESS}") from error
        except Exception as error:  # the library raises what it meets, and the schema is a stranger's
            said = f"the tool's schema is bad ({type(error).__name__}), so these arguments cannot be checked. {_LESS}"
            raise BadArguments(said) from error
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


@functools.lru_cache(_MOST_KEPT)
def _problem_of(schema: str) -> str:
    """What is wrong with a schema, as text; empty where nothing is. Kept, since it is asked again with each session."""
    try:
        problem = schema_problem(json.loads(schema))
    except TooMuch:
        return "the schema describes too much: it takes too long to check"
    except Exception as error:  # noqa: BLE001 - the library raises what it meets, and the schema is a stranger's
        return f"the schema cannot be read ({type(error).__name__})"
    return "" if problem is None else f"the schema is no JSON schema: {problem.message[:_SHOWN]}"


def _must_be_taken(name: str, value: object) -> None:
    """That by a word of a schema a check stays within the schema, and need not look it all through for a name."""
    if name in _UNBOUNDED:
        raise BadTool(f"the schema uses {name}, which is not taken here")
    if not isinstance(value, str):
        return
    if name in ("$ref", "$dynamicRef") and not value.startswith("#"):
        raise BadTool(f"the schema refers to {value[:_SHOWN]!r}, and nothing is fetched")
    if name in ("$ref", "$dynamicRef") and value.strip("#") and not value.startswith("#/"):
        raise BadTool(f"the schema refers to {value[:_SHOWN]!r}: give the path, such as #/$defs/name")
    if name == "$id":
        raise BadTool("the schema has another inside with an $id of its own, which is not taken here")


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
