"""Where a command is run, and what is to be said of where its program and its files lie there. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infrastructure.danger.levels import SAFE, Judgement, asks, worst
from infrastructure.danger.places import Workspace, reading, writing

_SYSTEM_FOLDERS = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/", "/opt/homebrew/bin/")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a command is run, and how deep within others.

    Attributes:
        bases: The folders below the workspace that it may be run in; the workspace itself is the empty one.
        judge_text: Judges a whole command line that stands in a word.
    """

    workspace: Workspace
    bases: tuple[str, ...]
    judge_text: Callable[[str, int], Judgement]
    depth: int = 0


def program_of(word: str) -> tuple[str, Judgement]:
    """The program's name, and what is to be said of where it lies."""
    if "/" not in word:
        return word, SAFE
    base = word.rsplit("/", 1)[1]
    if word.removesuffix(base) in _SYSTEM_FOLDERS:
        return base, SAFE
    return base, asks(f"runs {word}, a program that is not the system's")


def read_all(operands: Sequence[str], around: Surroundings) -> Judgement:
    """Whether all of these may be read, wherever the command may be run."""
    return worst(
        *(
            reading(around.workspace.place(word, base), around.workspace)
            for word in operands
            if word and word != "-"
            for base in around.bases
        )
    )


def write_one(word: str, around: Surroundings) -> Judgement:
    """Whether this may be written, wherever the command may be run."""
    return worst(*(writing(around.workspace.place(word, base), around.workspace) for base in around.bases))
