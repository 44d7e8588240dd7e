"""Which tests judge a run, and how they are started.

Owns `TestPlan` and how one is found: the user's test command, the user's test files, or the repository's own tests by
convention. Looks at the snapshot and at the project's dependency folders; runs nothing.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from infrastructure.judge.commands import Parsed, parse_command, program_paths
from infrastructure.judge.interpreters import Interpreter, corrals_own, find_interpreter
from infrastructure.judge.steering import belongs_to_judge, is_test_file, names_pytest
from infrastructure.sandbox.interpreters import interpreter_paths
from infrastructure.workspace import DEPENDENCY_FOLDERS, Snapshot
from infrastructure.workspace.beneath import LINK, read_file
from infrastructure.workspace.git import find_repository
from infrastructure.workspace.threads import in_thread

Framework = Literal["pytest", "unittest", "command"]
_LOOKED_AT = 256 << 10
_JUDGE_FILE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPlan:
    """How the judge's tests are run.

    Attributes:
        framework: Who runs them; `command` gives one outcome, by its exit code.
        argv: The command as a person would type it.
        arguments: What the framework is given, or the command itself.
        judge: Whether the user gave the tests or they were found.
        interpreter: The Python they run on.
        read: Absolute paths they may read besides.
        links: Dependency folders that the tree is given a link to, by name.
        note: What the user must know; may be empty.
    """

    __test__ = False  # pytest would take the class for tests

    framework: Framework
    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    judge: Literal["given", "found"]
    interpreter: Path
    read: tuple[Path, ...] = ()
    links: tuple[tuple[str, Path], ...] = ()
    note: str = ""

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        return shlex.join(self.argv)


_PLAN = TypeAdapter(TestPlan)


def dump_plan(plan: TestPlan) -> bytes:
    """The stored form of a plan: JSON."""
    return _PLAN.dump_json(plan)


def load_plan(content: bytes) -> TestPlan:
    """A plan from its stored form.

    Raises:
        pydantic.ValidationError: It is none.
    """
    return _PLAN.validate_json(content)


async def plan_tests(
    snapshot: Snapshot, *, test_command: str = "", tests: Mapping[str, bytes] | None = None
) -> TestPlan | None:
    """Find how to judge a run; None when there are no tests.

    Args:
        snapshot: The untouched files.
        test_command: What the user gave with `--test-command`.
        tests: What the user gave with `--tests`, by the path each file has in the tree.

    Raises:
        ValueError: The test command cannot be read: it is empty or a quote is left open.
    """
    return await in_thread(lambda _: _plan(snapshot, test_command, tests or {}))


async def plan_written(snapshot: Snapshot, tests: Mapping[str, bytes]) -> TestPlan:
    """How tests that Corral wrote are run: these files only."""
    return await in_thread(lambda _: _plan_files(snapshot, tests, "found"))


async def judge_files(snapshot: Snapshot, given: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The files that are copied in after the last edit, by path.

    They are the snapshot's tests with what lies beside them, what steers the runner, and over them what the user gave.
    """
    return await in_thread(lambda _: _judge_files(snapshot) | dict(given or {}))


def _judge_files(snapshot: Snapshot) -> dict[str, bytes]:
    return {
        path: read_file(snapshot.root, path)
        for path, state in snapshot.files.items()
        if belongs_to_judge(path) and state.mode != LINK and state.size <= _JUDGE_FILE_BYTES
    }


def _plan(snapshot: Snapshot, test_command: str, tests: Mapping[str, bytes]) -> TestPlan | None:
    if test_command:
        return _plan_command(snapshot, parse_command(test_command))
    if tests:
        return _plan_files(snapshot, tests, "given")
    found = {
        path: read_file(snapshot.root, path)[:_LOOKED_AT]
        for path, state in snapshot.files.items()
        if is_test_file(path) and state.mode != LINK
    }
    framework = _framework_of(snapshot, found)
    return None if framework is None else _plan_python(snapshot, framework, (), "found", found)


def _plan_files(snapshot: Snapshot, tests: Mapping[str, bytes], judge: Literal["given", "found"]) -> TestPlan:
    framework = _framework_of(snapshot, tests) or "pytest"
    return _plan_python(snapshot, framework, tuple(sorted(tests)), judge, tests)


