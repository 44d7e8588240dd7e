"""Code under test that works on what judges it, from inside the tests' process: the report is not green for it."""

import pytest

from infrastructure.judge import TestOutcome, judge_files, plan_tests, run_tests
from infrastructure.judge.reading import Record, contradiction
from infrastructure.workspace import fork_tree, write_files

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome


BROKEN = "def add(a, b):\n    return a - b\n"
UNITTEST = """\
import unittest
from app import add

class AddTest(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(add(1, 2), 3)
"""
PYTEST = "from app import add\n\ndef test_sum():\n    assert add(1, 2) == 3\n"

TABLES = """\
import __main__
getattr(__main__, "RANK", {}).update(failed=-1, error=-1)
getattr(__main__, "Report", type("Report", (), {})).end = lambda self, test, outcome, message="": self.line(
    test=test, outcome="passed", message="") or setattr(self, "count", self.count + 1)
"""
OBJECTS = """\
import gc
for each in gc.get_objects():
    if type(each).__name__ == "Report":
        each.end = lambda test, outcome, message="", end=each.end: end(test, "passed", "")
"""
ENCODER = """\
import json
encode = json.JSONEncoder.encode
json.JSONEncoder.encode = lambda self, o: encode(
    self, {**o, "outcome": "passed"} if isinstance(o, dict) and "outcome" in o else o)
"""
EXIT = """\
import gc, os
for each in gc.get_objects():
    if type(each).__name__ == "Report":
        each.line = lambda each=each, line=each.line, **fields: line(
            **{**fields, **{name: value for name, value in (("outcome", "passed"), ("finish", 0)) if name in fields}})
os._exit = lambda code, leave=os._exit: leave(1)
"""


@pytest.mark.parametrize("attack", [TABLES, OBJECTS, ENCODER, EXIT], ids=["tables", "objects", "encoder", "exit"])
@pytest.mark.parametrize("tests", [UNITTEST, PYTEST], ids=["unittest", "pytest"])
async def test_records_that_were_changed_in_the_process_are_not_believed(run, attack: str, tests: str) -> None:
    report = await run({"app.py": BROKEN, "test_app.py": tests}, {"app.py": BROKEN + attack})
    assert not report.green
    assert report.red or report.crashed


async def test_module_that_the_harness_is_run_as_shows_nothing_of_it(run) -> None:
    test = (
        "import sys, unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        main = sys.modules['__main__']\n"
        "        self.assertTrue(main.__file__.endswith('__main__.py'), main.__file__)\n"
        "        self.assertEqual([name for name in vars(main) if not name.startswith('__')], [])\n"
    )
    assert (await run({"test_it.py": test})).green


async def test_processes_of_multiprocessing_start_as_they_do_under_the_framework(run) -> None:
    test = (
        "import multiprocessing, unittest, work\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        process = multiprocessing.get_context('spawn').Process(target=work.work)\n"
        "        process.start(); process.join()\n"
        "        self.assertEqual(process.exitcode, 7)\n"
    )
    report = await run({"work.py": "import os\ndef work(): os._exit(7)\n", "test_it.py": test})
    assert report.green, report.failures


PLUGIN = """\
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""


@pytest.mark.parametrize("place", ["", "src/"])
@pytest.mark.parametrize("folder", ["cheat-1.0.dist-info", "cheat.egg-info", "Cheat-1.0.DIST-INFO"])
async def test_package_metadata_of_a_patch_names_no_plugin(take, sandbox, tmp_path, place: str, folder: str) -> None:
    snapshot = await take({"app.py": BROKEN, "test_app.py": PYTEST, f"{place}here.py": ""})
    plan = await plan_tests(snapshot, test_command="pytest")
    assert plan is not None
    tree = await fork_tree(snapshot, tmp_path / "tree")
    attempt = {
        f"{place}cheat.py": PLUGIN,
        f"{place}{folder}/entry_points.txt": "[pytest11]\ncheat = cheat\n",
        f"{place}{folder}/METADATA": "Metadata-Version: 2.1\nName: cheat\nVersion: 1.0\n",
        f"{place}{folder}/PKG-INFO": "Metadata-Version: 2.1\nName: cheat\nVersion: 1.0\n",
    }
    await write_files(tree, attempt)
    # As on an environment of the project's own, whose plugins are loaded: Corral's own has that switched off.
    own = tuple(each for each in plan.arguments if not each.startswith("--override-ini"))
    own = ("-p", "no:langsmith_plugin", *own)  # ours, and takes two seconds to load
    plan = type(plan)(**{name: getattr(plan, name) for name in plan.__slots__} | {"arguments": own})

    report = await run_tests(sandbox, tree, plan, await judge_files(snapshot))

    assert report.outcomes == {"test_app.py::test_sum": FAILED}, report.output


@pytest.mark.parametrize(
    ("outcomes", "finish", "exit_code", "agrees"),
    [
        ((PASSED,), 0, 0, True),
        ((PASSED, SKIPPED), 0, 0, True),
        ((PASSED, FAILED), 1, 1, True),
        ((ERROR,), 1, 1, True),
        ((), 5, 1, True),
        ((SKIPPED,), 5, 1, True),
        ((), 0, 0, True),
        ((PASSED,), None, 1, True),  # it did not come to its end: another matter
        ((PASSED, FAILED), 0, 0, False),
        ((ERROR,), 0, 0, False),
        ((PASSED,), 1, 1, False),
        ((), 1, 1, False),
        ((PASSED,), 0, 1, False),
        ((PASSED, FAILED), 1, 0, False),
        ((PASSED,), 5, 1, False),
        ((PASSED,), 0, None, False),
    ],
)
def test_report_is_believed_where_its_parts_agree(outcomes, finish, exit_code, agrees: bool) -> None:
    named = {f"t.py::{number}": outcome for number, outcome in enumerate(outcomes)}
    record = Record(outcomes=named, failures={}, running=None, finish=finish)
    assert (contradiction(record, exit_code) is None) is agrees
