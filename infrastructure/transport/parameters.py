"""The `parameters` text of `/api/show`: one `name value` a line, as a Modelfile pins them.

Owns its reading. The server pads names to 30 columns and writes strings as Go literals; a name may come more than once.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from agents.model import Options

Value: TypeAlias = "str | int | float | bool"


def parse_parameters(text: str) -> Options:
    """What the text says, by name; `stop`, and whatever else comes twice, is a tuple of its values."""
    found: dict[str, list[Value]] = {}
    for line in text.split("\n"):
        name, _, value = line.strip().partition(" ")
        if name:
            found.setdefault(name, []).append(_value(value.strip()))
    return {
        name: tuple(str(value) for value in values) if name == "stop" or len(values) > 1 else values[0]
        for name, values in found.items()
    }


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if text[:1] in ('"', "`") and text[-1:] == text[:1] and len(text) > 1:
        return _unquoted(text)
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    try:
        # Every escape of a Go string literal means the same in a Python one.
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text[1:-1]
