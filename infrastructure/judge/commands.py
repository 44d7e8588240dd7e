"""Reading the user's test command.

Owns the split into words, and the recognition of commands whose tests can be told apart. A command that needs a shell
gets one, inside the sandbox.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

_SHELL_SIGNS = frozenset("|&;<>`$*?~\n")
_QUOTED = re.compile(r"""'[^']*'|["][^"$`\\]*["]""")  # what a shell takes as it is
_ON_EVERY_PATH = frozenset(Path(name) for name in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"))
_WRAPPERS = frozenset({"uv", "poetry", "pipenv", "pdm", "rye", "hatch"})
_PLAIN_UNITTEST_FLAGS = frozenset({"-v", "--verbose", "-q", "--quiet", "-b", "--buffer", "-c", "--catch", "--locals"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """A test command: as typed, and what its framework (or the sandbox, for `command`) is given.

    `inner` is the command that a wrapper such as `uv run` would start; empty where a shell reads the command.
    """

    framework: Literal["pytest", "unittest", "command"]
    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    inner: tuple[str, ...] = ()


def parse_command(command: str) -> Parsed:
    """Read a test command.

    Raises:
        ValueError: It is empty, or a quote is left open.
    """
    words = tuple(shlex.split(command))
    if len(words) == 0:
        raise ValueError("the test command is empty")
    if _SHELL_SIGNS.intersection(_QUOTED.sub("", command)) or "=" in words[0]:
        return Parsed("command", words, ("sh", "-c", command))
    # `uv run` and its like would look for the network; the environment they would choose is used anyway.
    inner = words[2:] if len(words) > 2 and words[0] in _WRAPPERS and words[1] == "run" else words
    name = PurePosixPath(inner[0]).name
    if name in {"pytest", "py.test"}:
        return Parsed("pytest", words, inner[1:], inner)
    if name.startswith("python") and len(inner) > 2 and inner[1] == "-m":
        if inner[2] == "pytest":
            return Parsed("pytest", words, inner[3:], inner)
        if inner[2] == "unittest" and (rest := _unittest_arguments(inner[3:])) is not None:
            return Parsed("unittest", words, rest, inner)
    return Parsed("command", words, inner, inner)


def _unittest_arguments(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """What our own runner understands of unittest's arguments; None where it does not know one."""
    rest: list[str] = [word for word in words if word not in _PLAIN_UNITTEST_FLAGS]
    if not rest or rest[0] != "discover":
        return None if any(word.startswith("-") for word in rest) else tuple(rest)
    options, rest = list[str](), rest[1:]
    names = ("-s", "-p")
    while rest:
        if rest[0] in {"-s", "-p", "--start-directory", "--pattern"} and len(rest) > 1:
            options += rest[:2]
            rest = rest[2:]
        elif not rest[0].startswith("-") and names:
            options += [names[0], rest[0]]
            names, rest = names[1:], rest[1:]
        else:
            return None
    return tuple(options)


def program_paths(arguments: tuple[str, ...]) -> tuple[Path, ...]:
    """The installation of the program a command starts, where that is not the system's: node of nvm, say. Blocking."""
    found = shutil.which(arguments[0])
    if found is None or not Path(found).is_absolute():
        return ()
    behind = Path(found).resolve().parent
    paths = {Path(found).parent} - _ON_EVERY_PATH | {path for path in (behind,) if not path.is_relative_to("/usr")}
    wider = {path.parent if path.name == "bin" and path.parent != Path.home() / ".local" else path for path in paths}
    return tuple(sorted(path for path in wider if len(path.parts) > 2))
