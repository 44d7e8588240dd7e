"""The reflector: what a failed plan teaches, so that the next one differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.answers.control import Answer, Text, control_reader
from agents.codegen.material import TASK_BOUND, TASK_LAST, TASK_TRIM
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.planner import Plan
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectorQuestion:
    """What the reflector is shown: the plan, what was tried and how it failed, and the reviewer's objections."""

    task: str
    plan: Plan
    attempts: tuple[str, ...]
    objections: tuple[str, ...] = ()


class Reflection(Answer):
    """What to do otherwise."""

    lesson: Text = Field(description="why the plan failed, in one to three sentences that help the next planner")
    approach: Text = Field(description="a different approach, in one to three sentences")

    EXAMPLE: ClassVar[JsonObject] = {
        "lesson": "The rows are made in app/store.py with dates inside, so every printer had to convert them again.",
        "approach": "Convert the rows once, in app/store.py, and keep both printers simple.",
    }


REFLECTOR: Role[ReflectorQuestion, Reflection] = Role(
    name="reflector",
    prompt="reflector/reflect",
    read=control_reader(Reflection),
    schema=Reflection,
    options={"temperature": 0.6, "num_predict": 2_048},
    bounds=(TASK_BOUND, Trim(part="attempts", rule=Rule.MIDDLE, least=5_000)),
    trims=(
        Trim(part="attempts", rule=Rule.MIDDLE, least=1_000),
        Trim(part="attempts", rule=Rule.OLDEST, least=2),
        Trim(part="plan.steps", rule=Rule.FROM_END, least=2, section="plan"),
        Trim(part="objections", rule=Rule.FROM_END, least=2),
        Trim(part="plan.steps", rule=Rule.MIDDLE, least=200, section="plan"),
        Trim(part="plan.summary", rule=Rule.MIDDLE, least=400, section="plan"),
        Trim(part="objections", rule=Rule.MIDDLE, least=200),
        TASK_TRIM,
        Trim(part="attempts", rule=Rule.MIDDLE, least=200),
        TASK_LAST,
    ),
)
