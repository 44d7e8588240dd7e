"""`reflector`: what a failed plan, or an objection, teaches."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import REFLECTOR, Plan, Reflection, ReflectorQuestion, Review
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import LessonDrawn
from infrastructure.workflow.state import ReflectorWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate


class ReflectorReads(TypedDict, total=False):
    """The plan and what came of it."""

    task: Required[str]
    run: str
    round: int
    plan: Required[Plan]
    tried: tuple[Candidate, ...]
    review: Review
    objected: bool


async def reflector_node(state: ReflectorReads, step: Step) -> ReflectorWrites:
    """Say what the next plan must do differently."""
    number = state.get("round", 1)
    review = state.get("review")
    question = ReflectorQuestion(
        task=state["task"],
        plan=state["plan"],
        attempts=tuple(_told(each) for each in state.get("tried", ()) if each.round == number),
        objections=tuple(review.objections) if review and state.get("objected") else (),
    )
    try:
        reflection = await REFLECTOR.ask(step.model("reflector", f"reflector:{number}"), question)
    except UnusableAnswer as problem:
        step.note(f"the lesson could not be read ({problem.reason})")
        reflection = Reflection(lesson="the last plan failed", approach="take a different approach")
    step.emit(LessonDrawn(lesson=reflection.lesson, approach=reflection.approach))
    return {"reflection": reflection}


def _told(candidate: Candidate) -> str:
    return f"{candidate.outcome} after {candidate.attempts} attempts: {candidate.reason}"
