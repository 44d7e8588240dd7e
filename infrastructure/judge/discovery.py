"""Which tests judge a run, and how they are started.

Owns `TestPlan` and how one is found: the user's test command, the user's test files, or the repository's own tests by
convention. Looks at the snapshot and at the project's dependency folders; runs nothing.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from infrastructure.judge.belonging import is_unittest, lent, wants_pytest
from infrastructure.judge.commands import Parsed, parse_command, program_paths
from infrastructure.judge.editable import installed_from
from infrastructure.judge.harness import SOURCES
from infrastructure.judge.interpreters import Interpreter, corrals_own, find_interpreter, known_interpreter
from infrastructure.judge.programs import is_path, locate
from infrastructure.judge.runners import Runner, customary, known_runner, scripts_in, tools_named
from infrastructure.judge.steering import belongs_to_judge, is_manifest, is_test_file, named_by, names_pytest
from infrastructure.sandbox.interpreters import interpreter_paths
from infrastructure.workspace import DEPENDENCY_FOLDERS, Snapshot
from infrastructure.workspace.beneath import LINK, read_file
from infrastructure.workspace.git import find_repository
from infrastructure.workspace.threads import in_thread

Framework = Literal["pytest", "unittest", "command", "report", "go", "cargo"]
HARNESSED = frozenset({"pytest", "unittest"})
"""What is run by Corral's own harness, in the process of the tests."""
_LOOKED_AT = 256 << 10
_JUDGE_FILE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPlan:
    """How the judge's tests are run.

    Attributes:
        framework: Who runs them, and so how their report is read; `command` gives one outcome, by its exit code.
        argv: The command as a person would type it.
        arguments: What the framework is given, or the command itself.
        judge: Whether the user gave the tests or they were found.
        interpreter: The Python they run on.
        read: Absolute paths they may read besides.
        links: Dependency folders that the tree is given a link to, by name.
        env: Further variables; `{place}` in one stands for the folder of the run.
        places: Folders made for a run, below its folder: empty, or a link to a target.
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
    env: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[str, Path | None], ...] = ()
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
        TestCommandNotStarted: It names a program by a path, and the program is not there.
    """
    return await in_thread(lambda _: _plan(snapshot, test_command, tests or {}))


async def plan_written(snapshot: Snapshot, tests: Mapping[str, bytes], like: TestPlan | None = None) -> TestPlan:
    """How tests that Corral wrote are run: these files only, on the Python of the judge's plan where there is one."""
    return await in_thread(lambda _: _plan_files(snapshot, tests, "found", like))


async def plan_probe(snapshot: Snapshot, like: TestPlan | None = None) -> TestPlan:
    """On which Python a candidate's functions are tried, and what they may read: as in the judge's plan."""
    interpreter = None if like is None else known_interpreter(like.interpreter)
    return await in_thread(lambda _: _plan_python(snapshot, "unittest", (), "found", {}, interpreter))


async def judge_files(
    snapshot: Snapshot, given: Mapping[str, bytes] | None = None, command: str = ""
) -> dict[str, bytes]:
    """The files that are copied in after the last edit, by path.

    They are the snapshot's tests with what lies beside them, what steers the runner, what the test command names, and
    over them what the user gave; but not what only bears a test's name (`lent`).
    """
    return await in_thread(lambda _: _judge_files(snapshot, named_by(command)) | dict(given or {}))


def _judge_files(snapshot: Snapshot, named: frozenset[str]) -> dict[str, bytes]:
    named = named | scripts_in(snapshot, named)
    free = lent(snapshot) - named
    mine = {path for path in snapshot.files if path in named or belongs_to_judge(path) or is_manifest(path)} - free
    mine |= {_behind(snapshot, path) for path in mine if snapshot.files[path].mode == LINK}
    return {
        path: read_file(snapshot.root, path)
        for path, state in snapshot.files.items()
        if path in mine and state.mode != LINK and state.size <= _JUDGE_FILE_BYTES
    }


def _behind(snapshot: Snapshot, path: str) -> str:
    """The file that a link of the snapshot leads to; links in a snapshot never lead out of it."""
    root = os.path.realpath(snapshot.root)
    return os.path.relpath(os.path.realpath(os.path.join(root, path)), root)  # noqa: PTH118 - names may be no UTF-8


