"""Owns the tasks that the oracle knows: their texts, right answers, and ways to get them wrong."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from infrastructure.simulator.brains.draws import drawn


class Break(StrEnum):
    """Ways of the oracle to answer a task wrongly."""

    SYNTAX = "syntax"
    """A closing bracket is lost."""
    WRONG = "wrong"
    """The task's `broken` files, else functions that return None."""
    MISSING = "missing"
    """A file is left out."""
    GARBAGE = "garbage"
    """Text without code."""
    NOTHING = "nothing"
    """An empty answer."""
    HALF_FENCE = "half-fence"
    """The last block is never closed."""
    ENDLESS_LINE = "endless-line"
    """One line that goes on until the server cuts it."""
    PATH_ESCAPE = "path-escape"
    """A file outside the tree."""


class Task(BaseModel):
    """One task and all that the oracle says about it."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    id: str
    match: tuple[str, ...] = ()
    """Texts that all occur in a conversation about this task; the prompt itself counts as well."""
    prompt: str = ""
    kind: Literal["code", "question", "tests"] = "code"
    language: str = "python"
    files: dict[str, str] = Field(default_factory=dict)
    """Right content by path."""
    broken: dict[str, str] = Field(default_factory=dict)
    """Wrong content by path."""
    tests: dict[str, str] = Field(default_factory=dict)
    """What a role that writes tests answers, by path."""
    answer: str = ""
    plan: tuple[str, ...] = ()
    break_: Break = Field(default=Break.WRONG, alias="break")
    """How the task's answer is wrong where it is not right the first time."""
    always_broken: bool = False
    """Whether a repair is as wrong as the first answer."""

    def matched(self, conversation: str) -> int:
        """Length of the task's text that the conversation contains; 0 where it is not about this task."""
        if self.prompt and self.prompt in conversation:
            return len(self.prompt)
        if self.match and all(text in conversation for text in self.match):
            return sum(len(text) for text in self.match)
        return 0


def find_task(tasks: Iterable[Task], conversation: str) -> Task | None:
    """The task that a conversation is about: the longest match, the first of equals."""
    best = max(tasks, key=lambda task: task.matched(conversation), default=None)
    return best if best is not None and best.matched(conversation) else None


def is_right_first_time(task_id: str, seed: int, share: float) -> bool:
    """Whether the oracle solves a task without a repair, decided by id and seed alone.

    Args:
        task_id: the task's id.
        seed: the simulator's seed.
        share: how many of all tasks, 0 to 1; each task right at a share is right at every larger one.
    """
    return drawn(seed, task_id) < share
