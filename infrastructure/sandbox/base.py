"""What a sandbox is: levels, limits, a command, its execution, and the seam every level implements.

Owns the values that pass between the workflow and a sandbox, and the two ways a sandbox can fail. A red test,
a non-zero exit and a killed process are values (`Execution`), never errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, Self

from infrastructure.processes import Stop

if TYPE_CHECKING:
    from infrastructure.config.settings import SandboxSettings


class Level(StrEnum):
    """How strongly a command is held, strongest first."""

    BUBBLEWRAP = "bubblewrap"
    """Namespaces of its own (files, processes, network, IPC) and a seccomp filter."""
    LANDLOCK = "landlock"
    """File rules and signal scope of the kernel and a stricter seccomp filter; needs nothing installed."""
    NONE = "none"
    """Resource limits only. Never chosen, only asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one execution may use.

    Attributes:
        wall_seconds: Until everything it started is killed.
        cpu_seconds: CPU time of any one process.
        test_seconds: CPU time of any one test. The sandbox knows nothing of tests: the judge's harness sees to it.
        processes: Processes and threads alive at once.
        memory_bytes: Memory of all its processes together.
        file_bytes: Size of any one file it writes.
        tmp_bytes: Size of its own /tmp, and again of its /dev/shm, where it has them.
        tree_bytes: How much it may add to the work tree.
        open_files: Open file descriptors of any one process.
        output_bytes: Kept of each of stdout and stderr; the middle is left out of a longer one.
    """

    wall_seconds: float = 60.0
    cpu_seconds: int = 60
    test_seconds: float = 10.0
    processes: int = 64
    memory_bytes: int = 2 << 30
    file_bytes: int = 64 << 20
    tmp_bytes: int = 256 << 20
    tree_bytes: int = 1 << 30
    open_files: int = 256
    output_bytes: int = 1 << 20

    @classmethod
    def of(cls, settings: SandboxSettings) -> Self:
        """What the settings say."""
        return cls(
            wall_seconds=settings.seconds,
            cpu_seconds=int(settings.seconds) + 1,
            test_seconds=settings.test_seconds,
            processes=settings.processes,
            memory_bytes=settings.memory_bytes,
        )


def _no_variables() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command to run in a sandbox.

    Attributes:
        argv: The program and its arguments; no shell reads them. A bare name is looked up in the sandbox's PATH.
        tree: The work tree, absolute. It is seen read-write under the same absolute path at every level, so that
            paths in messages, virtual environments and editable installs mean the same inside and outside.
            Its `.git`, if any, is read-only where the level can do so.
        read: Absolute paths seen read-only under the same path (interpreter, dependency folders).
        env: Added to the small fixed environment of the sandbox; wins over it.
        cwd: Working directory relative to the tree; None for the tree itself.
        limits: What it may use.
    """

    argv: tuple[str, ...]
    tree: Path
    read: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=_no_variables)
    cwd: PurePosixPath | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a command ended.

    Attributes:
        exit_code: 128 + n for a process that died of signal n, as a shell counts. None when we killed it.
        stdout: Decoded as UTF-8 with replacement; terminal escapes are left in.
        stderr: The same for the other stream.
        seconds: Wall time, the sandbox's own start included.
        stopped: The limit that ended it; None when it ended by itself. CPU time counts as `TIMEOUT`.
        truncated: Whether either stream was cut.
        level: What held it.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    stopped: Stop | None
    truncated: bool
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question of the self check.

    Attributes:
        name: A short name in words, for people.
        held: Whether the sandbox held.
        needed: Whether the level may not be used unless this holds.
        note: What is used, or what a person must know when it does not hold.
    """

    name: str
    held: bool
    needed: bool = True
    note: str = ""


class Sandbox(Protocol):
    """A place to run commands that nobody has read.

    Cancelling `run` kills everything the command started, then re-raises. Nothing the command started is alive
    once `run` returns or raises (level `none` excepted). It has no state to close.
    """

    @property
    def level(self) -> Level:
        """How strongly commands are held."""
        ...

    async def run(self, command: Command) -> Execution:
        """Run a command to its end or to the first limit it meets.

        Raises:
            SandboxFault: The sandbox itself could not be set up; the command did not run.
            UnsafeCommand: The command asks for a path that may not be shown to it.
        """
        ...

    async def self_check(self) -> tuple[Check, ...]:
        """Attack the sandbox from inside with what a hostile program would try first, and say what held."""
        ...


class SandboxFault(Exception):
    """The sandbox could not be set up, so the command did not run."""

    def __init__(self, level: Level, reason: str) -> None:
        super().__init__(f"the {level} sandbox could not be set up: {reason}")
        self.level = level
        self.reason = reason


class UnsafeCommand(Exception):
    """The command asks for something no sandbox may give."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoSandbox(Exception):
    """No sandbox that holds is available here, and generated code runs nowhere else.

    `reasons` says for each level tried why not, `fix` what to type.
    """

    def __init__(self, reasons: Mapping[Level, str], fix: str) -> None:
        tried = "; ".join(f"{level}: {reason}" for level, reason in reasons.items())
        super().__init__(f"no sandbox is available ({tried}). {fix}")
        self.reasons = dict(reasons)
        self.fix = fix
