"""What several roles are shown: files, a listing, an earlier try.

Owns these values, the options that several roles share, and what is cut first where there is too much of it. Text from
the workspace is data; the prompts say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.model import Options

EditFormat: TypeAlias = Literal["whole", "search_replace", "function"]
"""How the coder writes a change of an existing file: all of it, search/replace blocks, or whole definitions."""

TestFramework: TypeAlias = Literal["unittest", "pytest"]

CONTROL_OPTIONS: Options = {"temperature": 0.2, "num_predict": 2_048}
"""Of roles that answer with a small JSON object: near the model's best guess, and no room for a runaway."""

TASK_BOUND = Trim(part="task", rule=Rule.MIDDLE, least=24_000)
TASK_TRIM = Trim(part="task", rule=Rule.MIDDLE, least=800)
"""A task is cut when nearly everything else is."""
TASK_LAST = Trim(part="task", rule=Rule.MIDDLE, least=240)
"""All that is left of it in a window that is hardly one."""

PLAN_TRIMS = (
    Trim(part="plan.risks", rule=Rule.FROM_END, section="plan"),
    Trim(part="plan.steps", rule=Rule.FROM_END, least=3, section="plan"),
    Trim(part="plan.summary", rule=Rule.MIDDLE, least=400, section="plan"),
    Trim(part="plan.steps", rule=Rule.MIDDLE, least=200, section="plan"),
)
"""What of a plan may go, where somebody works by it."""


def pieces(part: str, *, keep: int) -> tuple[Trim, ...]:
    """Files that are read and not written: the last ones go first, then the middle of the long ones."""
    return (
        Trim(part=part, rule=Rule.FROM_END, least=keep),
        Trim(part=part, rule=Rule.MIDDLE, least=1_500),
        Trim(part=part, rule=Rule.FROM_END, least=1),
    )


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
