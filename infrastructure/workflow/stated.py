"""Examples that the task states, as a test file beside the written ones: knowledge, for which no model is asked.

Owns where they are looked for, and which of them are believed: the words of the task, and the docstrings of functions
that it names or calls, in the files of the plan as they are before the change. And which of them decide nothing:
what was so before the change may be just what is to be mended, and a docstring may have been wrong all along.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from agents.answers.asserting import stated_test
from agents.codegen import SourceFile, is_test_path
from infrastructure.judge.agreement import STATED
from infrastructure.judge.examples import (
    Example,
    defined_functions,
    defined_methods,
    documented_examples,
    stated_examples,
    unwritten_functions,
)
from infrastructure.judge.reports import TestReport

EXAMPLES_TEST = "test_examples_of_the_task.py"
"""Where they lie: at the root, from which the project's modules are found. A tester's own file of this name is not
taken, so that nothing else is believed as they are."""
_IMPORT = re.compile(r"^\s*from [\w.]+ import \w+\s*$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*")
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
_SIGNATURE = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?:\((?:\)|(?!True\b|False\b|None\b)[A-Za-z_*])|(?![\w(]))")
"""A name by itself, or called with names: what a task asks for, where `round(2.5)` may be what Python does."""
_METHOD = re.compile(r"\bmethods?\W+([A-Za-z_]\w*)", re.IGNORECASE)


def examples_file(task: str, files: Sequence[SourceFile], planned: Sequence[str]) -> str | None:
    """The text of the test file; None where the task states no example of a function that is known to be somewhere.

    Args:
        task: The user's words.
        files: Those that matter, as they are before the change.
        planned: The paths that the plan changes or makes.
    """
    found_in = [(name, file.path) for file in files if _is_code(file.path) for name in _named(task, file)]
    homes = dict(found_in)
    new = [path for path in planned if _is_code(path)]
    if len(new) == 1:  # a function that is not there yet can only be meant for that file
        there = next((file.content for file in files if file.path == new[0]), "")
        homes = dict.fromkeys(_asked_for(task, there), new[0]) | homes
    several = {name for name, path in found_in if homes[name] != path}
    homes = {name: path for name, path in homes.items() if name not in several}  # which of them is meant is not known
    found = {each.call: each for each in stated_examples(task, homes)}
    documented: dict[str, Example] = {}
    for file in files:
        here = [name for name, path in homes.items() if path == file.path]
        unwritten = frozenset(unwritten_functions(file.content))
        for each in documented_examples(file.content, here):
            if each.call not in found:  # the words of the task count more
                (found if each.function in unwritten else documented).setdefault(each.call, each)
    there = frozenset(name for name, _ in found_in)
    return stated_test(
        {
            "Stated": _cases((each for each in found.values() if each.function in there), homes),
            "Planned": _cases((each for each in found.values() if each.function not in there), homes),
            "Documented": _cases(documented.values(), homes),
        }
    )


def _asked_for(task: str, there: str) -> list[str]:
    """The called names that can only be functions to be written.

    None is of Python's own or a method, of the file as it is or by the words of the task; one of several must stand
    somewhere without values.
    """
    known = {*dir(builtins), *defined_methods(there), *_METHOD.findall(task)}
    called = [name for name in dict.fromkeys(_CALLED.findall(task)) if name not in known]
    meant = frozenset(_SIGNATURE.findall(task))
    return called if len(called) == 1 else [name for name in called if name in meant]


def _cases(found: Iterable[Example], homes: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    return [(homes[each.function], each.function, each.call, each.value) for each in found]


def known_shares(tests: Collection[str], before: TestReport | None) -> dict[str, float]:
    """How likely an example is right, for those that are believed more than a written test.

    What is green on the untouched code says what that did, which a task may be about to change.
    """
    green = frozenset[str]() if before is None else before.passed
    believed = (test for test in tests if is_example(test) and not _is_of(test, "Documented"))
    return {test: STATED for test in believed if test not in green}


def deciding(before: TestReport | None, after: TestReport) -> tuple[TestReport | None, TestReport]:
    """Two reports without the examples that decide nothing, so that none of them can make a right patch fail.

    1. Green on the untouched code: it says what that did, as a report of a bug does.
    2. In the docstring of a function that does something already, and red: the code contradicted it before. Where it
       turned green, it stays.
    3. Of a function that is there and could not be imported, and red: the project may name its modules in another way,
       or load only where more is there. Where it turned green, it stays.
    """
    if before is None:
        return None, after
    failed = [test for test, text in before.failures.items() if _IMPORT.search(text) and not _is_of(test, "Planned")]
    idle = {test for test in before.passed | after.red if is_example(test)}
    idle = {test for test in idle if test in before.passed.union(failed) or _is_of(test, "Documented")}
    return _without(before, idle), _without(after, idle)


def is_example(test: str) -> bool:
    """Whether a test, by its id, is one of these."""
    return test.partition("::")[0] == EXAMPLES_TEST


def _is_of(test: str, suite: str) -> bool:
    return test.split("::")[1:2] == [suite]


def _without(report: TestReport, tests: Collection[str]) -> TestReport:
    outcomes = {test: outcome for test, outcome in report.outcomes.items() if test not in tests}
    failures = {test: text for test, text in report.failures.items() if test not in tests}
    return replace(report, outcomes=outcomes, failures=failures)


def _named(task: str, file: SourceFile) -> list[str]:
    words = frozenset(_NAME.findall(task))
    return [name for name in defined_functions(file.content) if name in words]


def _is_code(path: str) -> bool:
    return path.endswith(".py") and not is_test_path(path)
