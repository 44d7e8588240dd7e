"""Tests that could not be run at all: the first error, and what a person can do."""

import sys
from pathlib import Path

import pytest

from infrastructure.judge import TestOutcome, TestPlan, TestReport, judge_files, plan_tests, run_tests
from infrastructure.judge.explaining import explained
from infrastructure.judge.reports import error_line, uncollected_text
from infrastructure.workspace import Tree

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome
MISSING = "test_a.py:1: in <module>\n    import numpy\nE   ModuleNotFoundError: No module named 'numpy'"
OWN, OTHER = Path(sys.executable), Path("/env/bin/python")


def plan(framework: str = "pytest", interpreter: Path = OTHER) -> TestPlan:
    return TestPlan(framework=framework, argv=(framework,), arguments=(), judge="found", interpreter=interpreter)


def broken(text: str, *more: str) -> TestReport:
    outcomes = {"test_a.py": ERROR, **dict.fromkeys(more, ERROR)}
    return TestReport(outcomes=outcomes, failures=dict.fromkeys(outcomes, text), command="pytest")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (MISSING, "ModuleNotFoundError: No module named 'numpy'"),
        ("Traceback (most recent call last):\n  File ...\nValueError: no\n", "ValueError: no"),
        ("KeyError: 'a'\n\nDuring handling of it:\n\npkg.errors.SetupError: b", "pkg.errors.SetupError: b"),
        ('E     File "test_a.py", line 1\nE       def (\nE   SyntaxError: bad', "SyntaxError: bad"),
        ("INTERNALERROR> OSError: full", "OSError: full"),
        ("ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: --cov=a\n  rootdir: .",
         "unrecognized arguments: --cov=a"),
        ("ERROR: file or directory not found: gone.py\n", "file or directory not found: gone.py"),
        ("E   AssertionError", "AssertionError"),
        ("E       assert 1 == 2\nall is well\nno Error here, said: nothing", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_error_is_found_in_what_was_said(text: str, line: str) -> None:
    assert error_line(text) == line


def test_long_error_is_cut() -> None:
    assert len(error_line(f"ValueError: {'x' * 5000}")) < 250


def test_first_file_that_could_not_be_collected_is_named_with_its_error() -> None:
    assert uncollected_text(broken(MISSING, "test_b.py", "test_b.py::T")) == (
        "test_a.py and 1 more could not be collected: ModuleNotFoundError: No module named 'numpy'"
    )
    assert uncollected_text(TestReport(outcomes={"test_a.py::t": FAILED, "t": PASSED})) == ""
    assert uncollected_text(broken("")) == ""


@pytest.mark.parametrize(
    ("report", "how", "parts"),
    [
        (broken(MISSING), plan(), ["pytest: test_a.py could not", "'numpy'; install it where the tests run (/env/"]),
        (broken(MISSING), plan(interpreter=OWN), ["make an environment with it in .venv", "Corral's own"]),
        (broken("E   SyntaxError: bad"), plan(), ["SyntaxError: bad; mend the file", "/env/bin/python"]),
        (broken("E   ImportError: cannot import name 'x'"), plan(), ["test_a.py could not", "cannot import name 'x'"]),
        (TestReport(outcomes={}, crashed="pytest … 4: ModuleNotFoundError: No module named 'pandas'"), plan(),
         ["No module named 'pandas'; install it where"]),
        (TestReport(outcomes={}, crashed="pytest … 4: unrecognized arguments: --cov"), plan(),
         ["unrecognized arguments: --cov; a plugin of pytest's may be missing"]),
        (TestReport(outcomes={"make": FAILED}, output="ModuleNotFoundError: No module named 'yaml'", command="make"),
         plan("command"), ["command: ModuleNotFoundError", "install it where"]),
    ],
)  # fmt: skip
def test_what_keeps_tests_from_running_is_said_with_what_to_do(report, how, parts: list[str]) -> None:
    said = explained(report, how, ["test_a.py", "calc.py", "src/own/__init__.py"])
    assert [part for part in parts if part not in said] == []
    assert len(said) < 300, "a line of the command line"


@pytest.mark.parametrize("module", ["calc", "calc.new", "own", "own.deep.part"])
def test_module_of_the_project_that_is_not_there_yet_needs_no_installing(module: str) -> None:
    report = broken(f"E   ModuleNotFoundError: No module named '{module}'")
    said = explained(report, plan(), ["test_a.py", "calc.py", "src/own/__init__.py"])
    assert said == f"pytest: test_a.py could not be collected: ModuleNotFoundError: No module named '{module}'"


@pytest.mark.parametrize(
    "report",
    [
        TestReport(outcomes={"test_a.py::t": PASSED}),
        TestReport(outcomes={"test_a.py::t": FAILED}, failures={"test_a.py::t": "E   ValueError: no"}),
        TestReport(outcomes={}),
        TestReport(outcomes={"test_a.py::t": ERROR}, crashed="stopped after 60 s (timeout)"),
    ],
)
def test_tests_that_ran_are_not_explained(report: TestReport) -> None:
    assert explained(report, plan(), ["test_a.py"]) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"test_a.py": "import no_such_dependency\ndef test_a(): pass\n"},
            "could not be collected: ModuleNotFoundError",
        ),
        ({"test_a.py": "import unittest, no_such_dependency\n"}, "unittest: test_a.py could not be collected"),
        (
            {"conftest.py": "import no_such_dependency\n", "test_a.py": "def test_a(): pass\n"},
            "ended with 4: ModuleNot",
        ),
        ({"test_a.py": "def test_a(:\n    pass\n"}, "test_a.py could not be collected: SyntaxError"),
        ({"conftest.py": "def x(:\n", "test_a.py": "def test_a(): pass\n"}, "ended with 4: SyntaxError"),
        ({"conftest.py": "1/0\n", "test_a.py": "def test_a(): pass\n"}, ""),
    ],
)
async def test_real_runs_are_explained(take, sandbox, files: dict[str, str], said: str) -> None:
    snapshot = await take(files)
    found = await plan_tests(snapshot)
    assert found is not None
    report = await run_tests(sandbox, Tree(snapshot.root), found, await judge_files(snapshot))
    text = explained(report, found, snapshot.files)
    if said:
        assert said in text
        assert "; " in text, "there is advice"
    else:
        assert "ZeroDivisionError: division by zero" in (report.crashed or "")