def _framework_of(snapshot: Snapshot, tests: Mapping[str, bytes]) -> Literal["pytest", "unittest"] | None:
    if not tests:
        return None
    if any(_wants_pytest(content) for content in tests.values()):
        return "pytest"
    if any(b"unittest" in content for content in tests.values()):
        return "unittest"  # pytest would run them too, but starts ten times slower in a full environment
    configured = any(
        names_pytest(path, read_file(snapshot.root, path)) or path.endswith("conftest.py")
        for path, state in snapshot.files.items()
        if state.mode != LINK and belongs_to_judge(path) and "/" not in path
    )
    return "pytest" if configured else None


def _wants_pytest(content: bytes) -> bool:
    lines = content.splitlines()
    if any(line.startswith((b"import pytest", b"from pytest", b"def test", b"async def test")) for line in lines):
        return True
    return b"unittest" not in content and any(line.startswith(b"class Test") for line in lines)


def _plan_python(
    snapshot: Snapshot,
    framework: Literal["pytest", "unittest"],
    arguments: tuple[str, ...],
    judge: Literal["given", "found"],
    tests: Mapping[str, bytes],
) -> TestPlan:
    interpreter = _interpreter(snapshot)
    if framework == "pytest" and not interpreter.has("pytest"):
        interpreter = corrals_own("Corral's own interpreter, since the project's has no pytest")
    options = _pytest_options(interpreter, tests) if framework == "pytest" else ()
    return TestPlan(
        framework=framework,
        argv=("python", "-m", framework, *arguments),
        arguments=(*options, *arguments),
        judge=judge,
        interpreter=interpreter.python,
        read=_readable(snapshot, interpreter),
        links=_dependencies(snapshot),
        note=interpreter.note,
    )


def _plan_command(snapshot: Snapshot, parsed: Parsed) -> TestPlan:
    interpreter = _interpreter(snapshot)
    if parsed.framework == "pytest" and not interpreter.has("pytest"):
        interpreter = corrals_own("Corral's own interpreter, since the project's has no pytest")
    options: tuple[str, ...] = _pytest_options(interpreter, {}) if parsed.framework == "pytest" else ()
    read = _readable(snapshot, interpreter)
    if parsed.framework == "command":
        read = (*read, *(path for path in program_paths(parsed.arguments) if path not in read))
    return TestPlan(
        framework=parsed.framework,
        argv=parsed.argv,
        arguments=(*options, *parsed.arguments),
        judge="given",
        interpreter=interpreter.python,
        read=read,
        links=_dependencies(snapshot),
        note=interpreter.note,
    )


def _pytest_options(interpreter: Interpreter, tests: Mapping[str, bytes]) -> tuple[str, ...]:
    options = ("-p", "no:cacheprovider", "--tb=short", "--color=no", "--continue-on-collection-errors")
    if not interpreter.own:
        return options
    # Corral's environment is not the project's: its plugins would act on tests that never asked for them, and the
    # project's own options may name plugins that are not here.
    wanted = any(b"asyncio" in content for content in tests.values()) and interpreter.has("pytest_asyncio")
    return (*options, "--override-ini=addopts=", *(("-p", "pytest_asyncio.plugin") if wanted else ()))


def _folders(snapshot: Snapshot) -> tuple[Path, ...]:
    repository = find_repository(snapshot.repo)
    return (snapshot.repo,) if repository is None else tuple(dict.fromkeys((snapshot.repo, repository.top)))


def _interpreter(snapshot: Snapshot) -> Interpreter:
    return find_interpreter(_folders(snapshot))


def _dependencies(snapshot: Snapshot) -> tuple[tuple[str, Path], ...]:
    return tuple((name, snapshot.repo / name) for name in sorted(DEPENDENCY_FOLDERS) if (snapshot.repo / name).is_dir())


def _readable(snapshot: Snapshot, interpreter: Interpreter) -> tuple[Path, ...]:
    folders = [path for _, path in _dependencies(snapshot)]
    return tuple(dict.fromkeys((*interpreter_paths(interpreter.python), *folders)))
