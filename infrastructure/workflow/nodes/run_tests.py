"""`run_tests`: the candidate's files tried in the sandbox, and what the tests say of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Required

from typing_extensions import TypedDict

from agents.codegen.tester import is_test_path
from infrastructure.events.catalogue import EditsRejected
from infrastructure.judge.discovery import TestPlan
from infrastructure.judge.reports import TestReport
from infrastructure.judge.steadiness import Steady, steady
from infrastructure.judge.verdict import Verdict, doubted, judge, left_to_comparing, newly_altered
from infrastructure.workflow.anchors import UNDONE, Passing, broken_text, keep_anchors, load_anchors
from infrastructure.workflow.doubts import altered_text, lent_text, newly_named_in, own_tests
from infrastructure.workflow.evidence import (
    contents_of,
    judge_contents,
    keep_report,
    load_plan,
    maybe_report,
)
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.stated import deciding, known_shares
from infrastructure.workflow.steps import Step
from infrastructure.workflow.stuck import FAILED_AGAIN, failure_mark, failure_told, has_progressed, with_failure
from infrastructure.workflow.trial import candidate_tree
from infrastructure.workflow.trying import TestRun, find_written_plan, try_tests, try_untouched_again, untouched
from infrastructure.workflow.values import Attempt, CandidateStart, FileRef, JudgeKind, PastTry
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.trees import Tree


class RunTestsReads(TypedDict, total=False):
    """The candidate's files and its patch."""

    start: Required[CandidateStart]
    attempt: int
    contents: tuple[FileRef, ...]
    patch: str
    kept: Attempt
    past: Sequence[PastTry]
    repeated: int


class RunTestsWrites(TypedDict, total=False):
    """What the tests said; where a repair was undone, the files as they were before it and what it broke."""

    contents: tuple[FileRef, ...]
    patch: str
    report: str
    written_report: str
    outcome: str
    reason: str
    judge: JudgeKind
    failing: int
    repairable: bool
    rejected: str
    kept: Attempt
    past: Sequence[PastTry]
    repeated: int
    stuck: str


@dataclass(frozen=True, slots=True)
class _Tried:
    """A verdict, and the reports it rests on."""

    verdict: Verdict
    after: TestReport | None
    written: TestReport | None = None

    @property
    def telling(self) -> TestReport | None:
        """The report that shows why: the written tests' where the verdict rests on them, else the judge's."""
        if self.written is not None and (self.verdict.judge == "written" or self.after is None):
            return self.written
        return self.after

    def passing(self, start: CandidateStart) -> Passing:
        """What passes, as anchors: a task's own new tests are the candidate's to change."""
        written = None if start.kind == "tests" else self.written
        return Passing(judge=self.after, written=written)


async def run_tests_node(state: RunTestsReads, step: Step) -> RunTestsWrites:
    """Run the judge's tests, and those written from the plan where the judge's prove nothing."""
    snapshot = await snapshot_of(step.scope)
    async with candidate_tree(step.scope, snapshot, state["start"].number, state.get("contents", ())) as tree:
        tried = await _try(state, step, snapshot, tree)
    passing, kept = tried.passing(state["start"]), state.get("kept")
    if tried.verdict.status == "failed" and kept is not None:
        broken = passing.broken(await load_anchors(step.scope.blobs, kept))
        if broken:
            undone = _undone(state, step, kept, broken_text(passing, broken))
            return {**undone, **await _remembered(state, step, tried, stands=False)}
    written = await _kept(state, step, tried, passing)
    if tried.verdict.status != "failed":
        return written
    remembered = await _remembered(state, step, tried, stands=True)
    again = FAILED_AGAIN if remembered.get("stuck") else ""
    return {**written, **remembered, "reason": tried.verdict.reason + again}


