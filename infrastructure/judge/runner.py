"""Running the judge's tests on a tree.

Owns the order of work: the tree is copied to a throw-away place, the judge's files are put over it, the tests run in
the sandbox, and what they reported is read from outside. So no attempt can change the judge's files, and nothing the
tests leave behind gets into a patch.
"""

import importlib.resources
import secrets
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from infrastructure.judge.discovery import TestPlan
from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.judge.overlay import put_judge_files
from infrastructure.judge.reading import NO_TESTS, Record, contradiction, read_records
from infrastructure.judge.reports import TestOutcome, TestReport, error_line
from infrastructure.sandbox import Command, Execution, Limits, Sandbox
from infrastructure.workspace import Tree
from infrastructure.workspace.beneath import git_mode, read_file
from infrastructure.workspace.copying import copy_files
from infrastructure.workspace.errors import PathMissing, PathRefused, TooLarge
from infrastructure.workspace.threads import Stopping, in_thread
from infrastructure.workspace.trees import walk

_REPORT_BYTES = 32 << 20
_OUTPUT_CHARACTERS = 8_000
_PYTEST_ENDED = frozenset(
    {0, 1, NO_TESTS}
)  # passed, some failed, none collected; the others are faults of the run itself
_LIMITS = Limits()
_NOT_STARTED = frozenset({126, 127})  # as a shell says it: not executable, not found


@dataclass(frozen=True, slots=True)
class _Place:
    """A throw-away place: `work` is the copy of the tree, the rest is ours."""

    root: Path
    key: str

    @property
    def work(self) -> Path:
        return self.root / "work"


async def run_tests(
    sandbox: Sandbox,
    tree: Tree,
    plan: TestPlan,
    judge_files: Mapping[str, bytes],
    *,
    without: Collection[str] = (),
    limits: Limits = _LIMITS,
    scratch: Path | None = None,
) -> TestReport:
    """Run the judge's tests on a copy of the tree.

    Args:
        sandbox: Where.
        tree: The candidate's tree; not changed.
        plan: What to run.
        judge_files: Copied over the tree first. Files that steer a test runner and are not among them are taken away.
        without: Files of the tree that are left out of the copy.
        limits: Of the execution.
        scratch: Folder for the copy; beside the tree when None.

    Raises:
        TestCommandNotStarted: There is no such program, or it may not be executed.
        SandboxFault, UnsafeCommand: From the sandbox.
    """
    into = scratch or tree.root.parent
    place = await in_thread(lambda stopping: _prepare(tree, plan, judge_files, without, into, stopping))
    try:
        command = await in_thread(lambda _: _command(plan, place, limits))
        execution = await sandbox.run(command)
        return await in_thread(lambda _: _report(plan, place, execution))
    finally:
        await in_thread(lambda _: shutil.rmtree(place.root, ignore_errors=True))


def _prepare(
    tree: Tree,
    plan: TestPlan,
    judge_files: Mapping[str, bytes],
    without: Collection[str],
    scratch: Path,
    stopping: Stopping,
) -> _Place:
    scratch.mkdir(parents=True, exist_ok=True)
    place = _Place(Path(tempfile.mkdtemp(prefix=".judge-", dir=scratch)).resolve(), secrets.token_hex(32))
    try:
        place.work.mkdir()
        found = {path: each for path, each in walk(tree.root, stopping).items() if path not in without}
        copy_files(tree.root, place.work, {path: git_mode(each.st_mode) for path, each in found.items()}, stopping)
        put_judge_files(place.work, found, judge_files, stopping)
        for name, target in plan.links:
            link = place.work / name
            if not link.exists() and not link.is_symlink():
                link.symlink_to(target)
        if plan.framework != "command":
            harness = importlib.resources.files("infrastructure.judge").joinpath("harness.py").read_bytes()
            (place.root / "harness.py").write_bytes(harness)
            (place.root / "key").write_text(place.key, "ascii")
    except BaseException:
        shutil.rmtree(place.root, ignore_errors=True)
        raise
    return place


