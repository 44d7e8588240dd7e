"""What every level does with a command before and after it runs.

Owns: which paths may be shown to a command at all, the small fixed environment, and the reading of an ending.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.processes import Finished, Stop
from infrastructure.sandbox.base import Command, Execution, Level, UnsafeCommand

_PATH = "/usr/local/bin:/usr/bin:/bin"
_NEVER_READ = frozenset(Path("/", name) for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var"))
_NEVER_A_TREE = _NEVER_READ | frozenset(
    Path("/", name) for name in ("bin", "boot", "home", "lib", "lib64", "mnt", "opt", "sbin", "srv", "usr")
)
_CPU_LIMIT = 128 + signal.SIGXCPU


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of a command, absolute and with links resolved, found to exist and to be harmless to show."""

    tree: Path
    cwd: Path
    read: tuple[tuple[Path, Path], ...]
    """Pairs of the path as given, where the command expects it, and the real one behind it."""


def checked_paths(command: Command, extra_read: Sequence[Path] = ()) -> Paths:
    """Resolve and check the paths of a command. Touches the disk.

    Raises:
        UnsafeCommand: A path is relative, does not exist, leads out of the tree, or is (or contains) the home
            folder or a folder of the system; or a word of the command is none that a program can be given.
    """
    _check_words(command)
    tree = _resolved(command.tree)
    if not tree.is_dir() or tree in _NEVER_A_TREE or _shows_home(tree):
        raise UnsafeCommand(f"{command.tree} cannot be a work tree")
    cwd = _resolved(tree / command.cwd) if command.cwd is not None else tree
    if not cwd.is_relative_to(tree) or not cwd.is_dir():
        raise UnsafeCommand(f"the working directory {command.cwd} is not a folder of the tree")
    read: list[tuple[Path, Path]] = []
    for path in (*command.read, *extra_read):
        real = _resolved(path)
        if _shows_home(real) or real in _NEVER_READ:
            raise UnsafeCommand(f"{path} may not be shown to a command: it holds more than the command's own")
        if path.is_relative_to(tree) and path != real:
            raise UnsafeCommand(f"{path} is a link that a command may have made in the tree")
        read.append((path, real))
    return Paths(tree, cwd, tuple(read))


def environment(extra: Mapping[str, str], *, home: str, tmp: str) -> dict[str, str]:
    """The whole environment of a command. Nothing of ours is in it."""
    return {
        "PATH": _PATH,
        "HOME": home,
        "TMPDIR": tmp,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        **extra,
    }


def is_python(argv: Sequence[str]) -> bool:
    """Whether the command is Python itself, which bears a limit on its address space; Node or Java do not."""
    return bool(argv) and Path(argv[0]).name.startswith(("python", "pytest"))


def as_execution(finished: Finished, level: Level, *, out_of_memory: bool) -> Execution:
    """How a process ended, in the words of the sandbox."""
    code = finished.exit_code
    if code is not None and code < 0:
        code = 128 - code
    stopped = finished.stopped
    if stopped is None and out_of_memory:
        stopped = Stop.MEMORY
    elif stopped is None and code == _CPU_LIMIT:
        stopped = Stop.TIMEOUT
    return Execution(
        exit_code=None if stopped else code,
        stdout=finished.stdout.decode("utf-8", "replace"),
        stderr=finished.stderr.decode("utf-8", "replace"),
        seconds=finished.seconds,
        stopped=stopped,
        truncated=finished.truncated,
        level=level,
    )


def _check_words(command: Command) -> None:
    if not command.argv:
        raise UnsafeCommand("the command is empty")
    if any(not name or "=" in name for name in command.env):
        raise UnsafeCommand("a variable's name is empty or contains '='")
    try:
        words = [os.fsencode(word) for word in (*command.argv, *command.env, *command.env.values())]
    except UnicodeEncodeError as error:
        raise UnsafeCommand(f"a word of the command is no text: {error}") from error
    if any(b"\0" in word for word in words):
        raise UnsafeCommand("a word of the command contains a null character")


def _resolved(path: Path) -> Path:
    if not path.is_absolute():
        raise UnsafeCommand(f"{path} is not an absolute path")
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UnsafeCommand(f"{path} cannot be used: {error}") from error


def _shows_home(path: Path) -> bool:
    home = Path.home()
    return home.is_relative_to(path) or home.resolve().is_relative_to(path)
