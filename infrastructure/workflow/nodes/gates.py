"""`approve_plan`, `approve_patch`: a person says yes or no, where that was asked for."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Required

from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict

from agents.codegen import Plan
from infrastructure.events.catalogue import ApprovalAsked, ApprovalGiven
from infrastructure.workflow.state import GateWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate, Gate

FORM = 'say true, false, or {"approved": true or false, "reason": "…"}'
"""How a gate is answered, as whoever answers otherwise is told."""


class Decision(BaseModel):
    """A person's answer; a bare yes or no is one as well."""

    model_config = ConfigDict(frozen=True)

    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person is asked: `approval` names it, so that an old answer is never taken for a new question."""

    approval: str
    gate: Gate
    question: str


class PlanGateReads(TypedDict, total=False):
    """The plan."""

    task: Required[str]
    run: str
    round: int
    plan: Required[Plan]


class PatchGateReads(TypedDict, total=False):
    """The patch."""

    task: Required[str]
    run: str
    round: int
    chosen: Required[Candidate]


async def approve_plan_node(state: PlanGateReads, step: Step) -> GateWrites:
    """Ask whether to go on with the plan."""
    plan = state["plan"]
    lines = [plan.summary, *(f"{number}. {text}" for number, text in enumerate(plan.steps, 1))]
    return _ask(step, Approval(f"plan:{state.get('round', 1)}", "plan", "\n".join(lines)))


async def approve_patch_node(state: PatchGateReads, step: Step) -> GateWrites:
    """Ask whether the patch is wanted."""
    chosen = state["chosen"]
    patch = (await step.scope.blobs.get(chosen.patch)).decode("utf-8", "replace")
    return _ask(step, Approval(f"patch:{chosen.number}", "patch", patch))


def _ask(step: Step, approval: Approval) -> GateWrites:
    asked = ApprovalAsked(approval=approval.approval, gate=approval.gate, question=approval.question)
    return {} if decided(step, asked).approved else {"declined": approval.gate}


def decided(step: Step, asked: ApprovalAsked) -> Decision:
    """A person's answer, or the recorded one.

    The node runs again from its first line when the answer is there, so the question is told each time.
    """
    step.emit(asked)
    known = step.scope.decided.get(asked.approval)
    if known is None:
        decision = _answered(asked.model_dump(mode="json", include={"approval", "gate", "question", "answers"}))
    else:
        decision = Decision(approved=known[0], reason=known[1])
    step.emit(ApprovalGiven(approval=asked.approval, approved=decision.approved, reason=decision.reason))
    return decision


def _answered(question: dict[str, object]) -> Decision:
    """What a person says, asked until it can be understood.

    An answer is in the checkpoint before this step sees it, so one that raised would raise again for ever after.
    """
    answer = interrupt(question)
    while True:
        try:
            return Decision.model_validate({"approved": answer} if isinstance(answer, bool) else answer)
        except ValidationError:
            answer = interrupt({**question, "problem": f"{reprlib.repr(answer)} is no answer: {FORM}"})
