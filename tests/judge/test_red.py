"""What is still red, in a line a test."""

from __future__ import annotations

import pytest

from infrastructure.events.catalogue import RedTest
from infrastructure.judge import TestOutcome, TestReport
from infrastructure.judge.red import red_tests, red_text

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome
TRACE = "t.py:3: in test_b\n    assert add(1, 2) == 3\nE   AssertionError: -1 != 3"


def test_red_tests_come_by_name_with_their_exception_and_no_others():
    report = TestReport(
        outcomes={"t.py::b": FAILED, "t.py::a": ERROR, "t.py::c": PASSED, "t.py::d": SKIPPED},
        failures={"t.py::b": TRACE, "t.py::a": "", "t.py::d": "SkipTest: not today"},
    )
    assert red_tests(report) == (
        RedTest(test="t.py::a"),
        RedTest(test="t.py::b", says="AssertionError: -1 != 3"),
    )


def test_program_without_an_exception_says_its_first_line():
    report = TestReport(outcomes={"make test": FAILED}, failures={"make test": "\n\n  calc.c does not add \nmore\n"})
    assert red_tests(report) == (RedTest(test="make test", says="calc.c does not add"),)


def test_run_that_broke_off_comes_first_and_its_command_once():
    report = TestReport(
        outcomes={"pytest": ERROR, "a": FAILED}, crashed="it ran longer than 60 s", command="pytest",
    )  # fmt: skip
    assert [(each.test, each.says) for each in red_tests(report)] == [
        ("pytest", "broken off: it ran longer than 60 s"),
        ("a", ""),
    ]


@pytest.mark.parametrize("says", ["x" * 10_000, "ValueError: " + "x" * 10_000])
def test_line_is_bounded(says):
    (red,) = red_tests(TestReport(outcomes={"a": FAILED}, failures={"a": says}))
    assert len(red.says) == 201


def test_nothing_run_and_nothing_red_is_nothing():
    assert red_tests(None) == red_tests(TestReport(outcomes={"a": PASSED})) == ()


def test_few_are_told_in_a_line():
    red = tuple(RedTest(test=name, says=name and "no") for name in "abc")
    assert red_text(red, 2) == "a (no), b (no) and 1 more"
    assert red_text((RedTest(test="a"),), 2) == "a"
    assert red_text((), 2) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t.py:4: in t\n    assert inc(1) == 2\nE   assert 1 == 2\nE    +  where 1 = inc(1)\n", "assert 1 == 2"),
        (
            "t.py:3: in t\n    with raises(ValueError):\nE   Failed: DID NOT RAISE <class 'ValueError'>",
            "Failed: DID NOT",
        ),
        ("t.py:4: in t\n    raise Thing('no')\nE   pkg.err.Thing: no", "pkg.err.Thing: no"),
        (
            "KeyError: 1\nt.py:4: in t\nE   assert 1 == 2\n---- Captured stdout ----\nValueError: printed",
            "assert 1 == 2",
        ),
        ("E   KeyError: 1\n\nDuring handling\n\nt.py:4: in t\nE   assert 1 == 2", "assert 1 == 2"),
        (
            'E     File "t.py", line 1\nE       def f(:\nE             ^\nE   SyntaxError: invalid syntax',
            "SyntaxError: inv",
        ),
    ],
)
def test_what_pytest_says_was_raised_is_said_also_where_it_names_no_error(text, says):
    (red,) = red_tests(TestReport(outcomes={"t.py::t": FAILED}, failures={"t.py::t": text}))
    assert red.says.startswith(says)
