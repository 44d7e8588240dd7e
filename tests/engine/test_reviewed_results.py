"""What a run's result says of its review."""

from __future__ import annotations

from agents.codegen import Review
from infrastructure.ids import RunId
from infrastructure.judge.linting import Finding
from infrastructure.running.results import Ending, result_of
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.calls import CallTotals
from infrastructure.tasks import PatchReview, RunResult
from infrastructure.workflow.values import Candidate, FileRef, Outcome

REVIEW = Review(summary="It adds.", files=["a.py: adds", "made_up.py: no"], risks=["floats"], verdict="approve")
FOUND = Finding("a.py", 3, "F821", "Undefined name `x`")


async def reviewed(**state: object) -> PatchReview | None:
    chosen = Candidate(2, 1, Outcome.DONE, "green", 1, files=(FileRef("a.py", "0" * 64),), judge="given")
    values = {"status": "done", "chosen": chosen, "reviewed": 2, "findings": (FOUND,), "review": REVIEW, **state}
    result = await result_of(RunId("r"), values, CallTotals(), MemoryBlobs(), Ending(), seconds=1.0, simulated=False)
    assert RunResult.model_validate_json(result.model_dump_json()) == result
    return result.review


async def test_result_has_verdict_files_risks_and_findings():
    review = await reviewed()
    assert review is not None
    assert review.model_dump(mode="json") == {
        "verdict": "approve",
        "summary": "It adds.",
        "files": [{"path": "a.py", "summary": "adds"}],
        "risks": ["floats"],
        "objections": [],
        "findings": [{"path": "a.py", "line": 3, "rule": "F821", "text": "Undefined name `x`"}],
    }


async def test_review_of_another_candidate_is_not_this_ones():
    assert await reviewed(reviewed=1) is None
    assert await reviewed(reviewed=None) is None


async def test_review_that_could_not_be_read_leaves_the_findings():
    review = await reviewed(review=None)
    assert review is not None
    assert (review.verdict, [each.rule for each in review.findings]) == ("unread", ["F821"])


def test_result_of_before_there_were_reviews_still_loads():
    old = '{"run": "r", "status": "done", "judge": "given", "exit_code": 0}'
    assert RunResult.model_validate_json(old).review is None
