"""`choose`: the best candidate so far."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from infrastructure.events.catalogue import PatchChosen
from infrastructure.workflow.routing import best
from infrastructure.workflow.state import ChooseWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate


class ChooseReads(TypedDict, total=False):
    """All candidates of all rounds."""

    task: Required[str]
    run: str
    round: int
    tried: tuple[Candidate, ...]


async def choose_node(state: ChooseReads, step: Step) -> ChooseWrites:
    """Take the best by what the tests said; note a spent budget, so that the run goes to its end."""
    spent: ChooseWrites = {"spent": step.scope.budget.spent} if step.scope.budget.spent else {}
    chosen = best(state.get("tried", ()))
    if chosen is None:
        return spent
    step.emit(PatchChosen(status=chosen.outcome, reason=chosen.reason))
    return {**spent, "chosen": chosen}
