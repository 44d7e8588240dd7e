"""The examiner: inputs on which solutions of a task would differ, by somebody who never sees the solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.answers.calls import literal_call
from agents.answers.control import Answer, Text, Texts, read_control
from agents.answers.paths import safe_path
from agents.codegen.material import CONTROL_OPTIONS, PLAN_TRIMS, TASK_BOUND, TASK_LAST, TASK_TRIM, pieces
from agents.errors import UnusableAnswer
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.material import SourceFile
    from agents.codegen.planner import Plan
    from agents.model import JsonObject

MAX_CALLS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminerQuestion:
    """What the examiner is shown: the task, the plan, and the files before the change; never a candidate's code."""

    task: str
    plan: Plan
    interfaces: tuple[SourceFile, ...] = ()


class Examination(Answer):
    """Calls of the functions that a task is about. After `EXAMINER` has read it, each is a call with literals."""

    file: Text = Field(description="path of the Python file that has the functions once the task is done")
    calls: Texts = Field(
        description="eight to twelve calls of these functions, each with literal arguments only, one line each"
    )

    EXAMPLE: ClassVar[JsonObject] = {
        "file": "app/text.py",
        "calls": ["shorten('', 5)", "shorten('hello', 5)", "shorten('hello', 0)", "shorten('two words', 7)"],
    }


def _read(text: str, question: ExaminerQuestion) -> Examination:
    """Keep the calls that are fit to be tried; one at least must be."""
    del question
    said = read_control(text, Examination)
    path = safe_path(said.file)
    if path.suffix != ".py":
        raise UnusableAnswer(f"the file {str(path)[:100]} is no Python file", "Name the file that has the functions.")
    calls = dict.fromkeys(call for each in said.calls if (call := literal_call(each)) is not None)
    if not calls:
        raise UnusableAnswer(
            "none of the calls is one call of a function with literal arguments",
            "Write calls such as shorten('hello', 5): no variables, no expressions, no assert, no expected value.",
        )
    return Examination(file=str(path), calls=list(calls)[:MAX_CALLS])


EXAMINER: Role[ExaminerQuestion, Examination] = Role(
    name="examiner",
    prompt="examiner/inputs",
    read=_read,
    schema=Examination,
    options=CONTROL_OPTIONS,
    bounds=(TASK_BOUND,),
    trims=(
        *pieces("interfaces", keep=2),
        *PLAN_TRIMS,
        TASK_TRIM,
        Trim(part="interfaces", rule=Rule.FROM_END),
        TASK_LAST,
    ),
)
