"""`deliver`: the end of every code run: the best patch kept, and the status the evidence allows."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from infrastructure.events.catalogue import PatchDelivered
from infrastructure.workflow.budget import budget_words
from infrastructure.workflow.routing import best
from infrastructure.workflow.state import DeliverWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate, Gate, Outcome, Status
from infrastructure.workspace.hunks import count_lines

_STATUS: dict[Outcome, Status] = {
    Outcome.DONE: "done",
    Outcome.UNVERIFIED: "unverified",
    Outcome.FAILED: "failed",
    Outcome.LOST: "failed",
}


class DeliverReads(TypedDict, total=False):
    """What there is to deliver."""

    task: Required[str]
    run: str
    round: int
    chosen: Candidate
    tried: tuple[Candidate, ...]
    declined: Gate
    spent: str


async def deliver_node(state: DeliverReads, step: Step) -> DeliverWrites:
    """Say how the run ended. The patch is in the store already; nothing in the user's tree is touched here."""
    chosen = state.get("chosen") or best(state.get("tried", ()))
    status, reason = _ending(state, chosen, state.get("spent") or step.scope.budget.spent)
    if chosen is None:
        return {"status": status, "judge": "none", "reason": reason, "patch": "", "files": ()}
    if chosen.patch:
        patch = (await step.scope.blobs.get(chosen.patch)).decode("utf-8", "replace")
        added, removed = count_lines(patch)
        paths = tuple(ref.path for ref in chosen.files)
        step.emit(PatchDelivered(files=paths, added=added, removed=removed, sha=chosen.patch))
    return {
        "status": status,
        "judge": chosen.judge,
        "reason": reason,
        "patch": chosen.patch,
        "files": chosen.files if chosen.patch else (),
    }


def _ending(state: DeliverReads, chosen: Candidate | None, spent: str | None) -> tuple[Status, str]:
    """A person's no comes first; a good candidate is good although the budget ran out afterwards."""
    declined = state.get("declined")
    if declined:
        return "cancelled", f"the {declined} was turned down"
    if chosen is not None and chosen.outcome in (Outcome.DONE, Outcome.UNVERIFIED):
        return _STATUS[chosen.outcome], chosen.reason
    if spent:
        best_so_far = f"; the best so far: {chosen.reason}" if chosen else ""
        return "budget", f"the budget of {budget_words(spent)} is spent{best_so_far}"
    return "failed", chosen.reason if chosen else "no candidate came to an end"
