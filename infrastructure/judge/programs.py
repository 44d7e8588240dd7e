"""The program that a test command names by a path: where it is, and whose Python it runs on.

Owns the order in which a place is looked for, and the refusal that says where was looked. A program of an environment
runs from its own place, read-only, since an environment works nowhere else. A file of the project runs in the copy that
the tests run on. What the copy does not have and no environment holds is refused, never replaced. Blocking.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.judge.interpreters import Interpreter, environment_of, interpreter_of
from infrastructure.workspace import DEPENDENCY_FOLDERS, Snapshot


@dataclass(frozen=True, slots=True)
class Located:
    """A program that is there.

    Attributes:
        word: What to start: the file in the tree, or the absolute path of a program that runs from its own place.
        interpreter: The Python of its environment; None for a file of the project, and for what is no Python's.
    """

    word: str
    interpreter: Interpreter | None


def is_path(program: str) -> bool:
    """Whether a program is named by a path, and not left to be found."""
    return "/" in program


def locate(command: str, program: str, snapshot: Snapshot) -> Located:
    """Find a program that is named by a path.

    Args:
        command: The whole test command, for the message.
        program: Its first word; a relative one starts at the project's folder.
        snapshot: The project.

    Raises:
        TestCommandNotStarted: It is nowhere, or git ignores it and no environment holds it.
    """
    path = Path(os.path.normpath(snapshot.repo / program))  # no link is followed: an environment's Python is one
    inside = path.relative_to(snapshot.repo) if path.is_relative_to(snapshot.repo) else None
    in_tree = inside is not None and (snapshot.root / inside).is_file()
    if not in_tree and not path.is_file():
        raise _nowhere(command, program, path)
    if path.is_file() and (environment_of(path) is not None or inside is None):
        return Located(str(path), interpreter_of(path))
    if in_tree:
        return Located(f"./{inside}", None)
    if inside is not None and inside.parts[0] in DEPENDENCY_FOLDERS:  # linked into the tree
        return Located(program, None)
    reason = f"{path} is there, but git ignores it, so the copy of the project that the tests run on does not have it"
    raise TestCommandNotStarted(command, reason, "Let git see the file, or give the command that it would run.")


def _nowhere(command: str, program: str, path: Path) -> TestCommandNotStarted:
    looked = f"there is no file {path}"
    if program != str(path):
        looked = f"{program} was looked for in the copy of the project and as {path}; it is in neither place"
    environment = environment_of(path)
    if environment is not None and path.name.startswith("python"):
        hint = f"Make the environment in {environment} anew: its Python is gone."
    elif environment is not None:
        hint = f"Install it there: {environment / 'bin' / 'python'} -m pip install {path.name}"
    else:
        hint = "Make the environment first, or give the path of a program that is there."
    return TestCommandNotStarted(command, looked, hint)
