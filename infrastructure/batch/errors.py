"""Why a batch is not begun, or ends before its jobs are through.

Owns the branch under `BatchError`: each says what to do next and which exit code it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_SHOWN = 100


class BatchError(Exception):
    """The batch cannot go on. `exit_code` is the command's, `hint` what to do next."""

    exit_code = 2
    hint = ""


class BadJobs(BatchError):
    """Lines of the jobs' file that cannot be used. Nothing was started."""

    hint = 'A line is {"id": …, "prompt": …, "tests": …} or a HumanEval problem; correct these lines.'

    def __init__(self, file: Path, problems: Sequence[tuple[int, str]]) -> None:
        self.file, self.problems = file, tuple(problems)
        """Line numbers from 1, and what is wrong there."""
        listed = [f"line {line}: {problem}" if line else problem for line, problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            listed.append(f"and {len(self.problems) - _SHOWN} more")
        super().__init__("\n  ".join([f"{file} cannot be used:", *listed]))


class FolderInUse(BatchError):
    """Another command of the same kind works in this folder."""

    hint = "Wait for it to end, or name another folder with --out."

    def __init__(self, folder: Path, verb: str) -> None:
        self.folder, self.verb = folder, verb
        super().__init__(f"another `corral {verb}` works in {folder}")


class UnreadableLine(BatchError):
    """A line of the batch's own files is not what it wrote."""

    exit_code = 3
    hint = "Put the file back as it was, or move it away: what it held is done again."

    def __init__(self, file: Path, number: int, problem: str) -> None:
        self.file, self.number = file, number
        super().__init__(f"line {number} of {file} cannot be read: {problem}")


class BatchStopped(BatchError):
    """Something is missing that every job needs; what is finished is kept."""

    exit_code = 3

    def __init__(self, error_class: str, message: str, hint: str) -> None:
        self.error_class = error_class
        first = hint.strip().rstrip(".")
        self.hint = f"{first}; then the same command goes on" if first else "The same command goes on."
        super().__init__(message)
