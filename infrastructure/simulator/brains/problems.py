"""Owns HumanEval problems as tasks of the oracle: the canonical solution it answers, and tests of its own for them.

The task's words are those that `corral batch` and `corral eval` make of a problem: they name it as `(problem ID)`.
"""

import ast
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, field_validator

from infrastructure.simulator.brains.tasks import Task

SOLUTION = "solution.py"
MOST_TESTS = 12
"""Of the test functions that are made of a problem's `check`; a tester writes few."""


class KnownProblem(BaseModel):
    """A problem whose solution the line gives."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    @field_validator("test")
    @classmethod
    def _parses(cls, test: str) -> str:
        try:
            ast.parse(test)
        except SyntaxError as error:
            raise ValueError(f"it is no Python: {error.msg}") from error
        return test

    def task(self) -> Task:
        """What the oracle says about it."""
        return Task(
            id=self.task_id,
            match=(f"(problem {self.task_id})",),
            files={SOLUTION: f"{self.prompt.rstrip()}\n{self.canonical_solution.rstrip()}\n"},
            tests={f"test_written_{self.entry_point}.py": split_tests(self.test, self.entry_point)},
            plan=(f"Write the body of {self.entry_point}.",),
        )


def split_tests(test: str, entry_point: str) -> str:
    """A unittest file in which each assert of `check(candidate)` is a test function of its own.

    What stands before an assert and asserts nothing goes with it; a loop over asserts is one test. A `test` without
    such a function becomes one test that calls it.
    """
    tree = ast.parse(test)
    check = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"), None)
    others = [ast.unparse(node) for node in tree.body if node is not check and not _is_metadata(node)]
    bodies = [] if check is None else list(_bodies(check))
    called = check.args.args[0].arg if check is not None and check.args.args else "candidate"
    if not bodies:
        bodies = ["pass" if check is None else f"check({called})"]
        others += [] if check is None else [ast.unparse(check)]
    lines = ["import unittest", "", "from solution import *", f"from solution import {entry_point} as {called}", ""]
    lines += [*others, "", "", "class WrittenTest(unittest.TestCase):"]
    for number, body in enumerate(bodies[:MOST_TESTS], 1):
        lines += [f"    def test_{number}(self):", *(f"        {line}" for line in body.splitlines()), ""]
    return "\n".join(lines)


def _bodies(check: ast.FunctionDef) -> Iterator[str]:
    before: list[ast.stmt] = []
    for statement in check.body:
        if not _asserts(statement):
            before.append(statement)
        elif not _says_nothing(statement):
            yield _written((*before, statement))


def _written(statements: Sequence[ast.stmt]) -> str:
    return ast.unparse(ast.Module([*statements], []))


def _asserts(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(statement))


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Constant)


def _is_metadata(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["METADATA"]
