"""Owns tests that say something false: some functions of a right test file, so changed that right code fails them."""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from typing import cast

_Function = ast.FunctionDef | ast.AsyncFunctionDef

_PAIRS = (
    ("assertEqual", "assertNotEqual"),
    ("assertTrue", "assertFalse"),
    ("assertIn", "assertNotIn"),
    ("assertIs", "assertIsNot"),
    ("assertIsNone", "assertIsNotNone"),
    ("assertAlmostEqual", "assertNotAlmostEqual"),
    ("assertIsInstance", "assertNotIsInstance"),
)
_OPPOSITES: Mapping[str, str] = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_COMPARE = frozenset({"assertEqual", "assertAlmostEqual"})


def falsified(source: str, is_false: Callable[[str], bool]) -> str:
    """A Python test file in which some functions expect something false; the file itself where none does.

    The first expectation of such a function is changed: another expected value where that is a literal, else its
    opposite. A function without one that is understood here fails at its end.

    Args:
        source: the file.
        is_false: whether a test function, by its name within the file, is one of them.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    chosen = [function for name, function in _tests(tree) if is_false(name)]
    for function in chosen:
        if not any(_turn(statement) for statement in _statements(function)):
            function.body.append(ast.parse("raise AssertionError('it does something else')").body[0])
    return f"{ast.unparse(ast.fix_missing_locations(tree))}\n" if chosen else source


def _tests(tree: ast.Module) -> Iterator[tuple[str, _Function]]:
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for each in inner:
            if isinstance(each, _Function) and each.name.startswith("test"):
                yield prefix + each.name, each


def _statements(function: _Function) -> Iterator[ast.Assert | ast.Call]:
    """Its expectations, in the order in which they stand."""
    found = [
        each
        for each in ast.walk(function)
        if isinstance(each, ast.Assert)
        or (isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in _OPPOSITES)
    ]
    return iter(sorted(found, key=lambda each: (each.lineno, each.col_offset)))


def _turn(expectation: ast.Assert | ast.Call) -> bool:
    if isinstance(expectation, ast.Assert):
        test = expectation.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            other = _another(test.comparators[0])
            test.comparators[0] = other or test.comparators[0]
            if other is not None:
                return True
        expectation.test = ast.UnaryOp(ast.Not(), test)
        return True
    assert isinstance(expectation.func, ast.Attribute)
    if expectation.func.attr in _COMPARE and len(expectation.args) >= 2:
        other = _another(expectation.args[1])
        if other is not None:
            expectation.args[1] = other
            return True
    expectation.func.attr = _OPPOSITES[expectation.func.attr]
    return True


def _another(expected: ast.expr) -> ast.expr | None:
    """Another value than a literal says; None where it is no literal."""
    try:
        value: object = ast.literal_eval(expected)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    changed = _changed(value)
    return None if changed is None else ast.parse(repr(changed), mode="eval").body


def _changed(value: object) -> object | None:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float() if math.isfinite(value):
            return value + 1 if value + 1 != value else value / 2
        case str():
            return f"{value}x"
        case list() | tuple():
            items = list(cast("list[object]", value))
            fewer = items[:-1] if items else [0]
            return fewer if isinstance(value, list) else tuple(fewer)
        case None:
            return 0
        case _:
            return None
