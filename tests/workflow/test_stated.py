"""Examples that a task states become a test file: where they are looked for, and what the file says."""

from __future__ import annotations

import ast

import pytest

from agents.codegen import SourceFile
from infrastructure.workflow.stated import examples_file

STUB = 'def f(x):\n    """\n    >>> f(1)\n    2\n    """\n\n\ndef g(x):\n    """g(1) == 5"""\n'


def lines(task: str, *files: SourceFile, planned: tuple[str, ...] = ()) -> list[str]:
    """What the file imports and expects; nothing where there is none."""
    text = examples_file(task, files, planned)
    if text is None:
        return []
    ast.parse(text)
    return [line.strip() for line in text.splitlines() if "from " in line or "self.assert" in line]


def test_docstring_of_a_function_that_the_task_names_is_read_and_no_other():
    found = lines("Implement f in app/calc.py.", SourceFile("app/calc.py", STUB))
    assert found == ["from app.calc import f", "self.assertEqual(f(1), 2)"]
    assert lines("Implement it.", SourceFile("calc.py", STUB)) == []


def test_words_of_the_task_count_for_a_function_that_is_there_or_planned():
    assert lines("Make it so that f(3) gives 0.25.", SourceFile("calc.py", STUB))[:2] == [
        "from calc import f", "self.assertAlmostEqual(f(3), 0.25)",
    ]  # fmt: skip
    assert lines("Write h: h(3) gives 4", planned=("new.py", "test_new.py")) == [
        "from new import h", "self.assertEqual(h(3), 4)",
    ]  # fmt: skip
    assert lines("Write h: h(3) gives 4", planned=("new.py", "other.py")) == [], "which of the two is not known"
    assert lines("Write h: h(3) gives 4") == []


def test_words_of_the_task_count_more_than_a_docstring():
    found = lines("Change f: f(1) gives 3. Nothing else", SourceFile("calc.py", STUB), planned=("calc.py",))
    assert found == ["from calc import f", "self.assertEqual(f(1), 3)"]


@pytest.mark.parametrize("path", ["calc.txt", "tests/test_calc.py", "my-calc.py"])
def test_file_that_no_test_can_import_from_has_none(path: str):
    assert lines("Implement f", SourceFile(path, STUB)) == []
