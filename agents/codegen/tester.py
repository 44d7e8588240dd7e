"""The tester: tests from the plan, by somebody who never sees the code that is being written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agents.answers.asides import without_asides
from agents.answers.changes import FileAnswer
from agents.answers.files import read_files
from agents.codegen.material import PLAN_TRIMS, TASK_BOUND, TASK_LAST, TASK_TRIM, pieces
from agents.errors import UnusableAnswer
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.material import SourceFile, TestFramework
    from agents.codegen.planner import Plan

TO_COMPARE = 16
"""Tests that are asked for where several solutions are told apart by nothing else. With two of five tests wrong, the
best of four is then taken within 3 points of an oracle's choice, by six tests within 14: `python -m
benchmarks.selection`."""
_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TesterQuestion:
    """What the tester is shown.

    Attributes:
        task: The user's words.
        plan: What will be done.
        interfaces: The files as they are before the change, whole or in excerpts; never a candidate's code.
        framework: What the tests are run with.
        existing_tests: Paths of test files that are there already, so that no name is taken twice.
        at_least: How many tests are wanted at least; 0 leaves it to the tester.
    """

    __test__ = False  # pytest takes every imported class called Test… for tests

    task: str
    plan: Plan
    interfaces: tuple[SourceFile, ...] = ()
    framework: TestFramework = "pytest"
    existing_tests: tuple[str, ...] = ()
    at_least: int = 0


def is_test_path(path: str) -> bool:
    """Return whether a path is a test's by the customs of the languages: its folder or its name says so."""
    parts = PurePosixPath(path)
    stem = parts.name.partition(".")[0].lower()
    named = stem.startswith("test_") or stem.endswith(("_test", "_spec")) or parts.name == "conftest.py"
    marked = any(mark in parts.name.lower() for mark in (".test.", ".spec."))
    return named or marked or any(part.lower() in _TEST_FOLDERS for part in parts.parts[:-1])


def _read(text: str, question: TesterQuestion) -> tuple[FileAnswer, ...]:
    """Keep the test files. Other files are left out on purpose: the tester has no say over the code."""
    changes = read_files(text)
    if any(not isinstance(change, FileAnswer) for change in changes):
        raise UnusableAnswer("a test file was given as an edit", "Give each test file whole, under a new name.")
    meant = without_asides(changes, {}).changes
    tests = {change.path: change for change in meant if isinstance(change, FileAnswer)}
    kept = tuple(change for path, change in tests.items() if is_test_path(path))
    taken = [change.path for change in kept if change.path in question.existing_tests]
    if taken:
        raise UnusableAnswer(f"the file {taken[0]} exists already", "Give the tests a new file name.")
    if not kept:
        raise UnusableAnswer(
            f"none of the files is a test file ({', '.join(sorted(tests))})"[:300],
            "Name each test file like tests/test_something.py.",
        )
    return kept


TESTER: Role[TesterQuestion, tuple[FileAnswer, ...]] = Role(
    name="tester",
    prompt="tester/write",
    read=_read,
    options={"temperature": 0.2, "num_predict": 6_144},
    bounds=(TASK_BOUND, Trim(part="existing_tests", rule=Rule.FROM_END, least=100)),
    trims=(
        *pieces("interfaces", keep=3),
        Trim(part="existing_tests", rule=Rule.FROM_END, least=20),
        *PLAN_TRIMS,
        TASK_TRIM,
        Trim(part="interfaces", rule=Rule.FROM_END),
        Trim(part="existing_tests", rule=Rule.FROM_END),
        TASK_LAST,
    ),
)
