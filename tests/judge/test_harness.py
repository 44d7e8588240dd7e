"""The harness in this process, on small projects: what it writes. How it fares in the sandbox: test_runner.py."""

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infrastructure.judge import TestOutcome, harness
from infrastructure.judge.patience import Patience, StillRunning
from infrastructure.judge.reading import Record, read_records

PASSED, FAILED, ERROR, SKIPPED, XFAILED, XPASSED = TestOutcome
MARKS = tuple(f"mark{number}" for number in range(16))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the harness in a project as the sandbox would, and read its report."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("CORRAL_TEST_SECONDS", "0.1")
    handler = signal.getsignal(signal.SIGVTALRM)
    known = set(sys.modules)

    def ran(files: dict[str, str], *arguments: str, framework: str = "unittest") -> tuple[Record, int]:
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        key, report = tmp_path / "key", tmp_path / "report"
        key.write_text("secret\n" + "\n".join(MARKS))
        report.touch()
        exits: list[int] = []
        monkeypatch.setattr(sys, "argv", ["harness.py", str(report), str(key), framework, *arguments])
        monkeypatch.setattr(os, "_exit", exits.append)
        harness.main()
        assert not key.exists()
        return read_records(report.read_bytes(), "secret", MARKS), exits[0]

    yield ran
    signal.signal(signal.SIGVTALRM, handler)
    for name in set(sys.modules) - known:
        del sys.modules[name]


TESTS = """\
import unittest

class Case(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.fail("wrong")
    @unittest.skip("later")
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                if number: raise ValueError(number)

class NoSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no class")
    def test_never(self): pass
"""


def test_unittest_outcomes_have_ids_like_pytests(run) -> None:
    record, status = run(
        {
            "tests/test_harness_a.py": TESTS,
            "test_harness_gone.py": "import no_such_module\n",
            "test_harness_exit.py": "raise SystemExit(0)\n",
            "test_harness_skip.py": "import unittest\nraise unittest.SkipTest('not here')\n",
            "node_modules/test_harness_no.py": "raise SystemExit(0)\n",
        }
    )
    inside = "tests/test_harness_a.py::"
    assert record.outcomes == {
        f"{inside}Case::test_passes": PASSED,
        f"{inside}Case::test_fails": FAILED,
        f"{inside}Case::test_skipped": SKIPPED,
        f"{inside}Case::test_unexpected": XPASSED,
        f"{inside}Case::test_sub": ERROR,
        f"{inside}NoSetUp": ERROR,
        "test_harness_gone.py": ERROR,
        "test_harness_exit.py": ERROR,
        "test_harness_skip.py": SKIPPED,
    }
    assert (record.finish, status) == (1, 1)
    assert "unittest/case.py" not in record.failures[f"{inside}Case::test_fails"]


def test_files_folders_patterns_and_dotted_names_can_be_asked_for(run) -> None:
    one = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): pass\n"
    record, _ = run({"pkg/__init__.py": "", "pkg/test_harness_b.py": one}, "pkg.test_harness_b.A.test_b")
    assert list(record.outcomes) == ["pkg/test_harness_b.py::A::test_b"]


def test_start_folder_and_pattern_choose_files(run) -> None:
    one = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"
    record, _ = run({"in/check_harness_c.py": one, "out/check_harness_d.py": one}, "-s", "in", "-p", "check*.py")
    assert list(record.outcomes) == ["in/check_harness_c.py::A::test_a"]


def test_two_files_of_one_name_are_not_mixed_up(run) -> None:
    one = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"
    record, _ = run({"x/test_harness_e.py": one, "y/test_harness_e.py": one})
    assert record.outcomes == {"x/test_harness_e.py::A::test_a": PASSED, "y/test_harness_e.py": ERROR}


def test_nothing_to_run_is_said(run) -> None:
    record, status = run({})
    assert (record.outcomes, record.finish, status) == ({}, 5, 1)


def test_source_folder_is_importable_also_for_child_processes(run, tmp_path: Path) -> None:
    test = (
        "import os, unittest, harness_lib\n"
        "class A(unittest.TestCase):\n"
        "    def test_a(self): self.assertIn('src', os.environ['PYTHONPATH'])\n"
    )
    record, _ = run({"src/harness_lib.py": "", "test_harness_f.py": test})
    assert set(record.outcomes.values()) == {PASSED}


