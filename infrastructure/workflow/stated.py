"""Examples that the task states, as a test file beside the written ones: knowledge, for which no model is asked.

Owns where they are looked for, and which of them are believed: the words of the task, and the docstrings of functions
that it names or calls, in the files of the plan as they are before the change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from agents.answers.asserting import stated_test
from agents.codegen import SourceFile, is_test_path
from infrastructure.judge.agreement import STATED
from infrastructure.judge.examples import defined_functions, documented_examples, stated_examples
from infrastructure.judge.reports import TestReport

EXAMPLES_TEST = "test_examples_of_the_task.py"
"""Where they lie: at the root, from which the project's modules are found. A tester's own file of this name is not
taken, so that nothing else is believed as they are."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")


def examples_file(task: str, files: Sequence[SourceFile], planned: Sequence[str]) -> str | None:
    """The text of the test file; None where the task states no example of a function that is known to be somewhere.

    Args:
        task: The user's words.
        files: Those that matter, as they are before the change.
        planned: The paths that the plan changes or makes.
    """
    homes = {name: file.path for file in reversed(files) if _is_code(file.path) for name in _named(task, file)}
    new = [path for path in planned if _is_code(path)]
    if len(new) == 1:  # a function that is not there yet can only be meant for that file
        homes = dict.fromkeys(_CALLED.findall(task), new[0]) | homes
    found = {each.call: each for each in stated_examples(task, homes)}
    for file in files:
        here = [name for name, path in homes.items() if path == file.path]
        for each in documented_examples(file.content, here):
            found.setdefault(each.call, each)  # the words of the task count more
    return stated_test((homes[each.function], each.function, each.call, each.value) for each in found.values())


def known_shares(tests: Collection[str], before: TestReport | None) -> dict[str, float]:
    """How likely an example is right, for those that are believed more than a written test.

    What is green on the untouched code says what that did, which a task may be about to change.
    """
    green = frozenset[str]() if before is None else before.passed
    return {test: STATED for test in tests if is_example(test) and test not in green}


def is_example(test: str) -> bool:
    """Whether a test, by its id, is one of these."""
    return test.partition("::")[0] == EXAMPLES_TEST


def _named(task: str, file: SourceFile) -> list[str]:
    words = frozenset(_NAME.findall(task))
    return [name for name in defined_functions(file.content) if name in words]


def _is_code(path: str) -> bool:
    return path.endswith(".py") and not is_test_path(path)
