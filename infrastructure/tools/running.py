"""Running programs: `run_command` and `run_tests`, in the sandbox and on a copy of the workspace.

Owns the copy, what a command may see besides, and what is told of its end. Nothing that runs here changes the
workspace: what a command would have changed is named, and the copy thrown away.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydantic import Field

from agents.model import JsonObject
from infrastructure.danger.places import may_hold_secrets
from infrastructure.judge import TestCommandNotStarted, failing_text, judge_files, plan_tests, run_tests
from infrastructure.judge.discovery import TestPlan, plan_probe
from infrastructure.processes import scratch
from infrastructure.sandbox import Command, Execution, Sandbox
from infrastructure.tools.arguments import Arguments
from infrastructure.tools.containing import of_the_home, programs_in, shown_to_tests
from infrastructure.tools.paths import folder_path, workspace_of
from infrastructure.tools.texts import bounded, counted, plain
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult
from infrastructure.workspace import Change, Snapshot, Tree, changed, take_snapshot
from infrastructure.workspace.threads import in_thread

_OUTPUT_CHARACTERS = 10_000
_FAILURE_CHARACTERS = 8_000
_MOST_CHANGES = 30
_FEW = 5
_SHELLS = (Path("/usr/bin/bash"), Path("/bin/bash"), Path("/bin/sh"))
_STILL_GIT = {
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "safe.bareRepository",  # a repository among the files of the workspace is none
    "GIT_CONFIG_VALUE_0": "explicit",
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
    "GIT_CONFIG_KEY_2": "core.hooksPath",
    "GIT_CONFIG_VALUE_2": "/dev/null",
}
_SIGNS = {"added": "A", "modified": "M", "deleted": "D", "mode": "M"}


class RunCommand(Arguments):
    """Run a shell command in a sandboxed copy of the workspace: no network, and no file of the workspace changes."""

    command: str = Field(min_length=1, max_length=8_000, description="as typed in bash")
    cwd: str = Field(default="", description="a folder of the workspace to run it in")


class RunTests(Arguments):
    """Run the workspace's tests and show what fails."""

    command: str = Field(
        default="", max_length=8_000, description="such as pytest -q tests/test_app.py; found when left out"
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A throw-away copy of the workspace, what runs on it, and what was left out of it since nobody was asked."""

    snapshot: Snapshot
    folder: Path
    sandbox: Sandbox
    left_out: tuple[str, ...] = ()


async def run_command(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Run a shell command."""
    wanted = RunCommand.model_validate(arguments)
    cwd = folder_path(place, wanted.cwd)
    async with _copied(place, whole=not (place.held or place.unasked)) as copy:
        tree = copy.snapshot.root
        if cwd and not await in_thread(lambda _: (tree / cwd).is_dir()):
            raise ToolError("PathMissing", f"there is no folder {cwd!r} in the copy of the workspace")
        plan = await plan_probe(copy.snapshot)
        links = await in_thread(lambda _: _linked(tree, plan))
        command = await in_thread(lambda _: _command(wanted.command, tree, cwd, plan, place))
        execution = await copy.sandbox.run(command)
        changes = [each for each in await changed(Tree(tree), copy.snapshot) if each.path not in links]
        return _told(execution, changes, copy)


async def run_workspace_tests(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Run tests: the workspace's own, or by a command."""
    wanted = RunTests.model_validate(arguments)
    async with _copied(place, whole=not place.held) as copy:
        try:
            plan = await plan_tests(copy.snapshot, test_command=wanted.command)
        except ValueError as error:
            raise ToolError("BadArguments", f"the test command cannot be read: {error}") from error
        except TestCommandNotStarted as error:
            raise ToolError("NotStarted", f"{error}. {error.hint}") from error
        if plan is None:
            raise ToolError("NoTests", "no tests were found: give a command, or write tests first")
        if place.held:
            plan = shown_to_tests(plan, copy.snapshot.repo)
        files = await judge_files(copy.snapshot, None, wanted.command)
        try:
            report = await run_tests(
                copy.sandbox, Tree(copy.snapshot.root), plan, files, limits=place.limits, scratch=copy.folder
            )
        except TestCommandNotStarted as error:
            raise ToolError("NotStarted", f"{error}. {error.hint}") from error
    counts = report.counts
    head = (
        f"{report.command or plan.command}: {counts.passed} passed, {counts.failed} failed, {counts.error} errors,"
        f" {counts.skipped} skipped in {report.seconds:.1f} s"
    )
    notes = [f"note: {plan.note}"] if plan.note else []
    lines = [head, *notes, *_left_out(copy), plain(failing_text(report, _FAILURE_CHARACTERS))]
    # Tests that are red are an answer; a run that did not come to its end is none.
    failed = report.crashed is not None and not report.outcomes
    return ToolResult(
        "\n".join(filter(None, lines)), not failed, "Crashed" if failed else "", sandbox=str(copy.sandbox.level)
    )


@asynccontextmanager
async def _copied(place: ToolPlace, *, whole: bool) -> AsyncGenerator[_Place]:
    """A copy of the workspace for the time of the block; one that is not whole lacks files that may hold secrets.

    Raises:
        ToolError: Nothing is run in this session, or nobody was asked for the sake of another sandbox than there is.
        NoSandbox: There is no sandbox that holds.
        WorkspaceError: It is too large, or cannot be read.
    """
    workspace, sandbox = workspace_of(place), await _sandbox(place.sandbox)
    if place.held and sandbox.level != place.held:
        raise ToolError("SandboxChanged", f"the sandbox is no longer {place.held}, so this needs a yes: call it again")
    if place.scratch is not None:
        await in_thread(lambda _: place.scratch and place.scratch.mkdir(parents=True, exist_ok=True))
    async with scratch("tools", place.scratch) as folder:
        real = await in_thread(lambda _: folder.resolve())
        snapshot = await take_snapshot(workspace, real / "copy")
        copy = _Place(snapshot, real, sandbox)
        yield copy if whole else await in_thread(lambda _: _without_secrets(copy))


def _without_secrets(copy: _Place) -> _Place:
    """The copy without files that may hold secrets, whose reading is asked about."""
    snapshot = copy.snapshot
    secret = tuple(path for path in snapshot.files if may_hold_secrets(path))
    for path in secret:
        (snapshot.root / path).unlink()
    files = {path: state for path, state in snapshot.files.items() if path not in secret}
    return replace(copy, snapshot=replace(snapshot, files=files), left_out=secret)


async def _sandbox(opener: Callable[[], Awaitable[Sandbox]] | None) -> Sandbox:
    if opener is None:
        raise ToolError("NotAllowed", "nothing can be run in this session")
    return await opener()


def _linked(tree: Path, plan: TestPlan) -> frozenset[str]:
    """Give the copy a link to each dependency folder; returns their names."""
    made: set[str] = set()
    for name, target in plan.links:
        if not os.path.lexists(tree / name):
            (tree / name).symlink_to(target)
            made.add(name)
    return frozenset(made)


def _command(line: str, tree: Path, cwd: str, plan: TestPlan, place: ToolPlace) -> Command:
    shell = next(each for each in _SHELLS if each.exists() or each == _SHELLS[-1])
    programs = [path for path in programs_in(line) if not (place.held and of_the_home(path))]
    read = tuple(dict.fromkeys((*plan.read, *programs)))
    env = {"CI": "1"}
    if place.unasked:
        # `ls` was judged, so it has to be the system's, and no file of the workspace may have git run a program.
        real = workspace_of(place).resolve()
        others = [path for path in programs if not path.resolve().is_relative_to(real)]
        folders = ["/usr/bin", "/bin", "/usr/local/bin", *map(_bin, others)]
        env |= {**_STILL_GIT, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    else:
        folders = [str(plan.interpreter.parent), *map(_bin, read), "/usr/local/bin", "/usr/bin", "/bin"]
        if (plan.interpreter.parent.parent / "pyvenv.cfg").is_file():
            env["VIRTUAL_ENV"] = str(plan.interpreter.parent.parent)
    env["PATH"] = ":".join(dict.fromkeys(folders))
    return Command(
        argv=(str(shell), "-c", line),
        tree=tree,
        read=read,
        env=env,
        cwd=PurePosixPath(cwd) if cwd else None,
        limits=place.limits,
    )


def _bin(path: Path) -> str:
    """Where an installation has its programs; of some only that folder is shown."""
    return str(path if path.name == "bin" else path / "bin")


def _told(execution: Execution, changes: Sequence[Change], copy: _Place) -> ToolResult:
    tree = copy.snapshot.root
    if execution.stopped is None:
        head = f"exit code {execution.exit_code} after {execution.seconds:.1f} s"
    else:
        head = f"stopped after {execution.seconds:.1f} s: it met the limit of {execution.stopped}"
    lines = [head]
    for name, text in (("stdout", execution.stdout), ("stderr", execution.stderr)):
        said = plain(text.replace(f"{tree}/", "").replace(str(tree), ".")).strip("\n")
        if said:
            lines += [f"--- {name}", bounded(said, _OUTPUT_CHARACTERS if name == "stdout" else _OUTPUT_CHARACTERS // 2)]
    if changes:
        lines.append(f"--- in the workspace nothing changed; the command would have changed {_named(changes)}")
        lines.append("To keep a change make it with write_file or apply_edit.")
    lines += _left_out(copy)
    failed = execution.stopped is not None
    return ToolResult("\n".join(lines), not failed, "Stopped" if failed else "", sandbox=str(execution.level))


def _left_out(copy: _Place) -> list[str]:
    """What is said of files that were not in the copy."""
    if not copy.left_out:
        return []
    few = [plain(path) for path in copy.left_out[:_FEW]]
    more = len(copy.left_out) - len(few)
    named = ", ".join(few) + (f" and {counted(more, 'file')} more" if more else "")
    return [
        f"--- not in the copy, since they may hold secrets and nobody was asked: {named}",
        "If one is needed, name it in the command: a person is asked then.",
    ]


def _named(changes: Sequence[Change]) -> str:
    shown = [f"{_SIGNS[each.kind]} {plain(each.path)}" for each in changes[:_MOST_CHANGES]]
    more = len(changes) - len(shown)
    return ", ".join(shown) + (f" and {counted(more, 'file')} more" if more else "")