async def _kept(state: RunTestsReads, step: Step, tried: _Tried, passing: Passing) -> RunTestsWrites:
    """The attempt stands: it is the best so far."""
    telling, verdict, blobs = tried.telling, tried.verdict, step.scope.blobs
    attempt = Attempt(
        contents=state.get("contents", ()),
        patch=state.get("patch", ""),
        report=await keep_report(blobs, telling) if telling is not None else "",
        written_report=await keep_report(blobs, tried.written) if tried.written is not None else "",
        judge_report=await keep_report(blobs, tried.after) if tried.after is not None else "",
        reason=verdict.reason,
        judge=verdict.judge,
        failing=len(telling.red) if telling is not None else 0,
        repairable=verdict.repairable,
        anchors=await keep_anchors(blobs, passing),
    )
    return {**_said_of(attempt), "outcome": verdict.status, "kept": attempt, "rejected": ""}


async def _remembered(state: RunTestsReads, step: Step, tried: _Tried, *, stands: bool) -> RunTestsWrites:
    """The failed attempt among those before it, and whether it failed as one of them did."""
    past, repeated, attempt = state.get("past", ()), state.get("repeated", 0), state.get("attempt", 1)
    reports = tuple(report for report in (tried.after, tried.written) if report is not None)
    this = PastTry(
        attempt=attempt,
        patch=state.get("patch", ""),
        failure=failure_mark(reports),
        passed=sum(len(report.passed) for report in reports),
        report=await keep_report(step.scope.blobs, tried.telling) if tried.telling is not None else "",
    )
    before = with_failure(past, this.failure)
    if before is not None:
        told = failure_told(before, attempt)
        step.note(told)
        return {"past": (*past, this), "repeated": repeated + 1, "stuck": told}
    over = stands and has_progressed(past, this.passed)
    return {"past": (*past, this), "repeated": 0 if over else repeated, "stuck": ""}


def _undone(state: RunTestsReads, step: Step, kept: Attempt, broke: str) -> RunTestsWrites:
    """The repair does not stand: everything is as the best attempt left it."""
    step.emit(EditsRejected(attempt=state.get("attempt", 1), reason=f"it {broke}; it was undone"))
    said = f"it {broke}\nIt was undone: the files are as they were before it. Mend what is red and keep these passing."
    reason = kept.reason.removesuffix(UNDONE) + UNDONE
    return {
        **_said_of(kept),
        "contents": kept.contents,
        "patch": kept.patch,
        "reason": reason,
        "outcome": "failed",
        "rejected": said,
    }


def _said_of(attempt: Attempt) -> RunTestsWrites:
    return {
        "report": attempt.report,
        "written_report": attempt.written_report,
        "reason": attempt.reason,
        "judge": attempt.judge,
        "failing": attempt.failing,
        "repairable": attempt.repairable,
    }


async def _try(state: RunTestsReads, step: Step, snapshot: Snapshot, tree: Tree) -> _Tried:
    start, blobs = state["start"], step.scope.blobs
    known = Steady(await maybe_report(blobs, start.baseline.report))
    after = await _run_judge(state, step, snapshot, tree)
    if _decide(state, known, after).by_change:
        known = await _steady(state, step, snapshot, known)
    decide = partial(_decide, state, known, after)
    verdict = decide()
    if verdict.status == "done":
        altered = altered_text(newly_altered(known.baseline, after))
        return _Tried(doubted(verdict, altered or await _doubt(state, step, snapshot, tree, known)), after)
    if verdict.broken or not state.get("patch"):
        return _Tried(verdict, after)
    if start.kind == "tests":
        new = await _run_new_tests(state, step, snapshot)
        return _Tried(decide(written_baseline=new), after, new)
    if start.written is None:
        return _Tried(verdict, after)
    tests, plan = await contents_of(step.scope, start.written.files), await load_plan(blobs, start.written.plan)
    ran = await _run_written(state, step, snapshot, tree, tests, plan)
    before, written = deciding(await maybe_report(blobs, start.written.report), ran)
    verdict = decide(written_baseline=before, written_after=written)
    if start.compared:
        verdict = left_to_comparing(verdict, written, known_shares(written.red, before))
    return _Tried(verdict, after, written)


