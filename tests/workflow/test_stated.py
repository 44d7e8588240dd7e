"""Examples that a task states become a test file: where they are looked for, and what the file says."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from agents.codegen import SourceFile
from infrastructure.judge.reports import TestOutcome as Ended
from infrastructure.judge.reports import TestReport as Report
from infrastructure.workflow.stated import EXAMPLES_TEST, deciding, examples_file

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
        "from calc import f", "self.assertAlmostEqual(f(3), 0.25, delta=1e-2)",
    ]  # fmt: skip
    assert lines("Write h: h(3) gives 4", planned=("new.py", "test_new.py")) == [
        "from new import h", "self.assertEqual(h(3), 4)",
    ]  # fmt: skip
    assert lines("Write h: h(3) gives 4", planned=("new.py", "other.py")) == [], "which of the two is not known"
    assert lines("Write h: h(3) gives 4") == []


@pytest.mark.parametrize(
    "task",
    [
        "Create new.py with slug(text). Round as Python does: round(2.5) == 2.",
        "Create new.py with slug(text). It is as with gcd(4, 6) == 2.",
        "Add a method push(x) to class Stack in new.py. s.push(1) returns 1.",
        "Add a method push to class Stack in new.py. push(1) returns 1.",
        "Change class Stack: pop() returns 1.",
    ],
)
def test_called_name_that_is_no_function_to_be_written_has_no_example(task: str):
    assert lines(task, SourceFile("new.py", "class Stack:\n    def pop(self): ...\n"), planned=("new.py",)) == []


def test_function_to_be_written_may_be_called_beside_others():
    found = lines("Write slug(text) as gcd(4, 6) == 2: slug('A') == 'a'. So s.slug('B') == 'c'.", planned=("new.py",))
    assert found == ["from new import slug", "self.assertEqual(slug('A'), 'a')"]


def test_function_that_several_files_have_has_no_example():
    files = [SourceFile("calc.py", STUB), SourceFile("other.py", "def f(x):\n    return 0\n")]
    assert lines("f(3) gives 4 and g(3) gives 5", *files, planned=("calc.py",)) == [
        "from calc import g", "self.assertEqual(g(3), 5)",
        "from calc import g", "self.assertEqual(g(1), 5)",
    ]  # fmt: skip


def test_words_of_the_task_count_more_than_a_docstring():
    found = lines("Change f: f(1) gives 3. Nothing else", SourceFile("calc.py", STUB), planned=("calc.py",))
    assert found == ["from calc import f", "self.assertEqual(f(1), 3)"]


@pytest.mark.parametrize("path", ["calc.txt", "tests/test_calc.py", "my-calc.py", "lambda/calc.py"])
def test_file_that_no_test_can_import_from_has_none(path: str):
    assert lines("Implement f", SourceFile(path, STUB)) == []


def test_docstring_of_a_function_that_does_something_is_a_class_of_its_own():
    written = SourceFile("calc.py", STUB.replace('5"""', '5"""\n    return 5'))
    text = examples_file("Implement f, g: g(2) gives 5", [written], ["calc.py"])
    assert text is not None
    found = {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    assert list(found) == ["Stated", "Documented"]
    assert "f(1), 2" in found["Stated"]
    assert "g(2), 5" in found["Stated"]
    assert "g(1), 5" in found["Documented"]


def ended(**tests: str) -> Report:
    """`Stated_a="+"` passed, `-` is red."""
    outcomes = {f"{EXAMPLES_TEST}::{name.replace('_', '::')}": end for name, end in tests.items()}
    outcomes["t.py::a"] = "-"
    return Report(
        outcomes={test: Ended.PASSED if end == "+" else Ended.FAILED for test, end in outcomes.items()},
        failures={test: "no" for test, end in outcomes.items() if end == "-"},
    )


def test_example_that_was_so_before_or_that_a_docstring_has_wrong_decides_nothing():
    before = ended(Stated_was="+", Stated_a="-", Documented_was="+", Documented_a="-", Documented_b="-")
    after = ended(Stated_was="-", Stated_a="-", Documented_was="-", Documented_a="-", Documented_b="+")
    assert deciding(before, after) == (
        ended(Stated_a="-", Documented_b="-"), ended(Stated_a="-", Documented_b="+"),
    )  # fmt: skip
    assert deciding(None, after) == (None, after)


def test_example_that_could_not_be_imported_from_where_its_function_is_decides_nothing():
    def loaded(*, after: bool) -> Report:
        report = ended(Stated_a="-", Stated_b="+" if after else "-", Planned_a="-")
        text = (
            "  line 9, in test\n    from backend.app.calc import f\nModuleNotFoundError: No module named 'backend.app'"
        )
        return replace(report, failures=dict.fromkeys(report.red, text))

    before, after = deciding(loaded(after=False), loaded(after=True))
    assert before is not None
    assert "Stated::a" not in " ".join((*before.outcomes, *after.outcomes))
    assert after.passed == {f"{EXAMPLES_TEST}::Stated::b"}, "the patch makes it load"
    assert f"{EXAMPLES_TEST}::Planned::a" in after.red, "nothing can be imported before it is there"
