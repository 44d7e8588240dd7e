"""The judge against the real sandbox: what it reports, and what an attempt tries in order to be let through."""

import asyncio
from pathlib import Path

import pytest

from infrastructure.judge import TestCommandNotStarted, TestOutcome, judge_files, plan_tests, run_tests
from infrastructure.sandbox import Level, Limits, NoSandbox, open_sandbox
from infrastructure.workspace import Tree, fork_tree

pytestmark = pytest.mark.slow  # starts processes

PASSED, FAILED, ERROR, SKIPPED, XFAILED, XPASSED = TestOutcome

APP = "def add(a, b):\n    return a + b\n"
BROKEN = "def add(a, b):\n    return a - b\n"
UNITTEST = """\
import unittest
from app import add

class AddTest(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(add(1, 2), 3)

    def test_zero(self):
        self.assertEqual(add(0, 0), 0)
"""
PYTEST = """\
from app import add

def test_sum():
    assert add(1, 2) == 3

def test_zero():
    assert add(0, 0) == 0
"""

EVERY_UNITTEST_OUTCOME = """\
import unittest

class A(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.assertEqual({"a": 1}, {"a": 2})
    def test_breaks(self): raise ValueError("broken")
    def test_exits(self): raise SystemExit(0)
    @unittest.skip("later")
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

class NoSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no class")
    def test_never(self): pass

@unittest.skip("whole")
class Skipped(unittest.TestCase):
    def test_it(self): pass

class Later(unittest.IsolatedAsyncioTestCase):
    async def test_async(self): pass
"""

EVERY_PYTEST_OUTCOME = """\
import pytest

@pytest.fixture
def broken(): raise RuntimeError("no fixture")

@pytest.fixture
def late():
    yield
    raise RuntimeError("no end")

def test_passes(): pass
def test_fails(): assert [1, 2] == [1, 3]
def test_no_setup(broken): pass
def test_no_teardown(late): pass
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.xfail(strict=True)
def test_unexpected(): pass
@pytest.mark.parametrize("word", ["a b", "ж"])
def test_words(word): pass
def test_exits(): raise SystemExit(0)
"""


async def test_every_outcome_of_unittest_is_reported(run) -> None:
    report = await run({"tests/test_a.py": EVERY_UNITTEST_OUTCOME, "test_gone.py": "import no_such_module, unittest\n"})

    inside = "tests/test_a.py::"
    assert report.outcomes == {
        f"{inside}A::test_passes": PASSED,
        f"{inside}A::test_fails": FAILED,
        f"{inside}A::test_breaks": ERROR,
        f"{inside}A::test_exits": ERROR,
        f"{inside}A::test_skipped": SKIPPED,
        f"{inside}A::test_expected": XFAILED,
        f"{inside}A::test_unexpected": XPASSED,
        f"{inside}A::test_sub": FAILED,
        f"{inside}NoSetUp": ERROR,
        f"{inside}Skipped::test_it": SKIPPED,
        f"{inside}Later::test_async": PASSED,
        "test_gone.py": ERROR,
    }
    assert report.crashed is None
    assert "{'a': 1} != {'a': 2}" in report.failures[f"{inside}A::test_fails"]
    assert "(number=1)" in report.failures[f"{inside}A::test_sub"]
    assert "no_such_module" in report.failures["test_gone.py"]


async def test_every_outcome_of_pytest_is_reported(run) -> None:
    report = await run({"tests/test_a.py": EVERY_PYTEST_OUTCOME, "tests/test_gone.py": "import pytest, no_such\n"})

    inside = "tests/test_a.py::"
    words = {name: outcome for name, outcome in report.outcomes.items() if "test_words" in name}
    assert list(words.values()) == [PASSED, PASSED]
    assert {name: outcome for name, outcome in report.outcomes.items() if name not in words} == {
        f"{inside}test_passes": PASSED,
        f"{inside}test_fails": FAILED,
        f"{inside}test_no_setup": ERROR,
        f"{inside}test_no_teardown": ERROR,
        f"{inside}test_skipped": SKIPPED,
        f"{inside}test_expected": XFAILED,
        f"{inside}test_unexpected": XPASSED,
        f"{inside}test_exits": FAILED,
        "tests/test_gone.py": ERROR,
    }
    assert report.crashed is None
    assert "[1, 2] == [1, 3]" in report.failures[f"{inside}test_fails"]


