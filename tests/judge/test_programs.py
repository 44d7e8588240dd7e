"""A test command that names its program by a path: run from where it is, or refused with where was looked."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from infrastructure.judge import TestCommandNotStarted as NotStarted
from infrastructure.judge import TestOutcome, TestPlan, judge_files, plan_tests, plan_written, run_tests
from infrastructure.workspace import Tree, fork_tree, take_snapshot
from tests.judge.test_discovery import PYTEST, UNITTEST, make_environment

FILES = {"test_a.py": PYTEST}


def program(path: Path, first_line: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(first_line)
    path.chmod(0o755)
    return path


async def planned(take, command: str, files=None) -> TestPlan:
    plan = await plan_tests(await take(files or FILES), test_command=command)
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    ("word", "python"),
    [
        (".venv/bin/pytest", ".venv/bin/python"),
        ("./.venv/bin/pytest", ".venv/bin/python"),
        ("env/bin/pytest", "env/bin/python"),
        ("{repo}/.venv/bin/pytest", ".venv/bin/python"),
        (".venv/bin/python -m pytest", ".venv/bin/python"),
        (".tox/py311/bin/python3 -m pytest", ".tox/py311/bin/python3"),
    ],
)
async def test_environment_in_the_project_is_the_one_that_is_named(
    take, tmp_path: Path, word: str, python: str
) -> None:
    repo = tmp_path / "project"
    environment = make_environment((repo / python).parent.parent, "pytest")
    (environment / "bin" / "python3").symlink_to("python")
    program(environment / "bin" / "pytest")

    plan = await planned(take, f"{word.format(repo=repo)} -q")

    assert (plan.framework, plan.interpreter) == ("pytest", repo / python)
    assert plan.arguments[-2] == "-q"
    assert environment in plan.read
    assert plan.note == "", "nothing was put in its place"


@pytest.mark.parametrize(
    ("word", "said", "hint"),
    [
        (".venv/bin/pytest", "{repo}/.venv/bin/pytest; it is in neither place", "Make the environment first"),
        ("venv/bin/pytest -q", "{repo}/venv/bin/pytest; it is in neither place", "Make the environment first"),
        ("env/bin/python -m pytest", "{repo}/env/bin/python; it is in neither place", "Make the environment first"),
        ("full/bin/pytest", "{repo}/full/bin/pytest; it is in neither place", "full/bin/python -m pip install pytest"),
        ("full/bin/python9 -m pytest", "{repo}/full/bin/python9; it is in neither place", "anew: its Python is gone"),
        ("/no/where/pytest", "there is no file /no/where/pytest", "Make the environment first"),
        ("./check.sh", "{repo}/check.sh; it is in neither place", "give the path of a program"),
        ("uv run .venv/bin/pytest", "{repo}/.venv/bin/pytest; it is in neither place", "Make the environment first"),
    ],
)
async def test_program_that_is_nowhere_is_refused_with_where_was_looked(take, tmp_path, word, said, hint) -> None:
    make_environment(tmp_path / "project" / "full")
    with pytest.raises(NotStarted, match="could not be started") as refused:
        await planned(take, word)
    assert said.format(repo=tmp_path / "project") in str(refused.value)
    assert hint in refused.value.hint
    assert refused.value.command == word


def ignored(folder: Path, *patterns: str) -> None:
    """Make a folder a repository that ignores something."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("\n".join(patterns))
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


async def test_program_that_git_ignores_is_refused_with_the_reason(take, tmp_path: Path) -> None:
    ignored(tmp_path / "project", "build/")
    program(tmp_path / "project" / "build" / "check")
    with pytest.raises(NotStarted, match="git ignores it"):
        await planned(take, "build/check --all")


@pytest.mark.parametrize("word", ["./check.sh", "tools/pytest", "{repo}/check.sh"])
async def test_script_of_the_project_runs_in_the_copy(take, tmp_path: Path, word: str) -> None:
    repo = tmp_path / "project"
    plan = await planned(take, word.format(repo=repo) + " -q", {"check.sh": "exit 0\n", "tools/pytest": "exit 0\n"})
    name = "check.sh" if "check" in word else "tools/pytest"
    assert (plan.framework, plan.arguments) == ("command", (f"./{name}", "-q"))


async def test_program_of_a_dependency_folder_is_reached_over_its_link(take, tmp_path: Path) -> None:
    program(tmp_path / "project" / "node_modules" / ".bin" / "jest")
    plan = await planned(take, "node_modules/.bin/jest --ci")
    assert plan.arguments == ("node_modules/.bin/jest", "--ci", "--json", "--outputFile={report}")
    assert plan.framework == "report"
    assert [name for name, _ in plan.links] == ["node_modules"]


