"""Call expressions in an answer, such as `add(1, [2])`: read, never run here.

Owns what is let through: one call of a plain or dotted name whose arguments are literals. Nothing is evaluated but
literals, and nothing that could act is among them.
"""

from __future__ import annotations

import ast
import warnings

MAX_CHARACTERS = 400
"""Of one call."""


def literal_call(text: str) -> str | None:
    """The call in its plain spelling, so that two spellings of one call are equal; None where it is no such call."""
    text = text.strip(" \t`;")
    if not text or len(text) > MAX_CHARACTERS or "\n" in text:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is no reason to speak of it
            call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(call, ast.Call) or not _is_dotted(call.func):
        return None
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    named = all(keyword.arg is not None for keyword in call.keywords)
    return ast.unparse(call) if named and all(map(is_literal, arguments)) else None


def called_name(call: str) -> str:
    """The name that a call of `literal_call` calls."""
    return call.partition("(")[0]


def is_literal(value: ast.expr) -> bool:
    """Whether an expression is a literal that `ast.literal_eval` takes."""
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _is_dotted(function: ast.expr) -> bool:
    while isinstance(function, ast.Attribute):
        if function.attr.startswith("__"):
            return False
        function = function.value
    return isinstance(function, ast.Name) and not function.id.startswith("__")
