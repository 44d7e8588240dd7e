"""The reviewer: whether a patch that passed its tests should be handed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field

from agents.answers.control import Answer, Text, Texts, Word, control_reader
from agents.codegen.material import CONTROL_OPTIONS, TASK_BOUND, TASK_LAST, TASK_TRIM
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.planner import Plan
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerQuestion:
    """What the reviewer is shown: the patch as a unified diff, the report of its tests, what a static check found."""

    task: str
    plan: Plan
    patch: str
    report: str
    findings: tuple[str, ...] = ()


def _as_texts(value: object) -> object:
    """Small models write an object, path to sentence, where `path: sentence` was asked for; that says the same."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    return [f"{path}: {said}" if isinstance(said, str) else said for path, said in members.items()]


class Review(Answer):
    """A verdict. It comes last, so that a model weighs the patch before it decides."""

    summary: Text = Field(description="what the patch does, in one to three sentences for the user")
    files: Annotated[Texts, BeforeValidator(_as_texts)] = Field(
        default_factory=list, description="for each file one line: path: what changes"
    )
    risks: Texts = Field(default_factory=list, description="at most five, short: no defects, but worth a look")
    objections: Texts = Field(
        default_factory=list, description="defects that must be mended, with file and place; empty if there are none"
    )
    verdict: Annotated[Literal["approve", "object"], Word] = Field(
        description="object only for a defect that a user would meet; approve otherwise"
    )

    EXAMPLE: ClassVar[JsonObject] = {
        "summary": "The report command has a --json flag that prints the rows as one JSON array.",
        "files": ["app/report.py: prints JSON."],
        "risks": ["All rows are in memory."],
        "objections": ["app/report.py, print_json: an empty report prints null and not an empty array."],
        "verdict": "object",
    }


REVIEWER: Role[ReviewerQuestion, Review] = Role(
    name="reviewer",
    prompt="reviewer/review",
    read=control_reader(Review),
    schema=Review,
    options=CONTROL_OPTIONS,
    bounds=(
        TASK_BOUND,
        Trim(part="patch", rule=Rule.MIDDLE, least=24_000),
        Trim(part="report", rule=Rule.MIDDLE, least=4_000),
        Trim(part="findings", rule=Rule.FROM_END, least=20),
    ),
    trims=(
        Trim(part="report", rule=Rule.MIDDLE, least=400),
        Trim(part="findings", rule=Rule.FROM_END, least=5),
        Trim(part="patch", rule=Rule.MIDDLE, least=3_000),
        Trim(part="plan.summary", rule=Rule.MIDDLE, least=400, section="plan"),
        TASK_TRIM,
        Trim(part="findings", rule=Rule.FROM_END),
        Trim(part="patch", rule=Rule.MIDDLE, least=240),
        Trim(part="report", rule=Rule.MIDDLE),
        TASK_LAST,
    ),
)