def test_pytest_is_run_with_the_plugin(run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def main(arguments: list[str], plugins: list[harness.PytestPlugin]) -> int:
        seen.append(arguments)
        plugins[0].pytest_runtest_logstart("t.py::a")
        return 2

    monkeypatch.setattr(pytest, "main", main)
    record, status = run({}, "-q", framework="pytest")
    assert (seen, record.running, record.finish, status) == ([["-q"]], "t.py::a", 2, 1)


def phase(when: str, outcome: str = "passed", **more: str) -> SimpleNamespace:
    return SimpleNamespace(
        nodeid="t.py::a", when=when, failed=outcome == "failed", skipped=outcome == "skipped", longreprtext=when, **more
    )


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([phase("setup"), phase("call"), phase("teardown")], "passed"),
        ([phase("setup"), phase("call", "failed"), phase("teardown")], "failed"),
        ([phase("setup", "failed"), phase("teardown")], "error"),
        ([phase("setup"), phase("call"), phase("teardown", "failed")], "error"),
        ([phase("setup"), phase("call", "failed"), phase("teardown", "failed")], "error"),
        ([phase("setup", "skipped"), phase("teardown")], "skipped"),
        ([phase("setup"), phase("call", "skipped", wasxfail="known"), phase("teardown")], "xfailed"),
    ],
)
def test_phases_of_a_pytest_test_make_one_outcome(tmp_path: Path, phases: list, outcome: str) -> None:
    (tmp_path / "report").touch()
    plugin = harness.PytestPlugin(harness.Report(str(tmp_path / "report"), "k", tmp_path))
    plugin.pytest_runtest_logstart("t.py::a")
    for each in phases:
        plugin.pytest_runtest_logreport(each)
    lines = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert [line.get("outcome") for line in lines] == [None, outcome]


def test_files_that_pytest_cannot_collect_are_reported(tmp_path: Path) -> None:
    (tmp_path / "report").touch()
    report = harness.Report(str(tmp_path / "report"), "k", tmp_path)
    plugin = harness.PytestPlugin(report)
    for name, outcome in (("a.py", "failed"), ("b.py", "skipped"), ("c.py", "passed")):
        item = phase("collect", outcome)
        item.nodeid = name
        plugin.pytest_collectreport(item)
    record = read_records((tmp_path / "report").read_bytes(), "k")
    assert record.outcomes == {"a.py": ERROR, "b.py": SKIPPED}


def test_a_report_that_its_reader_has_not_made_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        harness.Report(str(tmp_path / "report"), "k", tmp_path)


def test_folder_from_which_the_environment_imports_is_looked_in_too(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_SOURCES", "python")
    test = TESTS.replace("import unittest", "import unittest\nimport lies_in_python")
    record, _ = run({"python/lies_in_python.py": "", "test_it.py": test})
    assert record.outcomes["test_it.py::Case::test_passes"] is PASSED
    assert "CORRAL_SOURCES" not in os.environ


ENDLESS = """\
import unittest

class Case(unittest.TestCase):
    def test_a(self):
        while True:
            try:
                sum(range(100))
            except Exception:
                pass
    def test_b(self):
        pass
"""


def test_a_test_without_an_end_is_failed_where_it_is_and_the_next_one_runs(run) -> None:
    record, status = run({"test_a.py": ENDLESS})
    assert record.outcomes == {"test_a.py::Case::test_a": ERROR, "test_a.py::Case::test_b": PASSED}
    assert "still running after 0.1 s of processor time" in record.failures["test_a.py::Case::test_a"]
    assert "sum(range(100))" in record.failures["test_a.py::Case::test_a"]
    assert (record.finish, status) == (1, 1)


def test_each_test_that_has_no_end_leaves_the_next_one_half_and_none_less_than_a_second() -> None:
    handler = signal.getsignal(signal.SIGVTALRM)
    now = [0.0]
    try:
        patience = Patience(3.0)
        patience._now = lambda: now[0]
        armed: list[float] = []
        patience._set = lambda _, seconds, again=0.0: armed.extend({seconds, again} - {0.0})
        had = []
        for _ in range(4):
            patience.begin()
            now[0] += patience._seconds / 2
            patience._over(signal.SIGVTALRM, None)  # not yet: other threads have used up the time
            assert patience.said == ""
            now[0] += patience._seconds / 2
            with pytest.raises(StillRunning) as said:
                patience._over(signal.SIGVTALRM, None)
            patience.end()
            assert patience.said.endswith(f"StillRunning: {said.value}")
            had.append(str(said.value).split(" of")[0])
    finally:
        signal.signal(signal.SIGVTALRM, handler)
    assert had == [f"still running after {each} s" for each in ("3", "1.5", "1", "1")]
    assert armed == [3.0, 1.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0]  # and what is told goes on being told
