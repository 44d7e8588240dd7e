"""The planner: how the task will be solved, before anybody writes code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.answers.control import Answer, Text, Texts, control_reader
from agents.codegen.material import CONTROL_OPTIONS, TASK_BOUND, TASK_LAST, TASK_TRIM, SourceFile, pieces
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerQuestion:
    """What the planner is shown.

    Attributes:
        task: The user's words.
        summary: The intent's summary.
        acceptance: The intent's checks.
        files: The files the researcher chose.
        lesson: What the reflector learnt from the last plan; empty at first.
        round: 1 for the first plan, one more for each plan after a failure.
        map: Further files that matter, each with signatures of what it defines; or empty.
    """

    task: str
    summary: str
    acceptance: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()
    lesson: str = ""
    round: int = 1
    map: str = ""


class Plan(Answer):
    """How a task is solved. Paths are the model's words and are checked where they are used."""

    summary: Text = Field(description="the approach in one to three sentences")
    files: Texts = Field(description="paths of the files to change or create; no test files")
    steps: Texts = Field(description="two to six steps in the order of work, one sentence each")
    risks: Texts = Field(
        default_factory=list, description="edge cases and what could break, at most four; may be empty"
    )

    EXAMPLE: ClassVar[JsonObject] = {
        "summary": "Give the report command a --json flag and print the rows through one function for each format.",
        "files": ["app/report.py"],
        "steps": [
            "Add the --json flag to the argument parser in app/report.py.",
            "Move the present printing into print_table(rows).",
            "Add print_json(rows), which prints one JSON array, and choose by the flag.",
        ],
        "risks": ["Rows hold dates, which JSON cannot say: write them in ISO form."],
    }


PLANNER: Role[PlannerQuestion, Plan] = Role(
    name="planner",
    prompt="planner/plan",
    read=control_reader(Plan),
    schema=Plan,
    options=CONTROL_OPTIONS,
    bounds=(TASK_BOUND, Trim(part="lesson", rule=Rule.MIDDLE, least=6_000)),
    trims=(
        Trim(part="map", rule=Rule.MIDDLE),
        *pieces("files", keep=3),
        Trim(part="lesson", rule=Rule.MIDDLE, least=600),
        Trim(part="acceptance", rule=Rule.FROM_END, least=2, section="summary"),
        Trim(part="summary", rule=Rule.MIDDLE, least=400),
        TASK_TRIM,
        Trim(part="files", rule=Rule.FROM_END),
        Trim(part="acceptance", rule=Rule.FROM_END, section="summary"),
        Trim(part="lesson", rule=Rule.MIDDLE, least=200),
        TASK_LAST,
    ),
)