@pytest.mark.parametrize("tests", [UNITTEST, PYTEST])
@pytest.mark.parametrize(
    "layout",
    [
        ("app.py", "test_app.py"),
        ("app.py", "tests/test_app.py"),
        ("src/app.py", "tests/test_app.py"),
        ("app.py", "проверки/test_app.py"),
    ],
)
async def test_usual_layouts_are_found_and_run(run, tests: str, layout: tuple[str, str]) -> None:
    code, test = layout
    report = await run({code: APP, test: tests})
    assert report.green
    assert len(report.passed) == 2
    assert all(name.startswith(f"{test}::") for name in report.passed)


async def test_tests_in_a_package_import_each_other_as_their_author_meant(run) -> None:
    report = await run(
        {
            "app.py": APP,
            "tests/__init__.py": "",
            "tests/cases.py": "NUMBERS = (1, 2)\n",
            "tests/test_app.py": UNITTEST.replace("from app", "from tests.cases import NUMBERS\nfrom app"),
            "other/helper.py": "X = 1\n",
            "other/test_app2.py": UNITTEST.replace("from app", "from helper import X\nfrom app"),
        }
    )
    assert report.green
    assert len(report.passed) == 4


async def test_processes_that_tests_start_see_the_project_too(run) -> None:
    test = (
        "import subprocess, sys, unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        subprocess.run([sys.executable, '-c', 'import app'], check=True)\n"
    )
    assert (await run({"src/app.py": APP, "tests/test_it.py": test})).green


async def test_judge_files_are_put_over_whatever_an_attempt_did_to_them(run) -> None:
    report = await run(
        {"app.py": BROKEN, "tests/test_app.py": UNITTEST, "tests/data.json": "{}"},
        {"tests/test_app.py": UNITTEST.replace("3)", "-1)"), "tests/data.json": None, "extra.py": "x = 1\n"},
    )
    assert report.outcomes["tests/test_app.py::AddTest::test_sum"] is FAILED


@pytest.mark.parametrize("place", ["tests/test_app.py/inside.py", "tests"])
async def test_a_file_or_folder_in_the_place_of_a_judge_file_makes_way(run, place: str) -> None:
    report = await run({"app.py": APP, "tests/test_app.py": UNITTEST}, {"tests/test_app.py": None})
    assert report.green
    report = await run({"app.py": APP, "tests/test_app.py": UNITTEST}, {"tests/test_app.py": None, "keep.py": ""})
    assert report.green


async def test_given_files_run_alone_and_over_the_attempts_own(run) -> None:
    report = await run(
        {"app.py": APP, "test_old.py": UNITTEST},
        {"test_given.py": "raise SystemExit(0)\n"},
        given={"test_given.py": UNITTEST},
    )
    assert report.green
    assert all(name.startswith("test_given.py::") for name in report.outcomes)


@pytest.mark.parametrize("command", ["sh check.sh", "./check.sh"])
async def test_file_that_the_command_names_is_put_back(take, sandbox, tmp_path: Path, command: str) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "check.sh").touch(0o755)
    snapshot = await take({"app.py": APP, "check.sh": "#!/bin/sh\nexit 1\n"})
    plan = await plan_tests(snapshot, test_command=command)
    assert plan is not None
    tree = await fork_tree(snapshot, tmp_path / "tree")
    (tree.root / "check.sh").write_text("#!/bin/sh\nexit 0\n")

    report = await run_tests(sandbox, tree, plan, await judge_files(snapshot, command=plan.command))

    assert list(report.outcomes.values()) == [FAILED]


async def test_files_that_are_left_out_are_not_in_the_copy(take, sandbox, tmp_path: Path) -> None:
    snapshot = await take({"app.py": APP, "test_app.py": UNITTEST, "test_more.py": UNITTEST})
    plan = await plan_tests(snapshot)
    assert plan is not None
    report = await run_tests(sandbox, Tree(snapshot.root), plan, {}, without=("test_more.py",))
    assert {name.partition("::")[0] for name in report.outcomes} == {"test_app.py"}


