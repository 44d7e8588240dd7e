"""A run's result: read from the last state of its graph, its calls and its error.

Owns the one place where a status becomes a document and an exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from infrastructure.events.catalogue import RedTest, RunFinished
from infrastructure.ids import RunId
from infrastructure.judge.red import red_tests
from infrastructure.running.errors import NoStatus, as_storage_error, error_info, exit_code_of
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallTotals
from infrastructure.storage.errors import StorageError
from infrastructure.tasks import (
    EXIT_CODES,
    ErrorInfo,
    FileNote,
    Judge,
    PatchReview,
    RunResult,
    StaticFinding,
    Status,
    TestTotals,
)
from infrastructure.workflow.evidence import counts_of, load_report, maybe_report
from infrastructure.workflow.reviewing import notes_of, risks_of
from infrastructure.workflow.routing import best
from infrastructure.workflow.state import CodegenState
from infrastructure.workflow.values import Candidate

MOST_RED = 20
"""Red tests that a result names; how many there are it says too."""
_RED_STATUSES: frozenset[Status] = frozenset({"failed", "budget"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an execution ended, beside what the state says: a status that overrules it, or an error."""

    status: Status | None = None
    reason: str = ""
    error: ErrorInfo | None = None
    exit_code: int | None = None
    by_storage: bool = False
    """Whether the error is storage's: once that works again, the run can go on from its last step."""


def failed(error: BaseException) -> Ending:
    """How a run ends that met an error."""
    info = error_info(error)
    return Ending(
        status="error",
        reason=str(error) or info.error_class,
        error=info,
        exit_code=exit_code_of(error),
        by_storage=isinstance(as_storage_error(error), StorageError),
    )


async def result_of(
    run: RunId,
    values: Mapping[str, object],
    totals: CallTotals,
    blobs: Blobs,
    ending: Ending,
    *,
    seconds: float,
    simulated: bool,
) -> RunResult:
    """The document of a run that has ended. The best candidate's patch is kept whatever the status."""
    state = cast("CodegenState", values)
    if ending.status is None and "status" not in state:
        ending = failed(NoStatus(run))
    chosen = state.get("chosen") or best(state.get("tried", ()))
    status: Status = ending.status or state.get("status", "error")
    judge: Judge = state.get("judge") or (chosen.judge if chosen else "none")
    exit_code = EXIT_CODES[status] if ending.exit_code is None else ending.exit_code
    red = await _red(state, chosen, blobs) if status in _RED_STATUSES else ()
    return RunResult(
        run=run,
        status=status,
        judge=judge,
        exit_code=exit_code,
        answer=state.get("answer", ""),
        patch=await _patch_text(chosen, blobs),
        files=tuple(ref.path for ref in (chosen.files if chosen else ())),
        tests=await _totals(chosen, blobs),
        red=red[:MOST_RED],
        red_total=len(red),
        attempts=chosen.attempts if chosen else 0,
        candidates=len(state.get("tried", ())),
        model_calls=totals.calls,
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        gpu_seconds=round(totals.gpu_seconds, 3),
        seconds=round(seconds, 3),
        reason=ending.reason or state.get("reason", ""),
        answered_test=await _answered_test(state, blobs),
        simulated=simulated,
        review=_review(state, chosen),
        error=ending.error,
    )


def finished_event(result: RunResult) -> RunFinished:
    """The last event of a run."""
    error = result.error
    return RunFinished(
        status=result.status,
        judge=result.judge,
        exit_code=result.exit_code,
        seconds=result.seconds,
        error_class=error.error_class if error else "",
        error_message=error.message if error else "",
        hint=error.hint if error else "",
        red=result.red,
        red_total=result.red_total,
    )


async def _patch_text(chosen: Candidate | None, blobs: Blobs) -> str:
    if chosen is None or not chosen.patch:
        return ""
    return (await blobs.get(chosen.patch)).decode("utf-8", "replace")


async def _red(state: CodegenState, chosen: Candidate | None, blobs: Blobs) -> tuple[RedTest, ...]:
    """What is red for the best candidate, of the judge's tests and then of the written ones.

    Where no test of one was run, what was red before any change.
    """
    shas = (chosen.judge_report, chosen.written_report) if chosen else ()
    if not any(shas) and "baseline" in state:
        shas = (state["baseline"].report,)
    reports = [await maybe_report(blobs, sha) for sha in shas]
    return tuple(test for report in reports for test in red_tests(report))


async def _answered_test(state: CodegenState, blobs: Blobs) -> str:
    test = state["ruling"].test if "ruling" in state else None
    return "" if test is None or test.sha is None else (await blobs.get(test.sha)).decode("utf-8", "replace")


def _review(state: CodegenState, chosen: Candidate | None) -> PatchReview | None:
    """What was said of this patch: an objection may have led to another, which nobody has reviewed."""
    if chosen is None or state.get("reviewed") != chosen.number:
        return None
    found = tuple(StaticFinding.model_validate(asdict(each)) for each in state.get("findings", ()))
    review = state.get("review")
    if review is None:
        return PatchReview(verdict="unread", findings=found)
    return PatchReview(
        verdict=review.verdict,
        summary=review.summary,
        files=tuple(
            FileNote(path=path, summary=said) for path, said in notes_of(review, [ref.path for ref in chosen.files])
        ),
        risks=risks_of(review),
        objections=tuple(review.objections),
        findings=found,
    )


async def _totals(chosen: Candidate | None, blobs: Blobs) -> TestTotals:
    if chosen is None or not chosen.report:
        return TestTotals()
    counts = counts_of(await load_report(blobs, chosen.report))
    return TestTotals(**counts.model_dump())