def _command(plan: TestPlan, place: _Place, limits: Limits) -> Command:
    folders = [
        str(plan.interpreter.parent),
        *(f"{path}/bin" for path in plan.read),
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    ]
    env = {"PATH": ":".join(dict.fromkeys(folders)), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    if (plan.interpreter.parent.parent / "pyvenv.cfg").is_file():
        env["VIRTUAL_ENV"] = str(plan.interpreter.parent.parent)
    argv = plan.arguments
    if plan.framework != "command":
        root = place.root
        # -I: no module of the tree is found before the harness has imported its own.
        argv = (str(plan.interpreter), "-I", "-B", str(root / "harness.py"), str(root / "report"), str(root / "key"))
        options = (f"--rootdir={place.work}",) if plan.framework == "pytest" else ()
        argv = (*argv, plan.framework, *options, *plan.arguments)
        if "--override-ini=addopts=" in plan.arguments:
            env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return Command(argv=argv, tree=place.root, read=plan.read, env=env, cwd=PurePosixPath("work"), limits=limits)


def _report(plan: TestPlan, place: _Place, execution: Execution) -> TestReport:
    output = "\n".join(part for part in (execution.stdout, execution.stderr) if part)
    output = _localised(place, output)[-_OUTPUT_CHARACTERS:]
    empty = TestReport(outcomes={}, output=output, seconds=execution.seconds, command=plan.command)
    stopped = None
    if execution.stopped is not None or execution.exit_code is None:
        stopped = f"stopped after {execution.seconds:.0f} s ({execution.stopped or 'killed'})"
    if plan.framework == "command":
        return _by_exit_code(plan, empty, execution.exit_code, stopped)
    try:
        content = read_file(place.root, "report", limit=_REPORT_BYTES)
    except (PathMissing, PathRefused, TooLarge) as error:
        if stopped is None and execution.exit_code in _NOT_STARTED and isinstance(error, PathMissing):
            raise _not_started(plan, output) from error
        reason = f"the test runner reported nothing and ended with {execution.exit_code}{_said(output)}"
        return replace(empty, crashed=stopped or reason)
    report = _by_records(empty, read_records(content, place.key), execution.exit_code, stopped, plan)
    return replace(report, failures={test: _localised(place, text) for test, text in report.failures.items()})


def _not_started(plan: TestPlan, output: str) -> TestCommandNotStarted:
    said = output[-500:].strip()
    if plan.framework == "pytest" and "No module named 'pytest'" in said:
        return TestCommandNotStarted(plan.command, said, f"Install it there: {plan.interpreter} -m pip install pytest")
    return TestCommandNotStarted(plan.command, said)


def _by_exit_code(plan: TestPlan, empty: TestReport, exit_code: int | None, stopped: str | None) -> TestReport:
    if stopped is not None:
        return replace(empty, outcomes={plan.command: TestOutcome.ERROR}, crashed=stopped)
    if exit_code in _NOT_STARTED:
        raise _not_started(plan, empty.output)
    if exit_code == 0:
        return replace(empty, outcomes={plan.command: TestOutcome.PASSED})
    failures = {plan.command: empty.output or f"it ended with {exit_code}"}
    return replace(empty, outcomes={plan.command: TestOutcome.FAILED}, failures=failures)


def _by_records(
    empty: TestReport, record: Record, exit_code: int | None, stopped: str | None, plan: TestPlan
) -> TestReport:
    crashed = stopped
    if crashed is None and record.finish is None:
        crashed = f"the test process ended early, with {exit_code}"
    if crashed is None and plan.framework == "pytest" and record.finish not in _PYTEST_ENDED:
        crashed = f"pytest could not run the tests and ended with {record.finish}{_said(empty.output)}"
    if crashed is None and (doubt := contradiction(record, exit_code)) is not None:
        crashed = f"its report cannot be believed: {doubt}"
    outcomes, failures = dict(record.outcomes), dict(record.failures)
    if crashed is not None and record.running is not None:
        outcomes[record.running] = TestOutcome.ERROR
        failures[record.running] = f"The test process ended in this test: {crashed}"
    return replace(empty, outcomes=outcomes, failures=failures, crashed=crashed)


def _said(output: str) -> str:
    line = error_line(output)
    return f": {line}" if line else ""


def _localised(place: _Place, text: str) -> str:
    return text.replace(f"{place.work}/", "").replace(str(place.work), ".")
