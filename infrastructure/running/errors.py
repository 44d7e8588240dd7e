"""Why a task is not taken, and what an error means for a run.

Owns `TaskRefused` (nothing was started), `NoStatus` and the one table from an error to its exit code and hint.
"""

from __future__ import annotations

import errno
from pathlib import Path

from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.storage.errors import from_system
from infrastructure.tasks import ErrorInfo
from infrastructure.transport.errors import CloudModelRefused

USAGE_EXIT = 2
ENVIRONMENT_EXIT = 3


class TaskRefused(Exception):
    """The task cannot be taken as it is; nothing was started."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class RunNotWaiting(Exception):
    """Nobody asked this question, or it was answered already."""

    def __init__(self, run: str, approval: str) -> None:
        super().__init__(f"run {run} does not wait for an answer to {approval!r}")
        self.hint = f"See what it waits for with `corral show {run}`."


class RunIsOver(Exception):
    """The run has ended, so it cannot go on."""

    def __init__(self, run: str, status: str) -> None:
        super().__init__(f"run {run} is over ({status})")
        self.hint = f"See it with `corral show {run}`, or start the task again."


class NoStatus(Exception):
    """A run's graph came to its end, or its state was read, and nothing says how the run ended."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} came to its end, and its last state does not say how it ended")
        self.hint = f"Start the task again; `corral show {run}` has what it did, and this is a fault worth reporting."


def as_storage_error(error: BaseException) -> BaseException:
    """The error; as storage's own where a tree had no room, since the advice is the same."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return from_system(error, Path(str(error.filename or ".")))
    return error


def error_info(error: BaseException) -> ErrorInfo:
    """An error as a result tells it: its class, its words, what to do next."""
    error = as_storage_error(error)
    hint = getattr(error, "hint", "") or getattr(error, "fix", "")
    return ErrorInfo.model_validate(
        {"class": type(error).__name__, "message": str(error) or type(error).__name__, "hint": str(hint)}
    )


def exit_code_of(error: BaseException) -> int:
    """2 for what the user can say otherwise, 3 for what the environment lacks."""
    return USAGE_EXIT if isinstance(error, (TestCommandNotStarted, CloudModelRefused)) else ENVIRONMENT_EXIT
