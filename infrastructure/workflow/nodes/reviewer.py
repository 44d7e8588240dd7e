"""`reviewer`: a patch that passed, read once more before a person sees it."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import REVIEWER, Plan, Review, ReviewerQuestion
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import PatchReviewed
from infrastructure.workflow.evidence import counts_of, maybe_report
from infrastructure.workflow.state import ReviewerWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate

PATCH_BYTES = 256 << 10
"""How much of a patch is read; the reviewer is shown what its prompt has room for."""


class ReviewerReads(TypedDict, total=False):
    """The chosen candidate."""

    task: Required[str]
    run: str
    round: int
    plan: Required[Plan]
    chosen: Required[Candidate]


async def reviewer_node(state: ReviewerReads, step: Step) -> ReviewerWrites:
    """Ask for a verdict. A review that cannot be read objects to nothing, and that is said."""
    chosen = state["chosen"]
    patch = await step.scope.blobs.get(chosen.patch)
    report = await maybe_report(step.scope.blobs, chosen.report)
    question = ReviewerQuestion(
        task=state["task"],
        plan=state["plan"],
        patch=patch[:PATCH_BYTES].decode("utf-8", "ignore"),
        report="no tests ran" if report is None else f"{counts_of(report)}; {chosen.reason}",
    )
    try:
        review = await REVIEWER.ask(step.model("reviewer", f"reviewer:{chosen.number}"), question)
    except UnusableAnswer as problem:
        step.note(f"the review could not be read ({problem.reason}); the patch was not reviewed")
        return {"review": Review(summary="", verdict="approve"), "objected": False}
    step.emit(PatchReviewed(verdict=review.verdict, objections=tuple(review.objections), summary=review.summary))
    return {"review": review, "objected": review.verdict == "object"}
