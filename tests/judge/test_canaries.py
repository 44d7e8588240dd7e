"""Tests that must fail: what they find where failing was made impossible, and that they leave nothing of themselves."""

import unittest
from pathlib import Path

import pytest

from infrastructure.judge import TestOutcome
from infrastructure.judge.canaries import CLAIMS, Framework, add_to_suite, disguised, passing_claims
from infrastructure.judge.places import Place
from infrastructure.judge.reading import NO_CANARY, read_records
from infrastructure.workspace.errors import TooLarge

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome


def test_every_claim_is_false() -> None:
    assert passing_claims(unittest.TestCase()) == []


@pytest.mark.parametrize("name", sorted({name for name, _ in CLAIMS}))
def test_assertion_that_was_silenced_is_found(name: str) -> None:
    case = type("Case", (unittest.TestCase,), {name: lambda *given, **named: None})()
    assert name in passing_claims(case)


def test_canary_looks_like_its_test() -> None:
    def body(*given: object) -> None:
        raise AssertionError(given)

    def test_model() -> None:
        pass

    made = disguised(body, test_model)
    assert (made.__name__, made.__qualname__, made.__module__) == (
        "test_model", test_model.__qualname__, test_model.__module__,
    )  # fmt: skip
    assert (made.__code__.co_filename, made.__code__.co_firstlineno) == (
        __file__, test_model.__code__.co_firstlineno,
    )  # fmt: skip
    with pytest.raises(AssertionError):
        made(1)


class Model(unittest.TestCase):
    __test__ = False

    def test_one(self) -> None:
        pass

    def test_two(self) -> None:
        pass


def test_canary_of_a_class_has_the_id_of_one_of_its_tests_and_fails() -> None:
    suite = unittest.TestSuite([Model("test_one"), Model("test_two")])
    made = add_to_suite(suite)
    ids = [case.id().rpartition(".")[2] for case in suite]
    assert len(made) == 1
    assert len(ids) == 3
    result = unittest.TestResult()
    suite.run(result)
    assert (result.testsRun, len(result.failures), len(result.errors)) == (3, 1, 0)


@pytest.mark.parametrize("mark", [unittest.skip("later"), unittest.expectedFailure])
def test_class_that_is_skipped_or_must_fail_has_no_canary(mark) -> None:
    assert add_to_suite(unittest.TestSuite([mark(type("Other", (Model,), {}))("test_one")])) == {}


def test_framework_that_was_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Framework()
    assert held.altered() == []
    with monkeypatch.context() as patch:
        patch.setattr(unittest.TestCase, "assertEqual", lambda *given: None)
        patch.setattr("unittest.case.doModuleCleanups", lambda: None)
        patch.setattr("builtins.all", lambda given: given)
        changed = held.altered()
    assert changed == ["builtins.all", "unittest.case.TestCase.assertEqual", "unittest.case.doModuleCleanups"]
    assert held.altered() == []


ONCE = """\
import pytest

@pytest.fixture(scope="module", autouse=True)
def once():
    global made
    assert "made" not in globals()
    made = 1
    yield

def test_a():
    assert made
"""


PLUGINS = """\
import asyncio, logging, pytest, unittest.mock
from hypothesis import given, strategies

@given(strategies.integers())
def test_given(x): assert x == x

async def helper(): return 1

@pytest.mark.asyncio
async def test_async(): assert await helper() == 1

def test_mock(monkeypatch, caplog, capsys, tmp_path):
    with unittest.mock.patch("builtins.open"), unittest.mock.patch("unittest.TestCase.assertEqual"):
        monkeypatch.setattr("unittest.TestCase.assertTrue", print)
    logging.warning("said")
    assert "said" in caplog.text

@pytest.mark.xfail
def test_expected(): assert False
"""
OF_UNITTEST = """\
import unittest
from unittest import mock

class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.made = getattr(cls, "made", 0) + 1
    def setUp(self): self.addCleanup(lambda: None)
    def assertEqual(self, one, two, msg=None): super().assertEqual(one, two, msg)

class A(Base):
    def test_a(self): self.assertEqual(self.made, 1)
    def test_sub(self):
        for number in range(3):
            with self.subTest(number): self.assertTrue(True)

class B(unittest.IsolatedAsyncioTestCase):
    async def test_b(self): self.assertTrue(True)

def load_tests(loader, tests, pattern): return tests
"""


