"""A test from what a call gives, which a person answered or a task states: a file of Python's unittest. Pure."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from keyword import iskeyword

from agents.answers.calls import called_name

RAISES = "raises "
ABOUT = "about "
"""Before a number that words state: it differs by less than one in its last digit."""


def answered_test(file: str, call: str, answer: str) -> str | None:
    """The text of a test file that holds a call to an answer.

    Args:
        file: Path of the Python file that has the function.
        call: A call of `literal_call`.
        answer: The literal that it gives, or `raises ValueError`.

    Returns:
        None where the answer is neither, so that no test can say it.
    """
    expectation = _expectation(call, answer)
    module = _module(file)
    if expectation is None or module is None:
        return None
    name = called_name(call).partition(".")[0]
    return (
        '"""What a person said when candidates were split."""\n\n'
        "import unittest\n\n"
        f"from {module} import {name}\n\n\n"
        "class Answered(unittest.TestCase):\n"
        "    def test_as_it_was_answered(self) -> None:\n"
        f"{expectation}"
    )


def stated_test(suites: Mapping[str, Iterable[tuple[str, str, str, str]]]) -> str | None:
    """The text of a test file that holds functions to examples, a test for each, which imports what it needs itself.

    Args:
        suites: By the name of a class, for each of its tests: the path of the Python file, the function's name in it,
            a call of it, and what that gives: a literal, `about 3.14`, or `raises ValueError`.

    Returns:
        None where no test can say any of them.
    """
    tests = {name: _tests(cases) for name, cases in suites.items()}
    if not any(tests.values()):
        return None
    head = '"""What the task says that its functions give."""\n\nimport unittest\n'
    classes = (f"\n\nclass {name}(unittest.TestCase):\n" + "\n".join(each) for name, each in tests.items() if each)
    return head + "".join(classes)


def _tests(cases: Iterable[tuple[str, str, str, str]]) -> list[str]:
    tests: list[str] = []
    for file, name, call, gives in cases:
        expectation, module = _expectation(call, gives, near=True), _module(file)
        if expectation is not None and module is not None:
            tests.append(
                f"    def test_{name}_{len(tests) + 1}(self) -> None:\n"
                f"        from {module} import {name}\n\n"
                f"{expectation}"
            )
    return tests


def typed_answer(text: str) -> str | None:
    """What a typed text says that a call gives, as Python shows it: a literal, or `raises ValueError`; else None."""
    raised = _raised(text.strip())
    if raised is not None:
        return f"{RAISES}{raised}"
    literal = _literal(text)
    return None if literal is None else repr(ast.literal_eval(literal))


def _expectation(call: str, answer: str, *, near: bool = False) -> str | None:
    """The line of the test; with `near` a float may differ from the seventh digit behind the point on."""
    if answer.startswith(ABOUT):
        number = answer.removeprefix(ABOUT)
        return f"        self.assertAlmostEqual({call}, {number}, delta=1e-{len(number.partition('.')[2])})\n"
    raised = _raised(answer)
    if raised is not None:
        return f"        with self.assertRaises({raised}):\n            {call}\n"
    literal = _literal(answer)
    if literal is None:
        return None
    rounded = near and isinstance(ast.literal_eval(literal), float)
    return f"        self.assert{'Almost' if rounded else ''}Equal({call}, {literal})\n"


def _raised(answer: str) -> str | None:
    if not answer.startswith(RAISES):
        return None
    name = answer.removeprefix(RAISES).strip()
    known = getattr(builtins, name, None)
    return name if isinstance(known, type) and issubclass(known, BaseException) else None


def _literal(answer: str) -> str | None:
    try:
        value = ast.parse(answer.strip(), mode="eval").body
        ast.literal_eval(value)
        return ast.unparse(value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _module(file: str) -> str | None:
    parts = file.removesuffix(".py").removeprefix("src/").split("/")
    return ".".join(parts) if all(part.isidentifier() and not iskeyword(part) for part in parts) else None