CHEATING_CONFTEST = """\
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome = "passed"
    report.longrepr = None
"""


@pytest.mark.parametrize(
    "attempt",
    [
        {"conftest.py": CHEATING_CONFTEST},
        {"tests/conftest.py": CHEATING_CONFTEST},
        {"pytest.ini": "[pytest]\naddopts = --collect-only\n"},
        {"pytest.ini": "[pytest]\naddopts = -p cheat\n", "cheat.py": CHEATING_CONFTEST},
        {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--deselect tests/test_app.py::test_sum"\n'},
        {"setup.cfg": "[tool:pytest]\naddopts = -p cheat\n", "cheat.py": CHEATING_CONFTEST},
        {"tox.ini": "[pytest]\nxfail_strict = false\n"},
        {"sitecustomize.py": "import os\nos._exit(0)\n"},
        {"usercustomize.py": "import os\nos._exit(0)\n"},
        {"pytest.py": "def main(*a, **k): return 0\n"},
        {"json.py": "raise SystemExit(0)\n", "argparse.py": "raise SystemExit(0)\n", "unittest.py": ""},
    ],
    ids=str,
)
async def test_an_attempt_cannot_steer_the_runner(run, attempt: dict[str, str]) -> None:
    report = await run({"app.py": BROKEN, "tests/test_app.py": PYTEST}, attempt)
    assert report.outcomes["tests/test_app.py::test_sum"] is FAILED
    assert report.crashed is None


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os; os.closerange(3, 100)",
        "import glob\nfor f in glob.glob('../report'): open(f, 'w').close()",
        "import glob, os\nfor f in glob.glob('../report'): os.unlink(f)",
        "import os\nos.unlink('../report'); os.mkfifo('../report')",
        "import os\nos.unlink('../report'); os.symlink('/etc/passwd', '../report')",
        'open("../report", "a").write(\'{"key": "guess", "test": "x", "outcome": "passed"}\\n\')',
    ],
)
@pytest.mark.parametrize("tests", [UNITTEST, PYTEST], ids=["unittest", "pytest"])
async def test_code_that_ends_the_process_or_touches_the_report_is_never_green(run, code: str, tests: str) -> None:
    async with asyncio.timeout(60):
        report = await run({"app.py": APP, "test_app.py": tests}, {"app.py": f"{BROKEN}{code}\n"})
    assert not report.green
    assert "x" not in report.outcomes


async def test_the_key_is_out_of_reach_when_the_projects_code_is_loaded(run) -> None:
    spy = (
        "import os, sys\n"
        "def add(a, b): return a + b\n"
        "assert not os.path.exists('../key'), 'the key file is still there'\n"
        "key = [line for line in open('../report').read().split('\"') if len(line) == 64][0]\n"
        "seen = repr(sys.argv) + repr(dict(os.environ)) + open('/proc/self/cmdline').read()\n"
        "assert key not in seen, 'the key can be seen'\n"
    )
    assert (await run({"app.py": spy, "test_app.py": UNITTEST})).green


@pytest.mark.parametrize("tests", [UNITTEST, PYTEST], ids=["unittest", "pytest"])
async def test_a_test_that_hangs_is_named_and_the_rest_is_kept(run, tests: str) -> None:
    hanging = "import time\ndef add(a, b):\n    if a == 0:\n        time.sleep(600)\n    return a + b\n"
    for seconds in (3, 12, 48):
        report = await run({"app.py": hanging, "test_app.py": tests}, limits=Limits(wall_seconds=seconds))
        if report.outcomes:  # else it was ended before it came to its first test
            break
    assert report.crashed is not None
    assert "timeout" in report.crashed
    assert sorted(report.outcomes.values()) == [ERROR, PASSED]
    assert any(name.endswith("test_zero") for name in report.red)


