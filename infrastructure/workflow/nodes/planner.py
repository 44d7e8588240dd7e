"""`planner`: how the task will be solved."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import PLANNER, Intent, Plan, PlannerQuestion, Reflection, Research
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import PlanDrafted
from infrastructure.workflow.material import snapshot_of, source_files
from infrastructure.workflow.state import PlannerWrites
from infrastructure.workflow.steps import Step


class PlannerReads(TypedDict, total=False):
    """What is known before a plan."""

    task: Required[str]
    run: str
    intent: Intent
    research: Research
    reflection: Reflection
    round: int


async def planner_node(state: PlannerReads, step: Step) -> PlannerWrites:
    """Draft a plan; in a later round, one that differs as the reflector said."""
    number = state.get("round", 0) + 1
    snapshot = await snapshot_of(step.scope)
    chosen = tuple(state["research"].files) if "research" in state else ()
    intent = state.get("intent")
    question = PlannerQuestion(
        task=state["task"],
        summary=intent.summary if intent else "",
        acceptance=tuple(intent.acceptance) if intent else (),
        files=await source_files(snapshot, chosen, step.note),
        lesson=_lesson(state.get("reflection")),
        round=number,
    )
    try:
        plan = await PLANNER.ask(step.model("planner", f"planner:{number}"), question)
    except UnusableAnswer as problem:
        step.note(f"the plan could not be read ({problem.reason}); going on with the task itself as the plan")
        plan = Plan(summary=state["task"][:500], files=list(chosen), steps=["Do what the task asks for."])
    step.emit(PlanDrafted(summary=plan.summary, steps=tuple(plan.steps), files=tuple(plan.files)))
    return {"plan": plan, "round": number}


def _lesson(reflection: Reflection | None) -> str:
    return "" if reflection is None else f"{reflection.lesson}\n{reflection.approach}".strip()
