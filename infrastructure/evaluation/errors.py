"""Why an evaluation is not begun or cannot be reported; each says what to do next and which exit code it means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_SHOWN = 20


class EvaluationError(Exception):
    """`exit_code` is the command's, `hint` what to do next."""

    exit_code = 2
    hint = ""


class BadSet(EvaluationError):
    """Problems of a set that cannot be used. Nothing was started."""

    hint = (
        "A set is a file of HumanEval problems, one JSON object a line, or a folder of exercises with tests;"
        " docs/eval.md says how each is read."
    )

    def __init__(self, place: Path, problems: Sequence[str]) -> None:
        self.place, self.problems = place, tuple(problems)
        listed = [*self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            listed.append(f"and {len(self.problems) - _SHOWN} more")
        super().__init__("\n  ".join([f"{place} cannot be used:", *listed]))


class NoEvaluation(EvaluationError):
    """There is nothing to report on."""

    def __init__(self, folder: Path) -> None:
        self.hint = "Name the folder that `corral eval` was given with --out."
        super().__init__(f"there is no evaluation in {folder}")