@pytest.mark.parametrize("tests", [UNITTEST, PYTEST], ids=["unittest", "pytest"])
async def test_a_test_that_loops_without_end_is_red_with_its_line_and_the_others_run(run, tests: str) -> None:
    looping = "def add(a, b):\n    while a:\n        b += 1\n    return a + b\n"
    report = await run({"app.py": looping, "test_app.py": tests}, limits=Limits(test_seconds=0.2))
    assert report.crashed is None
    assert not report.unfailing
    outcomes = {name.rpartition("test_")[2]: outcome for name, outcome in report.outcomes.items()}
    assert outcomes["zero"] is PASSED
    assert outcomes["sum"] in (FAILED, ERROR)
    [said] = report.failures.values()
    assert "still running after 0.2 s of processor time" in said
    assert "in add" in said
    assert "patience" not in said


SWALLOWED = (
    "def add(a, b):\n    try:\n        while a:\n            b += 1\n    except:\n        return 3\n    return b\n"
)


@pytest.mark.parametrize("tests", [UNITTEST, PYTEST], ids=["unittest", "pytest"])
async def test_code_that_swallows_its_end_has_not_passed(run, tests: str) -> None:
    report = await run({"app.py": SWALLOWED, "test_app.py": tests}, limits=Limits(test_seconds=0.2))
    assert report.crashed is None
    assert sorted(report.outcomes.values()) == [FAILED, PASSED]
    [said] = report.failures.values()
    assert "in add" in said
    assert "still running after 0.2 s" in said


MARKED = """\
import asyncio, contextlib, unittest
import pytest
from app import add

@pytest.mark.xfail
def test_known(): add(1, 2)
@pytest.mark.xfail(strict=True)
def test_known_strictly(): add(1, 2)
def test_suppressed():
    with contextlib.suppress(BaseException):
        while True: pass
def test_callback():
    async def main():
        asyncio.get_running_loop().call_soon(add, 1, 2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    asyncio.run(main())
def test_next(): assert add(0, 3) == 3
class Case(unittest.TestCase):
    @unittest.expectedFailure
    def test_expected(self):
        while True: pass
"""


async def test_no_mark_and_no_handler_turns_a_loop_without_end_into_anything_but_red(run) -> None:
    report = await run({"app.py": SWALLOWED, "test_app.py": MARKED}, limits=Limits(test_seconds=0.2))
    assert report.crashed is None
    outcomes = {name.rpartition("::")[2]: outcome for name, outcome in report.outcomes.items()}
    assert outcomes.pop("test_next") is PASSED
    assert set(outcomes.values()) == {FAILED}
    assert len(outcomes) == 5


async def test_subtests_without_end_have_less_and_less(run) -> None:
    test = (
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        for number in range(4):\n"
        "            with self.subTest(number=number):\n"
        "                while True: pass\n"
    )
    report = await run({"test_app.py": test}, limits=Limits(test_seconds=0.2))
    assert report.crashed is None
    assert list(report.outcomes.values()) == [ERROR]


async def test_an_asyncio_test_that_loops_is_ended_too(run) -> None:
    test = (
        "import unittest\n"
        "class T(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test_it(self):\n"
        "        while True: pass\n"
        "    async def test_next(self): pass\n"
    )
    report = await run({"test_app.py": test}, limits=Limits(test_seconds=0.2))
    assert report.crashed is None
    assert sorted(report.outcomes.values()) == [ERROR, PASSED]


async def test_a_thread_or_child_left_running_does_not_keep_the_judge_waiting(run) -> None:
    test = (
        "import os, threading, time, unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "        if os.fork() == 0:\n"
        "            return\n"
    )
    async with asyncio.timeout(20):
        report = await run({"test_it.py": test})
    assert report.green


async def test_no_test_at_all_is_not_green(run) -> None:
    report = await run({"test_app.py": "import unittest\n"})
    assert (dict(report.outcomes), report.crashed, report.green) == ({}, None, False)
    report = await run({"test_app.py": "import unittest\n"}, command="pytest test_app.py")
    assert (dict(report.outcomes), report.crashed, report.green) == ({}, None, False)


async def test_a_pytest_that_cannot_run_is_a_crash_with_its_reason(run) -> None:
    report = await run({"test_app.py": PYTEST, "app.py": APP}, command="pytest --no-such-option")
    assert report.crashed is not None
    assert report.crashed.endswith("ended with 4: unrecognized arguments: --no-such-option")
    assert "--no-such-option" in report.output


