"""`planner`: how the task will be solved."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import PLANNER, Intent, Plan, PlannerQuestion, Reflection, Research
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import PlanDrafted
from infrastructure.workflow.mapping import overview
from infrastructure.workflow.material import snapshot_of, source_files
from infrastructure.workflow.state import PlannerWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Baseline


class PlannerReads(TypedDict, total=False):
    """What is known before a plan."""

    task: Required[str]
    run: str
    intent: Intent
    research: Research
    reflection: Reflection
    baseline: Baseline
    round: int


async def planner_node(state: PlannerReads, step: Step) -> PlannerWrites:
    """Draft a plan; in a later round, one that differs as the reflector said."""
    number = state.get("round", 0) + 1
    question = await _question(state, step, number)
    try:
        plan = await PLANNER.ask(step.model("planner", f"planner:{number}"), question)
    except UnusableAnswer as problem:
        step.note(f"the plan could not be read ({problem.reason}); going on with the task itself as the plan")
        plan = Plan(summary=state["task"][:500], files=list(_chosen(state)), steps=["Do what the task asks for."])
    step.emit(PlanDrafted(summary=plan.summary, steps=tuple(plan.steps), files=tuple(plan.files)))
    return {"plan": plan, "round": number}


async def _question(state: PlannerReads, step: Step, number: int) -> PlannerQuestion:
    snapshot = await snapshot_of(step.scope)
    intent, lesson = state.get("intent"), _lesson(state.get("reflection"))
    chosen = _chosen(state)
    files = await source_files(snapshot, chosen, step.note)
    drawn = await overview(
        step.scope,
        snapshot,
        (state["task"], intent.summary if intent else "", lesson),
        files=chosen,
        without=[file.path for file in files],
        baseline=state.get("baseline"),
    )
    return PlannerQuestion(
        task=state["task"],
        summary=intent.summary if intent else "",
        acceptance=tuple(intent.acceptance) if intent else (),
        files=files,
        lesson=lesson,
        round=number,
        map=drawn.text,
    )


def _chosen(state: PlannerReads) -> tuple[str, ...]:
    return tuple(state["research"].files) if "research" in state else ()


def _lesson(reflection: Reflection | None) -> str:
    return "" if reflection is None else f"{reflection.lesson}\n{reflection.approach}".strip()