def _plan(snapshot: Snapshot, test_command: str, tests: Mapping[str, bytes]) -> TestPlan | None:
    if test_command:
        return _plan_command(snapshot, test_command, parse_command(test_command))
    if tests:
        return _plan_files(snapshot, tests, "given")
    found = {
        path: read_file(snapshot.root, path)[:_LOOKED_AT]
        for path, state in snapshot.files.items()
        if is_test_file(path) and state.mode != LINK
    }
    framework = _framework_of(snapshot, found)
    if framework is not None:
        return _plan_python(snapshot, framework, (), "found", found)
    command = customary(snapshot)
    return replace(_plan_command(snapshot, command, parse_command(command)), judge="found") if command else None


def _plan_files(
    snapshot: Snapshot, tests: Mapping[str, bytes], judge: Literal["given", "found"], like: TestPlan | None = None
) -> TestPlan:
    framework = _framework_of(snapshot, tests) or "pytest"
    interpreter = None if like is None else known_interpreter(like.interpreter)
    if like is not None and framework == "pytest" and like.framework != "pytest":
        interpreter = None  # nobody has said that it has a pytest
    return _plan_python(snapshot, framework, tuple(sorted(tests)), judge, tests, interpreter)


def _framework_of(snapshot: Snapshot, tests: Mapping[str, bytes]) -> Literal["pytest", "unittest"] | None:
    if not tests:
        return None
    if any(wants_pytest(content) for content in tests.values()):
        return "pytest"
    configured, unittests = _sets_pytest_up(snapshot), any(is_unittest(content) for content in tests.values())
    if configured and not (unittests and _lacks_pytest(snapshot)):
        return "pytest"  # what it sets up, the path of modules say, unittest knows nothing of
    return "unittest" if unittests else None  # pytest would run them too, but starts ten times slower


def _sets_pytest_up(snapshot: Snapshot) -> bool:
    return any(
        names_pytest(path, read_file(snapshot.root, path)) or path.endswith("conftest.py")
        for path, state in snapshot.files.items()
        if state.mode != LINK and belongs_to_judge(path) and "/" not in path
    )


def _lacks_pytest(snapshot: Snapshot) -> bool:
    found = find_interpreter(_folders(snapshot))
    return not found.own and not found.has("pytest")


def _plan_python(
    snapshot: Snapshot,
    framework: Literal["pytest", "unittest"],
    arguments: tuple[str, ...],
    judge: Literal["given", "found"],
    tests: Mapping[str, bytes],
    interpreter: Interpreter | None = None,
) -> TestPlan:
    interpreter = interpreter or _interpreter(snapshot, framework)
    options = _pytest_options(snapshot, interpreter, tests) if framework == "pytest" else ()
    return TestPlan(
        framework=framework,
        argv=("python", "-m", framework, *arguments),
        arguments=_all_of_them(framework, (*options, *arguments)),
        judge=judge,
        interpreter=interpreter.python,
        read=_readable(snapshot, interpreter),
        links=_dependencies(snapshot),
        env=_installed_from_here(snapshot, interpreter),
        note=interpreter.note,
    )


def _plan_command(snapshot: Snapshot, command: str, parsed: Parsed) -> TestPlan:
    framework, arguments, interpreter = parsed.framework, parsed.arguments, None
    if parsed.inner and is_path(parsed.inner[0]):
        located = locate(command, parsed.inner[0], snapshot)
        interpreter = located.interpreter
        if interpreter is None or framework == "command":  # a `pytest` that is the project's own script, say
            framework, arguments = "command", (located.word, *parsed.inner[1:])
    interpreter = interpreter or _interpreter(snapshot, framework)
    options = _pytest_options(snapshot, interpreter, {}, parsed.arguments) if framework == "pytest" else ()
    read, tools = _readable(snapshot, interpreter), tuple[Runner, ...]()
    if framework == "command":
        runner = known_runner(arguments, snapshot)
        if runner is not None:
            return _plan_runner(snapshot, parsed, runner, interpreter.python)
        tools = tools_named(arguments, snapshot)
        paths = [path for tool in tools for path in (*program_paths((tool.program,)), *tool.read)]
        read = tuple(dict.fromkeys((*read, *program_paths(arguments), *paths)))
    return TestPlan(
        framework=framework,
        argv=parsed.argv,
        arguments=_all_of_them(framework, (*options, *arguments)),
        judge="given",
        interpreter=interpreter.python,
        read=read,
        links=_dependencies(snapshot),
        env=(*_installed_from_here(snapshot, interpreter), *(each for tool in tools for each in tool.env)),
        places=tuple(each for tool in tools for each in tool.places),
        note=interpreter.note,
    )


