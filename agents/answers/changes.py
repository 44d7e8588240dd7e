"""What a model wants changed, as values: whole files, edits, hunks of a diff, definitions, deletions.

Owns these values, their promise (a path that stays in the tree), and how they are written as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agents.answers.marks import DIVIDER, REPLACE_MARK, SEARCH_MARK
from agents.answers.paths import safe_path
from agents.prompting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class _OfFile:
    """What is wanted of one file.

    Raises:
        UnusableAnswer: When made with a path that `safe_path` refuses.
    """

    path: str

    def __post_init__(self) -> None:
        """Hold the promise wherever the value comes from, a stored state too."""
        safe_path(self.path)


@dataclass(frozen=True, slots=True)
class FileAnswer(_OfFile):
    r"""A file given whole.

    Attributes:
        path: The file.
        content: With `\\n` line ends; empty or ends with one.
        aside: Whether only a sentence or a comment names it, beside other changes: it may just show something.
    """

    content: str
    aside: bool = False


@dataclass(frozen=True, slots=True)
class EditAnswer(_OfFile):
    r"""Lines to look for in a file and what stands there instead; both with `\\n` line ends.

    An empty `search` makes a new file. An empty `replace` removes the lines.
    """

    search: str
    replace: str


@dataclass(frozen=True, slots=True)
class HunkAnswer(_OfFile):
    r"""A hunk of a unified diff. Its numbers are not kept: models count badly.

    Attributes:
        path: The file.
        lines: The hunk's lines as written, each with its sign, with `\\n` line ends.
    """

    lines: str


@dataclass(frozen=True, slots=True)
class FunctionAnswer(_OfFile):
    r"""Definitions that replace those of the same names in a Python file; `code` has `\\n` line ends."""

    code: str


@dataclass(frozen=True, slots=True)
class DeleteAnswer(_OfFile):
    """A file that is to be deleted."""


Change: TypeAlias = FileAnswer | EditAnswer | HunkAnswer | FunctionAnswer | DeleteAnswer
"""`DeleteAnswer` is the last: whoever reads stored values tries them in this order, and every one has a path."""


def render_changes(changes: Iterable[Change]) -> str:
    """Return the changes as a model should write them; `read_files` reads them back as they were."""
    return "\n\n".join(_rendered(change) for change in changes)


def _rendered(change: Change) -> str:
    match change:
        case FileAnswer(path, content, aside):
            return f"{f'In `{path}`:' if aside else f'File: `{path}`'}\n{quoted(content)}"
        case EditAnswer(path, search, replace):
            body = f"{SEARCH_MARK}\n{search}{DIVIDER}\n{replace}{REPLACE_MARK}\n"
            return f"File: `{path}`\n{quoted(body)}"
        case HunkAnswer(path, lines):
            hunk = f"@@ @@\n{lines}"
            return f"File: `{path}`\n{quoted(hunk, 'diff')}"
        case FunctionAnswer(path, code):
            return f"Function: `{path}`\n{quoted(code, 'python')}"
        case DeleteAnswer(path):
            return f"Delete: `{path}`"
