"""What a model wants changed: whole files and edits, as values.

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
class FileAnswer:
    r"""A file given whole. `content` has `\\n` line ends and is empty or ends with one.

    Raises:
        UnusableAnswer: When made with a path that `safe_path` refuses.
    """

    path: str
    content: str

    def __post_init__(self) -> None:
        """Hold the promise wherever the value comes from, a stored state too."""
        safe_path(self.path)


@dataclass(frozen=True, slots=True)
class EditAnswer:
    r"""Lines to look for in a file and what stands there instead; both with `\\n` line ends.

    An empty `search` makes a new file. An empty `replace` removes the lines.

    Raises:
        UnusableAnswer: When made with a path that `safe_path` refuses.
    """

    path: str
    search: str
    replace: str

    def __post_init__(self) -> None:
        """Hold the promise wherever the value comes from, a stored state too."""
        safe_path(self.path)


Change: TypeAlias = FileAnswer | EditAnswer


def render_changes(changes: Iterable[Change]) -> str:
    """Return the changes as a model should write them; `read_files` reads them back as they were."""
    return "\n\n".join(_rendered(change) for change in changes)


def _rendered(change: Change) -> str:
    if isinstance(change, FileAnswer):
        body = change.content
    else:
        body = f"{SEARCH_MARK}\n{change.search}{DIVIDER}\n{change.replace}{REPLACE_MARK}\n"
    return f"File: `{change.path}`\n{quoted(body)}"
