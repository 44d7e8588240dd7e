"""Arguments of a call that was printed as text: JSON, JSON with a small model's slips, Python literals.

Owns which slips are mended: a comma too many, single or triple quotes, `True` and `None`, a raw line break in a string.
Each has one reading only. Whatever else is no JSON is malformed. One pass, bounded depth, nothing is evaluated.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agents.answers.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.model import JsonObject, JsonValue

MAX_DEPTH = 16
"""Brackets inside brackets."""
MAX_DIGITS = 20
"""Digits of the longest number."""
CUT_OFF = "it is cut off before its end"

_BLANK = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"[A-Za-z_]\w*")
_PLAIN = {"'": re.compile(r"[^'\\]*"), '"': re.compile(r'[^"\\]*')}
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": ""}
_HEX = {"u": 4, "x": 2}


class Malformed(Exception):
    """A text is no value; the reason is one clause that goes on from "the call is refused because"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoCall(Malformed):
    """What stands behind the mark of a call is none; the mark may only be spoken of."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that stood in a text, where it ends, and whether a slip in it was mended."""

    value: JsonValue
    end: int
    mended: bool = False


def json_at(text: str, position: int) -> Value:
    """Read the JSON value that begins at a position.

    Raises:
        Malformed: No value, cut off, a key that comes twice, too deep, a number that none can hold.
    """
    for strict in (True, False):  # not strict: a raw line break in a string
        try:
            value, end = _DECODERS[strict].raw_decode(text, position)
        except json.JSONDecodeError:
            continue
        except RecursionError as error:
            raise Malformed(_too_deep()) from error
        _refuse_depth(value)
        return Value(value, end, mended=not strict)
    reader = _Loose(text, position)
    value = reader.value(0)
    return Value(value, reader.position, mended=True)


def keywords_at(text: str, position: int) -> Value:
    """Read `(name=literal, …)`, as in a Python call, from its opening bracket.

    Raises:
        Malformed: An argument without a name, one that comes twice, anything that is no literal.
    """
    reader = _Loose(text, position, python=True)
    value = reader.keywords()
    return Value(value, reader.position, reader.mended)


def skip_blank(text: str, position: int) -> int:
    """The first position at or after this one that is no blank."""
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _too_deep() -> str:
    return f"it is nested deeper than {MAX_DEPTH}"


def _refuse_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    depth = 0
    while level:
        following: list[JsonValue] = []
        for each in level:
            if isinstance(each, dict):
                following.extend(cast("JsonObject", each).values())
            elif isinstance(each, list):
                following.extend(cast("Sequence[JsonValue]", each))
            else:
                continue
        depth += 1
        if following and depth > MAX_DEPTH:
            raise Malformed(_too_deep())
        level = following


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in members:
            raise Malformed(f"the key {shown(key)} comes twice")
        members[key] = value
    return members


def _constant(word: str) -> float:
    raise Malformed(f"{word} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Malformed(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits) if len(digits) <= 4 * MAX_DIGITS else math.inf
    if not math.isfinite(value):
        raise Malformed("a number is out of range")
    return value


_DECODERS = {
    strict: json.JSONDecoder(
        object_pairs_hook=_members,
        parse_constant=_constant,
        parse_int=_integer,
        parse_float=_real,
        strict=strict,
    )
    for strict in (True, False)
}


class _Loose:
    """A value written with slips, or as Python writes it. Reads each character once."""

    def __init__(self, text: str, position: int, *, python: bool = False) -> None:
        self.position = position
        self.mended = False
        self._text = text
        self._python = python

    def value(self, depth: int) -> JsonValue:
        if depth > MAX_DEPTH:
            raise Malformed(_too_deep())
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case "'" | '"':
                return self._string()
            case _:
                return self._plain()

    def keywords(self) -> dict[str, JsonValue]:
        self._take("(")
        members: dict[str, JsonValue] = {}
        while self._next() != ")":
            name = _WORD.match(self._text, self.position)
            if name is None or not self._text.startswith("=", skip_blank(self._text, name.end())):
                raise Malformed("an argument of it has no name")
            self.position = name.end()
            self._take("=")
            self._add(members, name.group(), self.value(1))
            if not self._comma(")"):
                break
        self._take(")")
        return members

    def _object(self, depth: int) -> dict[str, JsonValue]:
        self._take("{")
        members: dict[str, JsonValue] = {}
        while self._next() != "}":
            if self._next() not in "'\"":
                raise Malformed("a key in it has no quotes")
            key = self._string()
            self._take(":")
            self._add(members, key, self.value(depth + 1))
            if not self._comma("}"):
                break
        self._take("}")
        return members

    def _array(self, depth: int) -> list[JsonValue]:
        self._take("[")
        items: list[JsonValue] = []
        while self._next() != "]":
            items.append(self.value(depth + 1))
            if not self._comma("]"):
                break
        self._take("]")
        return items

    def _add(self, members: dict[str, JsonValue], key: str, value: JsonValue) -> None:
        if key in members:
            raise Malformed(f"the key {shown(key)} comes twice")
        members[key] = value

    def _comma(self, closing: str) -> bool:
        """Take a comma; False where the list is at its end."""
        following = self._next()
        if following == ",":
            self.position += 1
            return True
        if following != closing:
            raise Malformed(f"a comma or {closing} is missing before {shown(self._rest())}")
        return False

    def _plain(self) -> JsonValue:
        number = _NUMBER.match(self._text, self.position)
        if number is not None:
            self.position = number.end()
            digits = number.group()
            return _integer(digits) if digits.lstrip("-").isdigit() else _real(digits)
        word = _WORD.match(self._text, self.position)
        if word is None or word.group() not in _WORDS:
            raise Malformed(f"{shown(self._rest())} is no value")
        self.position = word.end()
        return _WORDS[word.group()]

    def _string(self) -> str:
        quote = self._text[self.position]
        mark = quote * 3 if self._text.startswith(quote * 3, self.position) else quote
        self.position += len(mark)
        parts: list[str] = []
        while True:
            plain = _PLAIN[quote].match(self._text, self.position)
            if plain is None or plain.end() >= len(self._text):
                raise Malformed(CUT_OFF)
            parts.append(plain.group())
            self.position = plain.end()
            if self._text.startswith(mark, self.position):
                break
            parts.append(self._sign(mark))
        self.position += len(mark)
        if self._python and len(mark) == 1 and any("\n" in part for part in parts):
            self.mended = True
        return "".join(parts)

    def _sign(self, mark: str) -> str:
        """A quote that does not end the string, or an escape."""
        character = self._text[self.position]
        if character != "\\":
            self.position += 1
            return character
        if len(mark) > 1 and not self._python:
            raise Malformed("a backslash in triple quotes is no JSON")
        letter = self._text[self.position + 1 : self.position + 2]
        length = _HEX.get(letter, 0)
        digits = self._text[self.position + 2 : self.position + 2 + length]
        self.position += 2 + length
        if length and len(digits) == length and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            return chr(int(digits, 16))
        if length or letter not in _ESCAPES or (letter == "\n" and not self._python):
            raise Malformed(f"\\{letter} is no escape" if letter else CUT_OFF)
        return _ESCAPES[letter]

    def _next(self) -> str:
        """The next character that is no blank, not yet taken."""
        self.position = skip_blank(self._text, self.position)
        if self.position >= len(self._text):
            raise Malformed(CUT_OFF)
        return self._text[self.position]

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise Malformed(f"{character} is missing before {shown(self._rest())}")
        self.position += 1

    def _rest(self) -> str:
        return self._text[self.position : self.position + 20]
