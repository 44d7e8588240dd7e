"""Control answers: one small flat JSON object out of a model's text, as a validated value.

Owns `Answer` (the base of all control answer types), the JSON schema that is sent and shown for one, and finding
and reading the object, whatever surrounds it. Enforcement by the server is never trusted: everything is checked.
"""

from __future__ import annotations

import functools
import json
import math
from collections import deque
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from agents.answers.fences import blocks
from agents.answers.text import clean_text, shown
from agents.errors import UnusableAnswer
from agents.model import JsonObject, JsonValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_DEPTH = 16
"""Brackets inside brackets; a flat answer needs three."""
MAX_DIGITS = 20
"""Digits of the longest whole number."""
MAX_TEXT = 4_000
"""Characters kept of a text field."""
MAX_ITEMS = 20
"""Items kept of a list field."""

_MAX_RESTARTS = 8  # a stray `{` in prose costs one more scan of the rest: bounded, so reading stays linear
_MAX_CANDIDATES = 16  # objects in prose that are read, the last ones
_CUT = "…"


def _bounded_text(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "").strip()
    try:
        text.encode()  # an escape such as \ud800 makes half a character, which no file and no table can hold
    except UnicodeEncodeError as error:
        raise ValueError("half a character (a lone surrogate)") from error
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + _CUT


def _lower_word(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _bounded_list(value: object) -> object:
    if isinstance(value, str):  # small models write one item without its brackets
        return [value] if value.strip() else []
    if isinstance(value, list):
        return cast("list[object]", value)[:MAX_ITEMS]
    return value


# The bounds are kept here and not in the schema: as `maxLength` or `maxItems` they would become grammar rules of
# thousands of repetitions on the server.
Text = Annotated[str, BeforeValidator(_bounded_text)]
"""A text field: no NUL, stripped, cut at `MAX_TEXT`."""
Texts = Annotated[list[Text], BeforeValidator(_bounded_list)]
"""A list of texts, cut at `MAX_ITEMS`; one bare text counts as a list of one."""
Word = BeforeValidator(_lower_word)
"""Put on a `Literal` of lower-case words: the answer's case and surrounding blanks do not count."""


class Answer(BaseModel):
    """The base of the control answers: small, flat, frozen; unknown keys are ignored, null means left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    EXAMPLE: ClassVar[JsonObject]
    """One good answer, to another task than any that is asked."""

    @classmethod
    def example(cls) -> Self:
        """Return the example as a value of this type."""
        return cls.model_validate(cls.EXAMPLE)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, object]", value)
        return {key: member for key, member in members.items() if member is not None}


M = TypeVar("M", bound=Answer)


@functools.cache
def schema_of(answer: type[Answer]) -> JsonObject:
    """Return the JSON schema sent as `format`. Its title is the type's name; every field is required.

    Titles and defaults of single fields are left out: they cost tokens, and a default would make a field optional
    in the server's grammar.
    """
    schema = answer.model_json_schema()
    properties = cast("dict[str, dict[str, JsonValue]]", schema["properties"])
    return {
        "title": answer.__name__,
        "type": "object",
        "properties": {
            name: {key: value for key, value in each.items() if key not in {"title", "default"}}
            for name, each in properties.items()
        },
        "required": list(properties),
    }


def control_reader(answer: type[M]) -> Callable[[str, object], M]:
    """Return `read_control` for one type, as `Role.read` wants it."""

    def read(text: str, question: object) -> M:
        del question  # a control answer says all itself
        return read_control(text, answer)

    return read


def read_control(text: str, answer: type[M]) -> M:
    """Find the JSON object in a model's text and read it as `answer`.

    Tried in this order: the whole text, fenced blocks, objects inside prose. Where several fit, the last one
    counts: models think first and conclude last.

    Raises:
        UnusableAnswer: No object, no JSON (also: duplicate keys, NaN, too deep, huge numbers), or a field is wrong;
            the reason names the field and what was expected.
    """
    text = clean_text(text)
    problem: UnusableAnswer | None = None
    for group in (_whole, _fenced, _embedded):
        for candidate in reversed(group(text)):
            try:
                return _validated(_parsed(candidate), answer)
            except UnusableAnswer as error:
                problem = problem or error
    hint = f"Answer with one JSON object with the keys {', '.join(answer.model_fields)}."
    raise problem or UnusableAnswer("there is no JSON object in the answer", hint)


def _whole(text: str) -> Sequence[str]:
    text = text.strip()
    return [text] if text.startswith("{") and text.endswith("}") else []


def _fenced(text: str) -> Sequence[str]:
    contents = ("\n".join(block.lines).strip() for block in blocks(text))
    objects = [content for content in contents if content.startswith("{") and content.endswith("}")]
    return objects[-_MAX_CANDIDATES:]


def _embedded(text: str) -> Sequence[str]:
    found: deque[str] = deque(maxlen=_MAX_CANDIDATES)
    start, restarts = text.find("{"), 0
    while start >= 0 and restarts <= _MAX_RESTARTS:
        end = _end_of_object(text, start)
        if end is None:
            restarts += 1
            start = text.find("{", start + 1)
        else:
            found.append(text[start:end])
            start = text.find("{", end)
    return found


def _end_of_object(text: str, start: int) -> int | None:
    """Return where the object that opens at `start` ends, or None if it never does. One pass."""
    depth = 0
    for position, character in _structure(text, start):
        depth += 1 if character in "{[" else -1
        if depth == 0:
            return position + 1
    return None


def _structure(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield the brackets that are not inside a JSON string."""
    in_string = escaped = False
    for position in range(start, len(text)):
        character = text[position]
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in "{}[]":
            yield position, character


def _parsed(candidate: str) -> JsonObject:
    _refuse_depth(candidate)
    try:
        value: object = json.loads(
            candidate,
            strict=False,  # a raw line break inside a string is the commonest slip of an unconstrained model
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnusableAnswer(f"the JSON is malformed at {where}: {error.msg}") from error
    if not isinstance(value, dict):
        raise UnusableAnswer("the JSON is no object")
    return cast("JsonObject", value)


def _refuse_depth(candidate: str) -> None:
    depth = 0
    for _, character in _structure(candidate, 0):
        depth += 1 if character in "{[" else -1
        if depth > MAX_DEPTH:
            raise UnusableAnswer(f"the JSON is nested deeper than {MAX_DEPTH}", "Answer with a flat object.")


def _without_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise UnusableAnswer(f"the key {shown(key)} comes twice", "Give each key once.")
        seen.add(key)
    return members


def _refuse_constant(word: str) -> float:
    raise UnusableAnswer(f"{word} is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise UnusableAnswer(f"a number has {len(digits)} digits, more than {MAX_DIGITS}")
    return int(digits)


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise UnusableAnswer(f"the number {shown(digits)} is out of range")
    return value


def _validated(value: JsonObject, answer: type[M]) -> M:
    try:
        return answer.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        got = "" if first["type"] == "missing" else f", not {shown(str(first['input']))}"
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise UnusableAnswer(f"field {shown(where)}: {expected}{got}", _described(answer, where)) from error


def _described(answer: type[Answer], where: str) -> str:
    name = where.partition(".")[0]
    described = answer.model_fields.get(name)
    return f"{name}: {described.description}" if described is not None and described.description else ""
