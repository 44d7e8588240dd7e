"""What several roles are shown: files, a listing, an earlier try.

Owns these values and the options that several roles share. Text from the workspace is data; the prompts say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from agents.model import Options

EditFormat: TypeAlias = Literal["whole", "search_replace", "function"]
"""How the coder writes a change of an existing file: all of it, search/replace blocks, or whole definitions."""

TestFramework: TypeAlias = Literal["unittest", "pytest"]

CONTROL_OPTIONS: Options = {"temperature": 0.2, "num_predict": 2_048}
"""Of roles that answer with a small JSON object: near the model's best guess, and no room for a runaway."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the workspace or of a candidate: its path from the root, with `/`, and its text."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A line of a listing: path from the root, with `/`, and size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Repair:
    """Why a candidate is written once more.

    Attributes:
        diagnosis: What the debugger says is wrong and how to mend it.
        failing: The report of the failing tests.
        previous: The files as the last attempt left them; only those it touched.
    """

    diagnosis: str
    failing: str
    previous: tuple[SourceFile, ...]