@pytest.mark.parametrize(
    "tests",
    [
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): pass\n",
        "def test_a(): pass\ndef test_b(): pass\n",
        "import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_a(x): pass\n",
        "import pytest, unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n",
        "import pytest\nclass TestIt:\n    def test_a(self, tmp_path): assert tmp_path\n",
        ONCE,
        PLUGINS,
        OF_UNITTEST,
    ],
)
async def test_canaries_leave_the_report_of_an_honest_project_as_it_is(run, tests: str) -> None:
    report = await run({"test_it.py": tests})
    assert report.green, report.failures
    assert (report.unfailing, report.altered) == ((), ())
    assert "canar" not in report.output.replace("test_canaries_leave", "")  # a folder of pytest's, named after this


async def test_first_failure_that_ends_a_run_is_no_canarys(run) -> None:
    report = await run({"test_it.py": "def test_a(): pass\ndef test_b(): pass\n"}, command="pytest -x --maxfail=1")
    assert report.green
    assert len(report.passed) == 2


async def test_hook_of_the_project_that_bears_no_canary_is_no_trouble(run) -> None:
    conftest = (
        "import pytest\n"
        "@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n"
        "    outcome = yield\n"
        "    if outcome.get_result().failed: item.funcargs['driver'].screenshot()\n"
    )
    report = await run({"test_it.py": "def test_a(): pass\n", "conftest.py": conftest})
    assert report.green
    assert report.altered == (NO_CANARY,), "on the snapshot as well, so that it is no news with a patch"


# --------------------------------------------------------------------------------------------- the reader


def record(*lines: str):
    text = "".join(f'{{"key": "k", {line}}}\n' for line in lines)
    return read_records(text.encode(), "k", ("m1", "m2"))


def ended(outcome: str, mark: str, message: str = "") -> str:
    return f'"test": "t.py::a", "outcome": "{outcome}", "message": "{message}", "mark": "{mark}"'


@pytest.mark.parametrize(
    ("lines", "unfailing", "altered"),
    [
        ((ended("passed", "x"), ended("failed", "m1")), (), ()),
        ((ended("passed", "x"), ended("error", "m1")), (), ()),
        ((ended("passed", "x"), ended("passed", "m1", "assertEqual, fail")), ("assertEqual", "fail"), ()),
        ((ended("passed", "x"), ended("passed", "m1")), ("a test",), ()),
        ((ended("passed", "x"),), (), (NO_CANARY,)),
        ((ended("passed", "x"), ended("skipped", "m2")), (), (NO_CANARY,)),
        ((ended("passed", "x"), ended("failed", "m1"), '"altered": "unittest.main"'), (), ("unittest.main",)),
    ],
)
def test_canaries_are_told_from_tests_by_their_marks(lines, unfailing, altered) -> None:
    found = record(*lines, f'"finish": 0, "tests": {sum("outcome" in line for line in lines)}')
    assert found.outcomes == {"t.py::a": PASSED}
    assert (found.unfailing, found.altered, found.finish) == (unfailing, altered, 0)


# ------------------------------------------------------------------------------------------ the place


def test_report_is_held_whatever_is_put_in_its_place(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    assert place.untouched
    (tmp_path / "report").write_text("mine")
    (tmp_path / "report").unlink()
    (tmp_path / "report").write_text("another")
    assert place.records(10) == b"mine"
    assert not place.untouched
    with pytest.raises(TooLarge):
        place.records(3)
    place.close()


def test_file_that_was_rewritten_and_put_back_is_found(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    place.work.mkdir()
    for name in ("same.py", "back.py", "gone.py"):
        (place.work / name).write_text("x")
    place.watch(("same.py", "back.py", "gone.py", "never.py"))
    assert place.rewritten() == ()
    (place.work / "back.py").write_text("y")
    (place.work / "back.py").write_text("x")
    (place.work / "gone.py").unlink()
    (place.work / "same.py").read_text()
    assert place.rewritten() == ("back.py", "gone.py")
    place.close()