def _plan_runner(snapshot: Snapshot, parsed: Parsed, runner: Runner, python: Path) -> TestPlan:
    folders = [path for _, path in _dependencies(snapshot)]
    return TestPlan(
        framework=runner.framework,
        argv=parsed.argv,
        arguments=runner.arguments,
        judge="given",
        interpreter=python,
        read=tuple(dict.fromkeys((*folders, *program_paths((runner.program,)), *runner.read))),
        links=_dependencies(snapshot),
        env=runner.env,
        places=runner.places,
    )


def _pytest_options(
    snapshot: Snapshot, interpreter: Interpreter, tests: Mapping[str, bytes], asked: tuple[str, ...] = ()
) -> tuple[str, ...]:
    options = ("--tb=short", "--color=no", "--continue-on-collection-errors")
    if not interpreter.own:
        return (*options, "--no-cov") if _measures_coverage(snapshot, interpreter, asked) else options
    # Corral's environment is not the project's: its plugins would act on tests that never asked for them, and the
    # project's own options may name plugins that are not here.
    wanted = any(b"asyncio" in content for content in tests.values()) and interpreter.has("pytest_asyncio")
    return (*options, "--override-ini=addopts=", *(("-p", "pytest_asyncio.plugin") if wanted else ()))


def _all_of_them(framework: Framework, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Every test is run, though the user or the project says to stop early: one that did not run tells nothing."""
    if framework != "pytest":
        return arguments
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return (*arguments[:end], "--maxfail=0", *arguments[end:])


def _installed_from_here(snapshot: Snapshot, interpreter: Interpreter) -> tuple[tuple[str, str], ...]:
    """The project's folders from which its environment imports, where the tests' copy has them too."""
    folders = () if interpreter.own else installed_from(snapshot.repo, interpreter.python.parent.parent)
    found = [folder for folder in folders if (snapshot.root / folder).is_dir()]
    return ((SOURCES, os.pathsep.join(found)),) if found else ()


def _measures_coverage(snapshot: Snapshot, interpreter: Interpreter, asked: tuple[str, ...]) -> bool:
    """Whether the project's own options may measure coverage: some files of it alone would always have too little."""
    if not interpreter.has("pytest_cov") or any(option.startswith(("--cov", "--no-cov")) for option in asked):
        return False
    switched_off = (b"no:cov", b"no:pytest_cov")
    return not any(
        option in read_file(snapshot.root, path)
        for path, state in snapshot.files.items()
        if "/" not in path and state.mode != LINK and names_pytest(path, read_file(snapshot.root, path))
        for option in switched_off
    )


def _folders(snapshot: Snapshot) -> tuple[Path, ...]:
    repository = find_repository(snapshot.repo)
    return (snapshot.repo,) if repository is None else tuple(dict.fromkeys((snapshot.repo, repository.top)))


def _interpreter(snapshot: Snapshot, framework: Framework) -> Interpreter:
    found = find_interpreter(_folders(snapshot))
    if framework == "pytest" and not found.has("pytest"):
        return corrals_own("Corral's own interpreter, since the project's has no pytest")
    return found


def _dependencies(snapshot: Snapshot) -> tuple[tuple[str, Path], ...]:
    return tuple((name, snapshot.repo / name) for name in sorted(DEPENDENCY_FOLDERS) if (snapshot.repo / name).is_dir())


def _readable(snapshot: Snapshot, interpreter: Interpreter) -> tuple[Path, ...]:
    folders = [path for _, path in _dependencies(snapshot)]
    return tuple(dict.fromkeys((*interpreter_paths(interpreter.python), *folders)))
