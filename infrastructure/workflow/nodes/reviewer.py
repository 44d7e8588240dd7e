"""`reviewer`: a patch that passed, checked statically and read once more before a person sees it."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import REVIEWER, Plan, Review, ReviewerQuestion
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import PatchReviewed
from infrastructure.judge.linting import Finding
from infrastructure.workflow.evidence import counts_of, maybe_report
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.reviewing import notes_of, risks_of
from infrastructure.workflow.state import ReviewerWrites
from infrastructure.workflow.static_checks import check_files
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
    """Check the files, ask for a verdict. A review that cannot be read objects to nothing, and that is said."""
    chosen = state["chosen"]
    findings = await _findings(chosen, step)
    told = tuple(str(each) for each in findings)
    question = await _question(state, step, told)
    written: ReviewerWrites = {"reviewed": chosen.number, "findings": findings, "objected": False}
    try:
        review = await REVIEWER.ask(step.model("reviewer", _key(chosen)), question)
    except UnusableAnswer as problem:
        step.note(f"the review could not be read ({problem.reason}); the patch was not reviewed")
        for each in told:
            step.note(f"static check: {each}")
        return written
    step.emit(_told(review, chosen, told))
    return {**written, "review": review, "objected": review.verdict == "object"}


def _key(chosen: Candidate) -> str:
    return f"reviewer:{chosen.number}"


async def _question(state: ReviewerReads, step: Step, findings: tuple[str, ...]) -> ReviewerQuestion:
    chosen, blobs = state["chosen"], step.scope.blobs
    patch = await blobs.get(chosen.patch)
    report = await maybe_report(blobs, chosen.report)
    return ReviewerQuestion(
        task=state["task"],
        plan=state["plan"],
        patch=patch[:PATCH_BYTES].decode("utf-8", "ignore"),
        report="no tests ran" if report is None else f"{counts_of(report)}; {chosen.reason}",
        findings=findings,
    )


async def _findings(chosen: Candidate, step: Step) -> tuple[Finding, ...]:
    snapshot = await snapshot_of(step.scope)
    findings = await check_files(step.scope, _key(chosen), snapshot, chosen.files)
    if findings.problem:
        step.note(f"there was no static check: {findings.problem}")
    if findings.more:
        step.note(f"static checks found {findings.more} more than the {len(findings.found)} that are shown")
    return findings.found


def _told(review: Review, chosen: Candidate, findings: tuple[str, ...]) -> PatchReviewed:
    notes = notes_of(review, [ref.path for ref in chosen.files])
    return PatchReviewed(
        verdict=review.verdict,
        objections=tuple(review.objections),
        summary=review.summary,
        files=tuple(f"{path}: {said}" for path, said in notes),
        risks=risks_of(review),
        findings=findings,
    )
