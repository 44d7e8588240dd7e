"""The debugger: why tests fail, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.answers.control import Answer, Text, Texts, control_reader
from agents.codegen.material import CONTROL_OPTIONS, PLAN_TRIMS, TASK_BOUND, TASK_LAST, TASK_TRIM, pieces
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.material import SourceFile
    from agents.codegen.planner import Plan
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class DebuggerQuestion:
    """What the debugger is shown: the report of the failing tests, and the files or the patch that failed."""

    task: str
    plan: Plan
    failing: str
    files: tuple[SourceFile, ...] = ()
    patch: str = ""


class Diagnosis(Answer):
    """Why an attempt failed."""

    cause: Text = Field(description="the cause of the failure in one to three sentences, with the place in the code")
    fix: Text = Field(description="what to change, in words, not as code")
    files: Texts = Field(default_factory=list, description="paths of the files to change")

    EXAMPLE: ClassVar[JsonObject] = {
        "cause": "print_json in app/report.py passes datetime values to json.dumps, which raises TypeError.",
        "fix": "Turn every datetime into its ISO form before json.dumps is called.",
        "files": ["app/report.py"],
    }


DEBUGGER: Role[DebuggerQuestion, Diagnosis] = Role(
    name="debugger",
    prompt="debugger/diagnose",
    read=control_reader(Diagnosis),
    schema=Diagnosis,
    options=CONTROL_OPTIONS,
    bounds=(
        TASK_BOUND,
        Trim(part="patch", rule=Rule.MIDDLE, least=16_000),
        Trim(part="failing", rule=Rule.MIDDLE, least=8_000),
    ),
    trims=(
        *pieces("files", keep=2),
        Trim(part="failing", rule=Rule.MIDDLE, least=2_000),
        Trim(part="patch", rule=Rule.MIDDLE, least=1_000),
        *PLAN_TRIMS,
        TASK_TRIM,
        Trim(part="files", rule=Rule.FROM_END),
        Trim(part="failing", rule=Rule.MIDDLE, least=240),
        Trim(part="patch", rule=Rule.MIDDLE),
        TASK_LAST,
    ),
)