@pytest.mark.parametrize(
    "command",
    ["pytest", "python -m pytest tests", "python3 -m unittest", "python -m unittest discover -s tests -p 'test_*.py'",
     "python -m unittest tests/test_app.py", "python -m unittest tests.test_app", "uv run pytest -q"],
)  # fmt: skip
async def test_a_given_command_of_a_known_runner_reports_each_test(run, command: str) -> None:
    report = await run({"app.py": APP, "tests/test_app.py": UNITTEST}, command=command)
    assert {name.rpartition("::")[2]: outcome for name, outcome in report.outcomes.items()} == {
        "test_sum": PASSED, "test_zero": PASSED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "outcome"), [("true", PASSED), ("false", FAILED), ("test -f app.py && exit 3", FAILED)]
)
async def test_another_command_has_one_outcome_by_its_exit_code(run, command: str, outcome: TestOutcome) -> None:
    report = await run({"app.py": APP}, command=command)
    assert list(report.outcomes.values()) == [outcome]
    assert report.crashed is None


async def test_a_command_sees_the_projects_python_and_node_folder(run, tmp_path: Path) -> None:
    (tmp_path / "project" / "node_modules" / "left").mkdir(parents=True)
    (tmp_path / "project" / "node_modules" / "left" / "index.js").write_text("module.exports = 1")
    report = await run(
        {"check.sh": "python -c 'import sys' && cat node_modules/left/index.js && ! touch node_modules/left/new\n"},
        command="sh check.sh",
    )
    assert report.green, report.output


@pytest.mark.parametrize("command", ["no-such-program", "no-such-program --flag | cat && no-such-program"])
async def test_a_command_that_does_not_start_is_an_error_and_not_a_red_test(run, command: str) -> None:
    with pytest.raises(TestCommandNotStarted, match="no-such-program"):
        await run({"app.py": APP}, command=command)


async def test_artefacts_of_tests_stay_out_of_the_tree_and_output_names_no_scratch_folder(run, tmp_path: Path) -> None:
    test = (
        "import os, unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        open('artefact.txt', 'w').close(); os.unlink('app.py'); print(os.getcwd()); self.fail(os.getcwd())\n"
    )
    report = await run({"app.py": APP, "test_it.py": test})  # the fixture compares the tree before and after
    assert report.red
    assert str(tmp_path) not in report.output + "".join(report.failures.values())


async def test_landlock_judges_alike(take, tmp_path: Path) -> None:
    try:
        sandbox = await open_sandbox(Level.LANDLOCK)
    except NoSandbox as why:
        pytest.skip(str(why))
    snapshot = await take({"app.py": APP, "tests/test_app.py": PYTEST})
    plan = await plan_tests(snapshot)
    assert plan is not None
    tree = await fork_tree(snapshot, tmp_path / "tree")
    assert (await run_tests(sandbox, tree, plan, await judge_files(snapshot))).green


async def test_cancelling_removes_the_throw_away_copy(take, sandbox, tmp_path: Path) -> None:
    snapshot = await take({"test_it.py": "import time, unittest\ntime.sleep(600)\n"})
    plan = await plan_tests(snapshot)
    assert plan is not None
    tree = await fork_tree(snapshot, tmp_path / "trees" / "tree")
    running = asyncio.Event()

    class Told:
        level = sandbox.level
        self_check = sandbox.self_check

        async def run(self, command):
            running.set()
            return await sandbox.run(command)

    task = asyncio.create_task(run_tests(Told(), tree, plan, {}))
    async with asyncio.timeout(20):
        await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path.name for path in (tmp_path / "trees").iterdir()] == ["tree"]


@pytest.mark.parametrize("option", ["--ff", "--lf", "--nf"])
async def test_options_of_pytests_cache_are_known_and_nothing_is_remembered(run, option: str) -> None:
    report = await run({"app.py": APP, "test_app.py": PYTEST}, command=f"pytest {option}")
    assert report.green, report.crashed
    assert len(report.passed) == 2
