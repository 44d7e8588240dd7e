"""Trying a tree on given calls: what do its functions give?

Owns the order of work: the tree is copied to a throw-away place, `prober.py` runs there in the sandbox, and what it
wrote is read from outside. Code that is tried shares a process with the prober, so it can lie about itself: what is
found here chooses between candidates, and proves nothing.
"""

import importlib.resources
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from infrastructure.judge.discovery import TestPlan
from infrastructure.sandbox import Command, Limits, Sandbox
from infrastructure.workspace import Tree
from infrastructure.workspace.beneath import git_mode, read_file
from infrastructure.workspace.copying import copy_files
from infrastructure.workspace.errors import PathMissing, PathRefused, TooLarge
from infrastructure.workspace.threads import Stopping, in_thread
from infrastructure.workspace.trees import walk

_REPORT_BYTES = 1 << 20
_LIMITS = Limits()
_NO_END = "no end"
_MOST_SECONDS = 40.0
_OUTPUT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Output:
    """What one call gave.

    Attributes:
        key: Equal where two calls gave the same.
        shown: For a person: the value's `repr`, or `raises ValueError`; empty where the file could not be imported.
        gave: Whether it gave a value.
    """

    key: str
    shown: str
    gave: bool

    @property
    def alike(self) -> str:
        """Equal where two calls are taken to have done the same: which exception it was, few tasks say."""
        return "raises" if self.key.startswith("raises ") else self.key


_OUTPUTS: TypeAdapter[tuple[Output, ...]] = TypeAdapter(tuple[Output, ...])


def dump_outputs(outputs: Sequence[Output]) -> bytes:
    """The stored form of outputs: JSON."""
    return _OUTPUTS.dump_json(tuple(outputs))


def load_outputs(content: bytes) -> tuple[Output, ...]:
    """Outputs from their stored form.

    Raises:
        pydantic.ValidationError: It is none.
    """
    return _OUTPUTS.validate_json(content)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    call: str
    key: str
    shown: str
    imported: bool


async def probe(
    sandbox: Sandbox,
    tree: Tree,
    plan: TestPlan,
    file: str,
    calls: Sequence[str],
    *,
    limits: Limits = _LIMITS,
) -> tuple[Output, ...]:
    """Try a tree on calls, all in one process; an output for each call, in their order.

    A call that does not end, or takes the process with it, ends those behind it as well.

    Args:
        sandbox: Where.
        tree: The candidate's tree; not changed.
        plan: On which Python, and what it may read.
        file: The file that has the functions, from the tree's root.
        calls: Calls that `agents.answers.calls.literal_call` has let through.
        limits: Of the execution; the time is bounded further.

    Raises:
        SandboxFault, UnsafeCommand: From the sandbox.
    """
    place = await in_thread(lambda stopping: _prepare(tree, plan, file, calls, stopping))
    try:
        await sandbox.run(_command(plan, place, limits))
        lines = await in_thread(lambda _: _read(place))
    finally:
        await in_thread(lambda _: shutil.rmtree(place, ignore_errors=True))
    return _outputs(lines, calls)


def _prepare(tree: Tree, plan: TestPlan, file: str, calls: Sequence[str], stopping: Stopping) -> Path:
    place = Path(tempfile.mkdtemp(prefix=".probe-", dir=tree.root.parent)).resolve()
    try:
        work = place / "work"
        work.mkdir()
        found = walk(tree.root, stopping)
        copy_files(tree.root, work, {path: git_mode(each.st_mode) for path, each in found.items()}, stopping)
        for name, target in plan.links:
            link = work / name
            if not link.exists() and not link.is_symlink():
                link.symlink_to(target)
        prober = importlib.resources.files("infrastructure.judge").joinpath("prober.py").read_bytes()
        (place / "prober.py").write_bytes(prober)
        (place / "question").write_text(json.dumps({"file": file, "calls": list(calls)}), "utf-8")
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place


def _command(plan: TestPlan, place: Path, limits: Limits) -> Command:
    wall = min(limits.wall_seconds, _MOST_SECONDS)
    return Command(
        argv=(
            str(plan.interpreter),
            "-I",
            "-B",
            str(place / "prober.py"),
            str(place / "report"),
            str(place / "question"),
        ),
        tree=place,
        read=plan.read,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PurePosixPath("work"),
        limits=replace(limits, wall_seconds=wall, cpu_seconds=int(wall) + 1, output_bytes=_OUTPUT_BYTES),
    )


def _read(place: Path) -> list[_Line]:
    try:
        content = read_file(place, "report", limit=_REPORT_BYTES)
    except (PathMissing, PathRefused, TooLarge):
        return []
    lines: list[_Line] = []
    for raw in content.splitlines():
        try:
            lines.append(_Line.model_validate_json(raw))
        except ValidationError:
            break  # the code that is tried wrote there; nothing behind it counts
    return lines


def _outputs(lines: Sequence[_Line], calls: Sequence[str]) -> tuple[Output, ...]:
    """What was written for the calls in their order; `no end` from the first that is missing."""
    outputs: list[Output] = []
    for number, call in enumerate(calls):
        line = lines[number] if number < len(lines) and lines[number].call == call else None
        if line is None:
            return (*outputs, *[Output(_NO_END, "no end", gave=False)] * (len(calls) - number))
        gave = line.imported and not line.key.startswith("raises ") and line.key != _NO_END
        outputs.append(Output(line.key, line.shown, gave=gave))
    return tuple(outputs)
