"""Arithmetic as a person writes it, worked out without running anything.

Owns the grammar and its bounds: length, depth, and the size of every number before it is made, so no expression takes
longer than a blink. Whole numbers stay exact. Pure.

    expression = operand, { operator, operand }      loosest to tightest:  + -    * / // %    - + (sign)    **
    operand    = number | name | name ( expression, … ) | ( expression )
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Number: TypeAlias = int | float

MOST_CHARACTERS = 1_000
MOST_DEPTH = 50
MOST_BITS = 4_096
"""Of a whole number: about 1,230 digits."""
_MOST_FACTORIAL = 400

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>(?:math\.)?[A-Za-z]\w*)|(?P<sign>\*\*|//|[-+*/%(),^]))"
)
_TIGHTNESS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 4}
_SIGN = 3
_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}


class BadExpression(Exception):
    """It cannot be worked out; the message says why."""


def calculate(expression: str) -> Number:
    """The value of an expression; a whole number wherever the exact result is one.

    Raises:
        BadExpression: It is none, divides by zero, or is larger than the bounds.
    """
    if len(expression) > MOST_CHARACTERS:
        raise BadExpression(f"it has {len(expression):,} characters, more than {MOST_CHARACTERS:,}")
    reader = _Reader(_tokens(expression))
    try:
        value = reader.expression(0, 0)
        reader.must_end()
        return _kept(value)
    except ZeroDivisionError as error:
        raise BadExpression("it divides by zero") from error
    except OverflowError as error:
        raise BadExpression("a number in it is too large") from error
    except ValueError as error:
        raise BadExpression(f"it is not defined there: {error}") from error
    except TypeError as error:
        raise BadExpression("a function in it takes another number of values, or whole numbers only") from error


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        found = _TOKEN.match(expression, position)
        if found is None:
            rest = expression[position:].strip()
            raise BadExpression(
                f"{rest[:20]!r} is no number, operator or name; it takes + - * / // % ** ( ) and functions"
            )
        tokens.append(found[0].strip())
        position = found.end()
    return tokens


@dataclass(slots=True)
class _Reader:
    """Reads by how tightly operators bind, and works out as it reads."""

    tokens: Sequence[str]
    position: int = 0

    def expression(self, tightness: int, depth: int) -> Number:
        """Read as far as operators bind tighter than `tightness`."""
        if depth > MOST_DEPTH:
            raise BadExpression(f"it is nested deeper than {MOST_DEPTH}")
        value = self._operand(depth)
        while _TIGHTNESS.get(self._next(), 0) > tightness:
            operator = self._take()
            # The right side of ** binds from the right: 2 ** 3 ** 2 is 2 ** 9.
            below = _TIGHTNESS[operator] - (1 if operator == "**" else 0)
            value = _kept(_apply(operator, value, self.expression(below, depth + 1)))
        return value

    def must_end(self) -> None:
        """Refuse what is left over."""
        if self._next() == "^":
            raise BadExpression("write ** for a power")
        if self._next():
            raise BadExpression(f"{self._next()[:20]!r} stands where an operator is wanted")

    def _next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._next()
        if wanted and token != wanted:
            raise BadExpression(f"{wanted!r} is missing" + (f" before {token[:20]!r}" if token else " at the end"))
        self.position += 1
        return token

    def _operand(self, depth: int) -> Number:
        token = self._take()
        if token in ("-", "+"):
            value = self.expression(_SIGN, depth + 1)
            return -value if token == "-" else value
        if token == "(":
            value = self.expression(0, depth + 1)
            self._take(")")
            return value
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token)
        if token[:1].isalpha():
            return self._named(token, depth)
        raise BadExpression(
            f"{token[:20]!r} stands where a number is wanted" if token else "a number is missing at the end"
        )

    def _named(self, name: str, depth: int) -> Number:
        name = name.removeprefix("math.").lower()
        if self._next() != "(":
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            raise BadExpression(f"there is no constant {name[:20]!r}: there are {', '.join(_CONSTANTS)}")
        function = _FUNCTIONS.get(name)
        if function is None:
            raise BadExpression(f"there is no function {name[:20]!r}: there are {', '.join(sorted(_FUNCTIONS))}")
        self._take("(")
        values = [self.expression(0, depth + 1)]
        while self._next() == ",":
            self._take()
            values.append(self.expression(0, depth + 1))
        self._take(")")
        return _kept(function(*values))


def _number(token: str) -> Number:
    digits = token.replace("_", "")
    return _kept(int(digits) if digits.isdigit() else float(digits))


def _apply(operator: str, left: Number, right: Number) -> Number:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right  # both are kept small, so the product is too
        case "/":
            return _divided(left, right)
        case "//":
            return left // right
        case "%":
            return left % right
        case _:
            return _power(left, right)


def _divided(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and abs(base).bit_length() * exponent > MOST_BITS + abs(base).bit_length():
            raise OverflowError
        return base**exponent
    value: object = base**exponent
    if not isinstance(value, int | float):
        raise BadExpression("its value is no real number")
    return value


def _factorial(value: Number) -> int:
    if value > _MOST_FACTORIAL:
        raise OverflowError
    return math.factorial(int(value)) if value == int(value) else math.factorial(value)  # pyright: ignore[reportArgumentType]


def _root(value: Number) -> Number:
    exact = math.isqrt(value) if isinstance(value, int) and value >= 0 else -1
    return exact if exact >= 0 and exact * exact == value else math.sqrt(value)


def _rounded(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > 300:
        raise OverflowError
    return round(value, digits) if digits else round(value)


def _size(value: Number) -> Number:
    return abs(value)


def _largest(*values: Number) -> Number:
    return max(values)


def _smallest(*values: Number) -> Number:
    return min(values)


def _kept(value: Number) -> Number:
    """The value, where it is within the bounds."""
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise OverflowError
        return value
    if not math.isfinite(value):
        raise OverflowError
    return value


_FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": _size,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": _largest,
    "min": _smallest,
    "round": _rounded,
    "sin": math.sin,
    "sqrt": _root,
    "tan": math.tan,
}