def _decide(
    state: RunTestsReads,
    known: Steady,
    after: TestReport | None,
    *,
    written_baseline: TestReport | None = None,
    written_after: TestReport | None = None,
) -> Verdict:
    start = state["start"]
    return judge(
        known.baseline,
        known.seen(after),
        patch_empty=not state.get("patch"),
        judge="found" if known.tells_nothing else start.baseline.judge,
        written_baseline=written_baseline,
        written_after=written_after,
        task_kind=start.kind,
        named=bool(start.baseline.given),
    )


async def _steady(state: RunTestsReads, step: Step, snapshot: Snapshot, known: Steady) -> Steady:
    """What two runs on the untouched snapshot agree on: a change of the others may be no change of the patch's."""
    baseline = state["start"].baseline
    if known.baseline is None:
        return known
    plan = await load_plan(step.scope.blobs, baseline.plan)
    files = await judge_contents(step.scope, snapshot, baseline)
    run = replace(untouched(_place(state), "judge", snapshot, plan, files), name="second")
    found = steady(known.baseline, await try_untouched_again(step, run))
    if found.unsteady:
        first, *others = found.unsteady
        more = f" and {len(others)} more" if others else ""
        step.note(f"{first}{more} ended otherwise in a second run on the untouched code, so that decides nothing")
    return found


async def _doubt(state: RunTestsReads, step: Step, snapshot: Snapshot, tree: Tree, known: Steady) -> str:
    """Why a `done` may be none; empty where nothing speaks against it."""
    contents = state.get("contents", ())
    if said := await newly_named_in(step.scope, snapshot, contents) or await lent_text(snapshot, contents):
        return said
    own = own_tests(snapshot, contents)
    if not own:
        return ""
    step.note("the judge's tests run once more, without the patch's own test files")
    again = _decide(state, known, await _run_judge(state, step, snapshot, tree, without=own))
    return "" if again.status == "done" else f"that is so only where {' and '.join(own)} of the patch is there too"


async def _run_judge(
    state: RunTestsReads, step: Step, snapshot: Snapshot, tree: Tree, without: Collection[str] = ()
) -> TestReport | None:
    start = state["start"]
    if not start.baseline.plan:
        return None
    plan = await load_plan(step.scope.blobs, start.baseline.plan)
    files = await judge_contents(step.scope, snapshot, start.baseline)
    run = TestRun(
        step=_place(state),
        name="again" if without else "judge",
        suite="judge",
        attempt=state.get("attempt", 1),
        snapshot=snapshot,
        tree=tree,
        changed=state.get("contents", ()),
        plan=plan,
        files=files,
        without=without,
        before=True,
    )
    return await try_tests(step, run)


async def _run_new_tests(state: RunTestsReads, step: Step, snapshot: Snapshot) -> TestReport | None:
    """The tests that a patch adds, on the untouched code: that is what a task for tests is judged by."""
    new = [ref for ref in state.get("contents", ()) if ref.path not in snapshot.files and is_test_path(ref.path)]
    if not new:
        return None
    tests, known = await contents_of(step.scope, new), state["start"].baseline.plan
    like = await load_plan(step.scope.blobs, known) if known else None
    plan = await find_written_plan(step.scope, _place(state), snapshot, tests, like)
    return await _run_written(state, step, snapshot, None, tests, plan)


async def _run_written(
    state: RunTestsReads, step: Step, snapshot: Snapshot, tree: Tree | None, tests: Mapping[str, bytes], plan: TestPlan
) -> TestReport:
    """Run tests that a model wrote: on the candidate's tree, or on the untouched snapshot where that is None."""
    files = {**await judge_contents(step.scope, snapshot, state["start"].baseline), **tests}
    run = TestRun(
        step=_place(state),
        name="new" if tree is None else "written",
        suite="written",
        attempt=state.get("attempt", 1),
        snapshot=snapshot,
        tree=tree or Tree(snapshot.root),
        changed=() if tree is None else state.get("contents", ()),
        plan=plan,
        files=files,
    )
    return await try_tests(step, run)


def _place(state: RunTestsReads) -> str:
    return f"run_tests:{state['start'].number}:{state.get('attempt', 1)}"