async def test_python_of_an_environment_runs_another_command_from_its_own_place(take, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "project" / "env")
    plan = await planned(take, "env/bin/python manage.py test")
    assert plan.framework == "command"
    assert plan.arguments == (str(environment / "bin" / "python"), "manage.py", "test")
    assert plan.interpreter == environment / "bin" / "python"
    assert environment in plan.read


async def test_program_elsewhere_is_run_by_the_python_that_its_first_line_names(take, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "far" / "env", "pytest")
    tool = program(tmp_path / "far" / "tools" / "pytest", f"#!{environment}/bin/python\n")
    link = tmp_path / "far" / "links" / "pytest"
    link.parent.mkdir()
    link.symlink_to(program(environment / "bin" / "pytest"))
    assert (await planned(take, str(tool))).interpreter == environment / "bin" / "python"
    assert (await planned(take, str(link))).interpreter == environment / "bin" / "python"


async def test_pytest_that_is_no_pythons_is_run_as_any_command(take, tmp_path: Path) -> None:
    shim = program(tmp_path / "shims" / "pytest", "#!/usr/bin/env bash\n")
    plan = await planned(take, f"{shim} -q")
    assert (plan.framework, plan.arguments) == ("command", (str(shim), "-q"))


async def test_written_tests_run_where_the_judges_do(take, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "far" / "env", "pytest")
    plan = await planned(take, f"{environment}/bin/python -m pytest")
    snapshot = await take(FILES)
    written = await plan_written(snapshot, {"test_w.py": PYTEST.encode()}, plan)
    assert written.interpreter == plan.interpreter
    assert environment in written.read
    other = await planned(take, f"{environment}/bin/python -m unittest")
    assert (await plan_written(snapshot, {"test_w.py": PYTEST.encode()}, other)).interpreter == Path(sys.executable)


async def test_coverage_is_not_measured_unless_the_command_asks_for_it(take, tmp_path: Path) -> None:
    make_environment(tmp_path / "project" / ".venv", "pytest", "pytest_cov")
    assert "--no-cov" in (await planned(take, "pytest")).arguments
    assert "--no-cov" not in (await planned(take, "pytest --cov=app --cov-fail-under=90")).arguments


async def test_switch_of_a_plugin_that_is_turned_off_is_not_used(take, tmp_path: Path) -> None:
    make_environment(tmp_path / "project" / ".venv", "pytest", "pytest_cov")
    plan = await planned(take, "pytest", {**FILES, "pytest.ini": "[pytest]\naddopts = -p no:cov\n"})
    assert "--no-cov" not in plan.arguments


# ------------------------------------------------------------------------- a real environment, in the sandbox


@pytest.fixture(scope="module")
def real_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment made as a person makes one; without pip, which no test needs."""
    place = tmp_path_factory.mktemp("made") / ".venv"
    venv.create(place, with_pip=False, symlinks=True)
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "only_here.py").write_text("PLACE = __file__\n")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", [".venv", "env"])
@pytest.mark.parametrize("command", ["{}/bin/python -m unittest", "{}/bin/python test_a.py"])
async def test_ignored_environment_of_the_repository_is_run_read_only(
    sandbox, tmp_path: Path, real_environment: Path, name: str, command: str
) -> None:
    repo = tmp_path / "project"
    ignored(repo, f"{name}/")
    shutil.copytree(real_environment, repo / name, symlinks=True)
    test = (
        "import os, sys, unittest, only_here\n"
        "class T(unittest.TestCase):\n"
        "    def test_it(self):\n"
        f"        self.assertEqual(sys.prefix, {str(repo / name)!r})\n"
        "        with self.assertRaises(OSError):\n"
        "            open(os.path.join(sys.prefix, 'written'), 'w')\n"
        "if __name__ == '__main__': unittest.main()\n"
    )
    (repo / "test_a.py").write_text(test)
    snapshot = await take_snapshot(repo, tmp_path / "run")
    assert "pyvenv.cfg" not in str(snapshot.files)
    plan = await plan_tests(snapshot, test_command=command.format(name))
    assert plan is not None
    tree = await fork_tree(snapshot, tmp_path / "tree")

    report = await run_tests(sandbox, tree, plan, await judge_files(snapshot, command=plan.command))

    assert set(report.outcomes.values()) == {TestOutcome.PASSED}, report.output


@pytest.mark.slow
async def test_named_environment_without_pytest_is_said_and_not_replaced(take, sandbox, real_environment: Path) -> None:
    snapshot = await take({"test_a.py": UNITTEST})
    plan = await plan_tests(snapshot, test_command=f"{real_environment}/bin/python -m pytest")
    assert plan is not None
    with pytest.raises(NotStarted, match="No module named 'pytest'") as refused:
        await run_tests(sandbox, Tree(snapshot.root), plan, {})
    assert refused.value.hint == f"Install it there: {real_environment}/bin/python -m pip install pytest"
