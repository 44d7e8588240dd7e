"""Real output of pytest and unittest, cut to what a repair needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.judge import failing_text
from infrastructure.judge.localising import localised, shortened

CODE = """import json

def parse(text, depth=0):
    if depth > 3:
        return json.loads(text)
    return parse(text, depth + 1)

def add(a, b):
    return a - b

def forever(n):
    return forever(n + 1)

def big():
    return {f"key{i}": list(range(i)) for i in range(60)}
"""
PYTEST = """import pytest
from app import core

@pytest.fixture
def broken():
    raise RuntimeError("no database")

def test_add():
    assert core.add(2, 3) == 5

def test_big():
    assert core.big() == {}

def test_deep():
    core.parse("{bad")

def test_fixture(broken):
    pass

def test_forever():
    core.forever(0)

def test_raises():
    with pytest.raises(ValueError):
        core.add(1, 2)
"""
UNITTEST = """import unittest
from app import core

class Core(unittest.TestCase):
    maxDiff = None

    def test_add(self):
        for i in range(1, 3):
            with self.subTest(i=i):
                self.assertEqual(core.add(i, 1), i + 1)

    def test_big(self):
        self.assertEqual(core.big(), {"a": 1})

    def test_chain(self):
        try:
            core.parse("{bad")
        except ValueError as error:
            raise RuntimeError("could not load") from error

    def test_forever(self):
        core.forever(0)
"""


async def feedback(run: Callable, tests: str, code: str = CODE) -> dict[str, list[str]]:
    """What a role is told of each red test, by its name."""
    report = await run({"app/__init__.py": "", "app/core.py": code, "tests/test_core.py": tests})
    told: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in failing_text(report, 20_000).splitlines()[1:]:
        if line.startswith(("FAILED tests/", "ERROR tests/")):
            lines = told.setdefault(line.rpartition("::")[2].rpartition("/")[2], [])
        else:
            lines.append(line)
    return told


def ours(lines: list[str]) -> bool:
    """Whether no frame of the library or of an installed package is shown."""
    return not any("site-packages" in line or "json/decoder" in line or "importlib" in line for line in lines)


async def test_pytest_feedback_names_the_test_the_expected_and_the_place(run: Callable) -> None:
    told = await feedback(run, PYTEST)
    assert told["test_add"][:3] == [
        "tests/test_core.py:9: in test_add",
        "    assert core.add(2, 3) == 5",
        "E   assert -1 == 5",
    ]
    assert told["test_fixture"] == [
        "tests/test_core.py:6: in broken",
        '    raise RuntimeError("no database")',
        "E   RuntimeError: no database",
    ]
    assert told["test_raises"][-1] == "E   Failed: DID NOT RAISE ValueError"
    assert told["test_deep"][0] == "tests/test_core.py:15: in test_deep"
    assert told["test_deep"][-3:-1] == ["app/core.py:5: in parse", "    return json.loads(text)"]
    assert "JSONDecodeError" in told["test_deep"][-1]
    assert all(ours(lines) for lines in told.values())


async def test_long_difference_keeps_the_assertion_and_loses_its_middle(run: Callable) -> None:
    told = await feedback(run, PYTEST)
    assert told["test_big"][:2] == ["tests/test_core.py:12: in test_big", "    assert core.big() == {}"]
    assert any("left out" in line or line == "…" for line in told["test_big"])


@pytest.mark.parametrize("tests", [PYTEST, UNITTEST], ids=["pytest", "unittest"])
async def test_recursion_is_told_once(run: Callable, tests: str) -> None:
    lines = (await feedback(run, tests))["test_forever"]
    assert sum("return forever(n + 1)" in line for line in lines) <= 3
    assert any("more times]" in line for line in lines)
    assert any("RecursionError" in line for line in lines)


async def test_unittest_feedback_names_the_test_the_expected_and_the_place(run: Callable) -> None:
    told = await feedback(run, UNITTEST)
    assert told["test_add"][-1] == "AssertionError: 0 != 2"
    assert any("(i=1)" in line for line in told["test_add"])
    assert any('File "tests/test_core.py", line 10, in test_add' in line for line in told["test_add"])
    assert any("{'a': 1}" in line for line in told["test_big"])
    assert told["test_chain"][-1] == "RuntimeError: could not load"
    assert any("JSONDecodeError" in line for line in told["test_chain"])
    assert all(ours(lines) for lines in told.values())


@pytest.mark.parametrize("tests", [PYTEST, UNITTEST], ids=["pytest", "unittest"])
async def test_file_that_does_not_load_is_told_by_its_own_frames(run: Callable, tests: str) -> None:
    told = await feedback(run, tests, "def add(a, b:\n    return a\n")
    lines = told["test_core.py"]
    assert any("SyntaxError" in line for line in lines)
    assert any("app/core.py" in line for line in lines)
    assert any(line.strip("E ") == "^" for line in lines), "where in the line"
    assert ours(lines)


@pytest.mark.parametrize("tests", [PYTEST, UNITTEST], ids=["pytest", "unittest"])
async def test_missing_module_is_told_by_its_own_frames(run: Callable, tests: str) -> None:
    told = await feedback(run, tests, "from app.missing import thing\n")
    assert any("app.missing" in line for line in told["test_core.py"])
    assert ours(told["test_core.py"])


def test_traceback_of_foreign_frames_alone_stays() -> None:
    text = "/usr/lib/python3.11/json/decoder.py:337: in decode\n    obj\nE   ValueError: no"
    assert localised(text) == text


@pytest.mark.parametrize("text", ["", "one line", "a\n\n  b\n    ^\n", "warning: in x\n    ^~~\nmake: *** Error 1"])
def test_other_output_stays_as_it_is(text: str) -> None:
    assert localised(text) == text.strip("\n")


@given(st.text(), st.integers(min_value=0, max_value=400))
def test_shortened_text_fits(text: str, room: int) -> None:
    assert len(shortened(text, room)) <= room


def test_shortened_text_has_both_ends() -> None:
    lines = [f"line {number}" for number in range(100)]
    short = shortened("\n".join(lines), 300).split("\n")
    assert short[0] == "line 0"
    assert short[-1] == "line 99"
    assert sum("left out" in line for line in short) == 1
