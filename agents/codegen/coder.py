"""The coder: a plan turned into files and edits, first or after a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agents.answers.changes import Change
from agents.answers.files import read_files
from agents.role import Role

if TYPE_CHECKING:
    from agents.codegen.material import EditFormat, Repair, SourceFile
    from agents.codegen.planner import Plan
    from agents.model import Options

CodeAnswer: TypeAlias = tuple[Change, ...]

_TEMPERATURES = (0.2, 0.6, 0.7, 0.8)
_OUTPUT_LIMIT = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class CoderQuestion:
    """What the coder is shown.

    Attributes:
        task: The user's words.
        plan: What to do.
        files: The files to change and those they lean on, as they are now (in a repair too: the untouched ones
            and the originals; what the last attempt made of them is in `repair.previous`).
        edit_format: How a change of an existing file is written.
        tests: Tests that may be shown; the judge decides which.
        variant: 0 for the first candidate; others get another approach hint and a higher temperature.
        repair: Why the candidate is written again; None the first time.
        interfaces: Signatures of what the files use of others that are not shown; or empty.
    """

    task: str
    plan: Plan
    files: tuple[SourceFile, ...]
    edit_format: EditFormat = "whole"
    tests: tuple[SourceFile, ...] = ()
    variant: int = 0
    repair: Repair | None = None
    interfaces: str = ""


def options_for(variant: int) -> Options:
    """Return a candidate's options: the first is the model's best guess, the others (0.6 to 0.8) differ from it."""
    return {
        "temperature": _TEMPERATURES[min(max(variant, 0), len(_TEMPERATURES) - 1)],
        "num_predict": _OUTPUT_LIMIT,
    }


def _options(question: CoderQuestion) -> Options:
    return options_for(0 if question.repair else question.variant)


def _read(text: str, question: CoderQuestion) -> CodeAnswer:
    """A sole block without a name is the sole file that the plan speaks of: small models forget the name."""
    shown = [file.path for file in question.files]
    planned = question.plan.files or shown
    return read_files(
        text,
        default_path=planned[0] if len(planned) == 1 else None,
        known=(*shown, *planned),
        functions=question.edit_format == "function",
    )


CODER: Role[CoderQuestion, CodeAnswer] = Role(
    name="coder",
    prompt="coder/write",
    read=_read,
    options_for=_options,
)
