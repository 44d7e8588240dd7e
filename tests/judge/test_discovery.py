import sys
from pathlib import Path

import pytest

from infrastructure.judge import dump_plan, judge_files, load_plan, plan_tests, plan_written
from infrastructure.judge.commands import parse_command
from infrastructure.judge.interpreters import find_interpreter
from infrastructure.judge.steering import must_return

UNITTEST = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"
PYTEST = "def test_a(): pass\n"
IMPORTED = "from cases import *\n"
MOCK = "from unittest.mock import patch\n"
HELPER = "class TestServer:\n    def start(self): pass\n\n"
CLASSES = "class TestA:\n    def test_a(self): pass\n"


@pytest.mark.parametrize(
    ("files", "framework"),
    [
        ({"test_a.py": UNITTEST}, "unittest"),
        ({"tests/test_a.py": PYTEST}, "pytest"),
        ({"tests/a_test.py": PYTEST}, "pytest"),
        ({"test_a.py": UNITTEST, "test_b.py": PYTEST}, "pytest"),
        ({"test_a.py": UNITTEST.replace("unittest\n", "unittest, pytest\n", 1)}, "unittest"),
        ({"test_a.py": "from pytest import fixture\n"}, "pytest"),
        ({"test_a.py": CLASSES}, "pytest"),
        ({"test_a.py": MOCK + CLASSES}, "pytest"),
        ({"test_a.py": MOCK + CLASSES.replace("TestA", "TestA(object)")}, "pytest"),
        ({"test_a.py": MOCK + "class TestA(Base):\n    def test_a(self): pass\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "test_b.py": MOCK + CLASSES}, "pytest"),
        ({"test_a.py": UNITTEST + CLASSES}, "pytest"),
        ({"test_a.py": HELPER + UNITTEST, "test_help.py": MOCK + HELPER}, "unittest"),
        ({"test_a.py": "import unittest\ndef load_tests(*given): pass\n"}, "unittest"),
        ({"test_a.py": "import unittest\nfrom cases import Base\nclass Adding(Base): pass\n"}, "unittest"),
        ({"test_help.py": MOCK}, None),
        ({"test_help.py": "from unittest import mock\n"}, None),
        ({"test_a.py": UNITTEST, "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['lib']\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "conftest.py": ""}, "pytest"),
        ({"test_a.py": UNITTEST, "lib/conftest.py": "", "setup.cfg": "[metadata]\nname = x\n"}, "unittest"),
        ({"test_a.py": IMPORTED}, None),
        ({"test_a.py": IMPORTED, "conftest.py": ""}, "pytest"),
        ({"test_a.py": IMPORTED, "pyproject.toml": "[tool.pytest.ini_options]\nx = 1\n"}, "pytest"),
        ({"test_a.py": IMPORTED, "setup.cfg": "[tool:pytest]\nx = 1\n"}, "pytest"),
        ({"test_a.py": IMPORTED, "pyproject.toml": "[project]\nname = 'x'\n"}, None),
        ({"app.py": "x = 1\n", "pytest.ini": "[pytest]\n"}, None),
        ({}, None),
    ],
)
async def test_tests_are_found_by_convention(take, files: dict[str, str], framework: str | None) -> None:
    plan = await plan_tests(await take(files))
    assert (None if plan is None else plan.framework) == framework
    if plan is not None:
        assert plan.judge == "found"
        assert load_plan(dump_plan(plan)) == plan


async def test_without_an_environment_of_its_own_the_project_is_tested_on_corrals_and_told_so(take) -> None:
    plan = await plan_tests(await take({"test_a.py": PYTEST}))
    assert plan is not None
    assert plan.interpreter == Path(sys.executable)
    assert "Corral's own interpreter" in plan.note
    assert "--override-ini=addopts=" in plan.arguments


def make_environment(folder: Path, *packages: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    for package in packages:
        place = folder / "lib" / "python3.11" / "site-packages" / package
        place.mkdir(parents=True)
        (place / "__init__.py").write_text("")
    return folder


async def test_the_projects_own_environment_is_used_and_shown_read_only(take, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "project" / ".venv", "pytest")
    (tmp_path / "project" / "node_modules").mkdir()

    plan = await plan_tests(await take({"test_a.py": PYTEST}))

    assert plan is not None
    assert plan.interpreter == environment / "bin" / "python"
    assert plan.note == ""
    assert {environment, tmp_path / "project" / "node_modules"} <= set(plan.read)
    assert dict(plan.links) == {".venv": environment, "node_modules": tmp_path / "project" / "node_modules"}
    assert "--override-ini=addopts=" not in plan.arguments


async def test_folder_from_which_the_environment_imports_is_the_copys_own(take, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "project" / ".venv", "pytest")
    lines = ("import os", "/nowhere", f"{tmp_path}/project/python", f"{tmp_path}", f"{environment}/lib", "# end")
    (environment / "lib" / "python3.11" / "site-packages" / "x.pth").write_text("\n".join(lines))
    plan = await plan_tests(await take({"test_a.py": PYTEST, "python/calc.py": "", ".gitignore": ".venv\n"}))
    assert plan is not None
    assert plan.env == (("CORRAL_SOURCES", "python"),)


@pytest.mark.parametrize(
    ("file", "text", "folders"),
    [
        ("__editable___calc_1_0_finder.py", "MAPPING: dict[str, str] = {{'calc': '{at}/python/calc'}}\n", "python"),
        ("__editable___calc_1_0_finder.py", "MAPPING = {{'a.calc': '{at}/python/a/calc', 'x': '/x'}}\n", "python"),
        ("_editable_impl_calc.py", "F.map_module('calc', '{at}/python/calc/__init__.py')\n", "python"),
        ("_editable_impl_calc.py", "F.map_module('one', '{at}/python/one.py')\n", "python"),
        ("__editable___calc_1_0_finder.py", "MAPPING = {{'other': '{at}/python/calc'}}\n", None),  # renamed
        ("__editable___calc_1_0_finder.py", "MAPPING = {{'calc': '{at}/calc'}}\n", None),  # the root is there anyway
    ],
)
async def test_folder_that_an_import_hook_maps_is_the_copys_own(take, tmp_path: Path, file, text, folders) -> None:
    environment = make_environment(tmp_path / "project" / ".venv", "pytest")
    site = environment / "lib" / "python3.11" / "site-packages"
    (site / file).write_text(text.format(at=tmp_path / "project"))
    plan = await plan_tests(await take({"test_a.py": PYTEST, "python/calc.py": "", ".gitignore": ".venv\n"}))
    assert plan is not None
    assert plan.env == (() if folders is None else (("CORRAL_SOURCES", folders),))


async def test_a_project_environment_without_pytest_is_passed_over_for_tests_that_need_it(take, tmp_path: Path) -> None:
    make_environment(tmp_path / "project" / ".venv")
    plan = await plan_tests(await take({"test_a.py": PYTEST}))
    assert plan is not None
    assert plan.interpreter == Path(sys.executable)
    assert "no pytest" in plan.note


async def test_cases_of_unittest_run_where_they_can_though_pytest_is_set_up_and_not_installed(take, tmp_path) -> None:
    environment = make_environment(tmp_path / "project" / ".venv")
    plan = await plan_tests(await take({"test_a.py": UNITTEST, "pytest.ini": "[pytest]\n"}))
    assert plan is not None
    assert (plan.framework, plan.interpreter) == ("unittest", environment / "bin" / "python")


def test_the_shells_active_environment_counts_unless_it_is_corrals(tmp_path: Path) -> None:
    active = make_environment(tmp_path / "active")
    assert find_interpreter((tmp_path,), {"VIRTUAL_ENV": str(active)}).python == active / "bin" / "python"
    assert find_interpreter((tmp_path,), {"VIRTUAL_ENV": sys.prefix}).own
    assert find_interpreter((tmp_path,), {"VIRTUAL_ENV": "relative"}).own
    assert find_interpreter((tmp_path,), {"VIRTUAL_ENV": str(tmp_path / "gone")}).own
    make_environment(tmp_path / "venv")
    found = find_interpreter((tmp_path,), {"VIRTUAL_ENV": str(active)})
    assert found.python == tmp_path / "venv" / "bin" / "python"


async def test_given_files_are_run_alone(take) -> None:
    snapshot = await take({"test_old.py": PYTEST})
    plan = await plan_tests(snapshot, tests={"tests/test_new.py": UNITTEST.encode()})
    assert plan is not None
    assert (plan.framework, plan.arguments, plan.judge) == ("unittest", ("tests/test_new.py",), "given")
    assert plan.command == "python -m unittest tests/test_new.py"


async def test_given_file_of_plain_classes_is_pytests_whatever_it_mocks(take) -> None:
    plan = await plan_tests(await take({}), tests={"test_new.py": (MOCK + CLASSES).encode()})
    assert plan is not None
    assert plan.framework == "pytest"


async def test_written_files_are_run_alone(take) -> None:
    plan = await plan_written(await take({}), {"test_w.py": b"import asyncio\nasync def test_a(): pass\n"})
    assert plan.framework == "pytest"
    assert plan.arguments[-2:] == ("test_w.py", "--maxfail=0")
    assert "pytest_asyncio.plugin" in plan.arguments


@pytest.mark.parametrize(
    ("command", "framework", "arguments"),
    [
        ("pytest", "pytest", ()),
        ("pytest -q tests/a.py::T", "pytest", ("-q", "tests/a.py::T")),
        (".venv/bin/pytest -k 'a or b'", "pytest", ("-k", "a or b")),
        ("python -m pytest tests", "pytest", ("tests",)),
        ("python3.11 -m unittest", "unittest", ()),
        ("python -m unittest -v tests.test_a.T", "unittest", ("tests.test_a.T",)),
        ("python -m unittest discover", "unittest", ()),
        ("python -m unittest discover -s tests -p 't*.py'", "unittest", ("-s", "tests", "-p", "t*.py")),
        ("python -m unittest discover tests t.py", "unittest", ("-s", "tests", "-p", "t.py")),
        ("python -m unittest discover -t .", "command", ("python", "-m", "unittest", "discover", "-t", ".")),
        ("python -m unittest -k a", "command", ("python", "-m", "unittest", "-k", "a")),
        ("uv run pytest -q", "pytest", ("-q",)),
        ("poetry run python -m pytest", "pytest", ()),
        ("npm test", "command", ("npm", "test")),
        ("make test && make lint", "command", ("sh", "-c", "make test && make lint")),
        ("X=1 pytest", "command", ("sh", "-c", "X=1 pytest")),
        ("pytest tests/*.py", "command", ("sh", "-c", "pytest tests/*.py")),
        ('echo "$HOME"', "command", ("sh", "-c", 'echo "$HOME"')),
        ("python -m mypackage", "command", ("python", "-m", "mypackage")),
    ],
)
def test_a_test_command_is_read(command: str, framework: str, arguments: tuple[str, ...]) -> None:
    parsed = parse_command(command)
    assert (parsed.framework, parsed.arguments) == (framework, arguments)


@pytest.mark.parametrize("command", [" ", "pytest 'open", ""])
def test_a_test_command_that_cannot_be_read_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match=r"empty|quotation"):
        parse_command(command)


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ("pytest -x", ("-x", "--maxfail=0")),
        ("python -m pytest --maxfail=2 tests", ("--maxfail=2", "tests", "--maxfail=0")),
        ("pytest -x -- tests", ("-x", "--maxfail=0", "--", "tests")),
    ],
)
async def test_every_test_runs_though_the_command_would_stop_at_the_first_red_one(take, command, end) -> None:
    plan = await plan_tests(await take({"test_a.py": PYTEST}), test_command=command)
    assert plan is not None
    assert plan.arguments[-len(end) :] == end
    assert plan.command == command


async def test_judge_files_are_the_tests_what_lies_beside_them_and_what_steers_the_runner(take) -> None:
    files = {
        "app.py": "", "test_a.py": "1", "pkg/b_test.py": "", "tests/data.json": "", "pkg/tests/helper.py": "",
        "conftest.py": "", "pyproject.toml": "", "sitecustomize.py": "", "contest.py": "", "latest/x.py": "",
    }  # fmt: skip
    found = await judge_files(await take(files), {"test_a.py": b"2", "new.py": b"n"})
    assert set(found) == set(files) - {"app.py", "contest.py", "latest/x.py"} | {"new.py"}
    assert found["test_a.py"] == b"2"


RUNNER = "def run(): pass\n"
IN_PACKAGE = {"app/__init__.py": "", "app/test/__init__.py": "", "app/test/runner.py": RUNNER}


@pytest.mark.parametrize(
    ("files", "theirs"),
    [
        (
            {"tester.py": RUNNER, "testcalc.py": UNITTEST, "testing.py": "import pytest\n"},
            {"testcalc.py", "testing.py"},
        ),
        ({"test_a.py": RUNNER, "tests.py": ""}, {"test_a.py", "tests.py"}),  # by their names they are nothing else
        (IN_PACKAGE, set()),
        ({**IN_PACKAGE, "app/test/cases.py": PYTEST}, {*IN_PACKAGE, "app/test/cases.py"} - {"app/__init__.py"}),
        ({**IN_PACKAGE, "app/test/a.json": ""}, {*IN_PACKAGE, "app/test/a.json"} - {"app/__init__.py"}),
        ({"app/test/runner.py": RUNNER}, {"app/test/runner.py"}),  # no package: Maven's `src/test`, say
        ({"tests/__init__.py": "", "tests/help.py": RUNNER}, {"tests/__init__.py", "tests/help.py"}),
    ],
)
async def test_what_only_bears_a_tests_name_is_no_judge_file(take, files: dict[str, str], theirs: set[str]) -> None:
    assert set(await judge_files(await take(files))) == theirs


async def test_file_that_only_bears_a_tests_name_is_the_judges_where_the_command_names_it(take) -> None:
    assert set(await judge_files(await take({"tester.py": RUNNER}), command="python tester.py")) == {"tester.py"}


async def test_judge_files_are_also_those_that_the_test_command_names(take) -> None:
    snapshot = await take({"app.py": "", "check.sh": "exit 1\n", "ci/all.py": "", "Makefile": "test:\n"})
    assert set(await judge_files(snapshot, command="sh ./check.sh")) == {"check.sh"}
    assert set(await judge_files(snapshot, command="make test")) == {"Makefile"}
    assert set(await judge_files(snapshot, {"ci/all.py": b"x"}, "python ci/all.py")) == {"ci/all.py"}
    assert set(await judge_files(snapshot)) == set()


async def test_file_behind_a_link_that_is_a_judge_file_is_one_too(take, tmp_path: Path) -> None:
    (tmp_path / "project" / "tests").mkdir(parents=True)
    (tmp_path / "project" / "tests" / "test_a.py").symlink_to("../checks/a.py")
    (tmp_path / "project" / "conftest.py").symlink_to("tests")
    found = await judge_files(await take({"checks/a.py": "import unittest\n", "app.py": ""}))
    assert set(found) == {"checks/a.py"}


@pytest.mark.parametrize(
    ("path", "now", "judge", "returned"),
    [
        ("conftest.py", b"x", None, True),
        ("a/conftest.py", b"x", b"y", True),
        ("conftest.py", b"x", b"x", False),
        ("pyproject.toml", b"[project]\nversion = '2'\n", b"[project]\nversion = '1'\n", False),
        ("pyproject.toml", b"[project]\nname = 'new'\n", None, False),
        ("pyproject.toml", b"[tool.pytest.ini_options]\naddopts = '-x'\n", None, True),
        ("pyproject.toml", b"[tool]\npytest = 1\n", b"", True),
        ("pyproject.toml", b"[broken", b"", True),
        ("setup.cfg", b"[metadata]\nname = b\n", b"[metadata]\nname = a\n", False),
        ("setup.cfg", b"[tool:pytest]\naddopts = -x\n", b"[metadata]\nname = a\n", True),
        ("tox.ini", b"[pytest]\naddopts = -x\n", b"[tox]\n", True),
        ("setup.cfg", b"[metadata]\nname = a\n[tool:pytest]#]\naddopts = -x\n", b"[metadata]\nname = a\n", True),
        ("setup.cfg", b"[tool:pytest]\nx =\n [a]\n -p b\n", b"[tool:pytest]\nx =\n [a]\n", True),
        ("setup.cfg", b"[tool:pytest]\nx =\n[a\n -p b\n", b"[tool:pytest]\nx =\n[a\n", True),
        ("tox.ini", b"[testenv:pytest]\ndeps = b\n", b"[testenv:pytest]\ndeps = a\n", False),
        ("tox.ini", b"no section", b"[tox]\n", True),
    ],
)
def test_steering_files_return_and_general_configuration_only_where_it_steers(
    path: str, now: bytes, judge: bytes | None, returned: bool
) -> None:
    assert must_return(path, now, judge) is returned
