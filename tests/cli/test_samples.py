"""The demo's samples are what the demo says of them."""

from __future__ import annotations

import asyncio
import sys
import types
import unittest
from pathlib import Path

import pytest

from backend.cli.sampling import FIRST_TIME_RIGHT, DemoPlace, SampleTask, commit_samples, read_samples, write_samples
from infrastructure.simulator import is_right_first_time, read_tasks
from infrastructure.workspace.git import find_repository

SAMPLES = read_samples()


def test_one_task_is_repaired_one_needs_two_files_and_one_is_right_at_once() -> None:
    first_time = [is_right_first_time(task.id, 0, FIRST_TIME_RIGHT) for task in SAMPLES.task]
    assert first_time == [not task.broken for task in SAMPLES.task]
    assert first_time.count(False) >= 1
    assert any(right and len(task.files) == 1 for right, task in zip(first_time, SAMPLES.task, strict=True))
    assert any(len(task.files) == 2 for task in SAMPLES.task)


@pytest.mark.parametrize("task", SAMPLES.task, ids=lambda task: task.id)
def test_task_names_files_and_tests_of_the_repository_and_changes_them(task: SampleTask) -> None:
    for path, content in {**task.files, **task.broken}.items():
        assert SAMPLES.repository[path] != content
        assert path in task.prompt
    assert set(task.tests) <= set(SAMPLES.repository)


def test_oracle_reads_the_answers_as_they_are_written(tmp_path: Path) -> None:
    place = DemoPlace(tmp_path)
    write_samples(SAMPLES, place)
    known = read_tasks(place.answers)
    assert [task.id for task in known] == [task.id for task in SAMPLES.task]
    assert known[0].files == {path: text.lstrip("\n") for path, text in SAMPLES.task[0].files.items()}


@pytest.mark.slow
def test_sample_repository_is_a_git_repository_with_nothing_uncommitted(tmp_path: Path) -> None:
    place = DemoPlace(tmp_path)
    write_samples(SAMPLES, place)
    asyncio.run(commit_samples(place))
    assert find_repository(place.repository) is not None
    assert (place.repository / ".git" / "refs" / "heads" / "main").exists()


@pytest.mark.parametrize("solved", [False, True], ids=["untouched", "solved"])
@pytest.mark.parametrize("task", SAMPLES.task, ids=lambda task: task.id)
def test_task_turns_its_red_tests_green(task: SampleTask, solved: bool) -> None:
    results = outcomes(task, dict(task.files) if solved else {})
    assert any(results)
    assert all(results) == solved


@pytest.mark.parametrize("task", [task for task in SAMPLES.task if task.broken], ids=lambda task: task.id)
def test_wrong_answer_turns_no_test_green(task: SampleTask) -> None:
    assert outcomes(task, {**task.files, **task.broken}) == outcomes(task, {})


def outcomes(task: SampleTask, changes: dict[str, str]) -> list[bool]:
    """Whether each test of a task passes, run in modules that exist only here."""
    files = {**SAMPLES.repository, **changes}
    sources = [path for path in files if path.endswith(".py") and "/" not in path]
    before = {name: sys.modules.get(name) for name in (path.removesuffix(".py") for path in sources)}
    try:
        for path in sorted(sources, key=lambda path: path != "money.py"):
            module = sys.modules[path.removesuffix(".py")] = types.ModuleType(path.removesuffix(".py"))
            exec(compile(files[path], path, "exec"), module.__dict__)
        tests = types.ModuleType("sample_tests")
        exec(compile(files[task.tests[0]], task.tests[0], "exec"), tests.__dict__)
        result = unittest.TestResult()
        suite = list(unittest.defaultTestLoader.loadTestsFromModule(tests))
        cases = [case for group in suite for case in group]
        for case in cases:
            case.run(result)
        bad = {case.id() for case, _ in (*result.failures, *result.errors)}
        return [case.id() not in bad for case in cases]
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
