"""The judge: from reports of tests to a verdict. Pure.

Owns what counts as green. In the order in which the cases are decided:

1. An empty patch: failed.
2. A test that passed before and does not now, or is gone: failed. Likewise a run that no longer comes to its end, and
   one in which tests can no longer fail: a false claim passes that did not before.
3. A test is red that was not red before, since it did not run, was skipped or was not there: failed, though others
   turned green. A test that the patch adds is one of these.
4. A judge test that was red passes, and 2 and 3 are not so: done. Test files that the user named are the task: while
   one of their tests is red, it is failed. A known bug, a test with the mark that it fails, counts as red, and it
   passes where it passes against its mark; but then the run is red until a person takes the mark away: unverified.
5. The task asks for tests: they must pass on the untouched code: unverified, else failed.
6. The user gave tests, and none of them passes: failed, whatever else says so.
7. Tests written from the plan: one that was not green on the snapshot passes and none is red: unverified; red now, or
   green on the snapshot already, so that they show nothing: failed.
8. No written test can be used. A judge test is red still: failed. Else there is nothing to judge by: unverified.

The tests run in one process with the code that they test, so a `done` can be doubted (`doubted`): see docs/judge.md.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infrastructure.judge.reports import TestOutcome, TestReport, uncollected_text

JudgeKind = Literal["given", "found", "written", "none"]
TaskKind = Literal["code", "tests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests say of a patch.

    Attributes:
        status: `done` is proven by tests that were there before the code, `unverified` is not.
        judge: Which tests it rests on.
        reason: One sentence.
        turned_green: Tests that were red and pass now.
        broken: Tests that passed and do not now.
        newly_red: Tests that are red and were not, where it is failed for them.
        repairable: Whether another try at the code could change it: not where the tests themselves show nothing.
    """

    status: Literal["done", "unverified", "failed"]
    judge: JudgeKind
    reason: str
    turned_green: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    newly_red: tuple[str, ...] = ()
    repairable: bool = True

    @property
    def by_change(self) -> bool:
        """Whether it hangs on tests that end otherwise than before, which some do by themselves."""
        return bool(self.turned_green or self.broken or self.newly_red)


def judge(
    baseline: TestReport | None,
    after: TestReport | None,
    *,
    patch_empty: bool,
    judge: JudgeKind,
    written_baseline: TestReport | None = None,
    written_after: TestReport | None = None,
    task_kind: TaskKind = "code",
    named: bool = False,
) -> Verdict:
    """Judge a patch.

    Args:
        baseline: The judge's tests on the untouched snapshot; None when there are none.
        after: The same tests with the patch.
        patch_empty: Whether the patch changes nothing.
        judge: Where the judge's tests come from.
        written_baseline: Tests of this run's own on the untouched snapshot.
        written_after: The same with the patch.
        task_kind: Whether the task asks for code or for tests.
        named: Whether the user named the judge's test files, so that all of them must pass.
    """
    if patch_empty:
        return Verdict(status="failed", judge=judge, reason="The patch is empty.")
    lost = _broken(baseline, after)
    if lost:
        return Verdict(status="failed", judge=judge, reason=_broken_reason(lost), broken=lost)
    if after is not None and after.crashed is not None and (baseline is None or baseline.crashed is None):
        return Verdict(status="failed", judge=judge, reason=f"The tests did not come to their end: {after.crashed}")
    if vain := _newly(after, baseline, "unfailing"):
        return Verdict(status="failed", judge=judge, reason=_vain_reason(vain))
    gained = turned_green(baseline, after)
    if unseen := _newly_red(baseline, after):
        reason = _unseen_reason(unseen)
        return Verdict(status="failed", judge=judge, reason=reason, turned_green=gained, newly_red=unseen)
    if gained and after is not None and after.crashed is None:
        return _judge_by_gained(gained, after, judge, named=named)
    if task_kind == "tests":
        return _judge_new_tests(written_baseline)
    if judge == "given" and not (after is not None and after.passed):
        return Verdict(status="failed", judge=judge, reason=f"None of the given tests passes.{_because(after)}")
    red = _stays_red(baseline, after)
    by_written = _judge_by_written(written_baseline, written_after, judge_red=red)
    return by_written or _judge_by_nothing(baseline, after, judge, red)


def doubted(verdict: Verdict, doubt: str) -> Verdict:
    """Take back a proof that may be none: `done` becomes `unverified` and says why; any other verdict stays.

    Args:
        verdict: What the tests say.
        doubt: Why that may not be so, as the rest of a sentence that begins with "But"; empty for no doubt.
    """
    if verdict.status != "done" or not doubt:
        return verdict
    return replace(verdict, status="unverified", reason=f"{verdict.reason} But {doubt}.")


def left_to_comparing(verdict: Verdict, written: TestReport, believed: Collection[str] = ()) -> Verdict:
    """Take a candidate that fails only some written tests as it is, where others are there to compare it with.

    Two in five such tests are wrong: a repair would teach a right candidate their mistakes. One that passes none has
    something more at fault, and is repaired; so is one that fails a test that is `believed`.
    """
    if verdict.status != "failed" or verdict.judge != "written" or not written.passed:
        return verdict
    if not written.red.isdisjoint(believed):
        return verdict
    reason = f"{verdict.reason[:-1]}; it is compared with the others."
    return replace(verdict, reason=reason, repairable=False)


def newly_altered(baseline: TestReport | None, after: TestReport | None) -> tuple[str, ...]:
    """What judges and was changed while it judged, and was not on the untouched snapshot; sorted."""
    return _newly(after, baseline, "altered")


def turned_green(baseline: TestReport | None, after: TestReport | None) -> tuple[str, ...]:
    """The tests that were red, or known to fail, and pass now, sorted.

    A file or class that could not run as a whole counts when all that ran of it now is green, and something passed.
    """
    if baseline is None or after is None:
        return ()
    mended = baseline.ended(TestOutcome.XFAILED) & _holding(after)
    return tuple(sorted(mended.union(test for test in baseline.red if _passes(test, after))))


def _holding(report: TestReport) -> frozenset[str]:
    """The tests whose claims hold, whatever their marks say."""
    return report.ended(TestOutcome.PASSED, TestOutcome.XPASSED)


def _passes(test: str, after: TestReport) -> bool:
    if test in after.outcomes:
        return test in after.passed
    inside = f"{test}::"
    return any(each.startswith(inside) for each in after.passed) and not any(
        each.startswith(inside) for each in after.red
    )


def _broken(baseline: TestReport | None, after: TestReport | None) -> tuple[str, ...]:
    if baseline is None:
        return ()
    still = frozenset[str]() if after is None else _holding(after)
    return tuple(sorted(_holding(baseline) - still))  # a skipped or vanished test no longer passes either


def _newly_red(baseline: TestReport | None, after: TestReport | None) -> tuple[str, ...]:
    """What is red and was not, sorted: what passed before is told as broken, and comes first."""
    if baseline is None or after is None:
        return ()
    known = baseline.red | baseline.ended(TestOutcome.XFAILED) & _holding(after)
    return tuple(sorted(after.red - known))


def _newly(
    after: TestReport | None, before: TestReport | None, what: Literal["unfailing", "altered"]
) -> tuple[str, ...]:
    if after is None:
        return ()
    known = frozenset[str]() if before is None else frozenset(getattr(before, what))
    return tuple(sorted(frozenset(getattr(after, what)) - known))


def _vain_reason(vain: tuple[str, ...]) -> str:
    said = f"{', '.join(vain[:3])} lets through what is false"
    return f"With the patch, tests can no longer fail, so that what they say is void: {said}."


def _judge_by_gained(gained: tuple[str, ...], after: TestReport, judge: JudgeKind, *, named: bool) -> Verdict:
    unmarked = tuple(test for test in gained if test in after.ended(TestOutcome.XPASSED))  # against their marks
    if named and (red := after.red.difference(unmarked)):
        reason = f"{len(red)} of the given tests are red still."
        return Verdict(status="failed", judge=judge, reason=reason, turned_green=gained)
    if unmarked:
        return Verdict(status="unverified", judge=judge, reason=_unmarked_reason(unmarked), turned_green=gained)
    return Verdict(status="done", judge=judge, reason=_gained_reason(gained), turned_green=gained)


def _judge_new_tests(written: TestReport | None) -> Verdict:
    if written is None or not written.outcomes:
        return Verdict(status="failed", judge="written", reason="No new test ran.")
    if not written.green:
        reason = written.crashed or f"{len(written.red)} of {len(written.outcomes)} are red"
        if not written.red and written.crashed is None:
            reason = "none of them passed"
        said = f"The new tests do not pass on the untouched code: {reason}."
        return Verdict(status="failed", judge="written", reason=said)
    return Verdict(
        status="unverified", judge="written", reason=f"{len(written.passed)} new tests pass on the untouched code."
    )


def _judge_by_written(before: TestReport | None, after: TestReport | None, *, judge_red: bool) -> Verdict | None:
    """Judge by tests from the plan; None where there are none that ran."""
    if before is None or after is None or (not after.outcomes and after.crashed is None):
        return None
    if after.crashed is not None:
        return Verdict(
            status="failed", judge="written", reason=f"The written tests did not come to their end: {after.crashed}"
        )
    if vain := _newly(after, before, "unfailing"):
        return Verdict(status="failed", judge="written", reason=_vain_reason(vain))
    lost = _broken(before, after)
    if after.red or lost:
        red = len(after.red) or len(lost)
        return Verdict(status="failed", judge="written", reason=f"{red} of the written tests do not pass.", broken=lost)
    gained = turned_green(before, after) or _passing_for_the_first_time(before, after)
    if gained:
        reason = f"{len(gained)} tests written from the plan turned green; no given test shows the change."
        return Verdict(status="unverified", judge="written", reason=reason, turned_green=gained)
    reason = "The written tests do not show the change: they pass on the untouched code as well."
    if not after.passed:
        reason = "The written tests do not show the change: none of them passes."
    if judge_red:
        reason = f"{reason[:-1]}; and red tests are still red."
    return Verdict(status="failed", judge="written", reason=reason, repairable=judge_red or not after.passed)


def _passing_for_the_first_time(before: TestReport, after: TestReport) -> tuple[str, ...]:
    """Where the run on the snapshot did not come to its end, what it had not come to counts as red."""
    return tuple(sorted(after.passed - before.passed)) if before.crashed is not None else ()


def _judge_by_nothing(
    baseline: TestReport | None, after: TestReport | None, judge: JudgeKind, judge_red: bool
) -> Verdict:
    if judge_red:
        reason = f"Tests are red, and none of them turned green.{_because(after)}"
        return Verdict(status="failed", judge=judge, reason=reason)
    if baseline is None or not baseline.outcomes:
        return Verdict(status="unverified", judge="none", reason="There are no tests that could show the change.")
    return Verdict(status="unverified", judge=judge, reason="No test broke, and none shows the change.")


def _stays_red(before: TestReport | None, after: TestReport | None) -> bool:
    """Whether a judge test is not green, where none turned green: one that is skipped now does not count as green."""
    if before is not None and before.red:
        return True
    return after is not None and bool(after.red or after.crashed is not None)


def _because(after: TestReport | None) -> str:
    """Why they are red, where they never ran: that is often for a person to mend, not for the code."""
    if after is None:
        return ""
    why = uncollected_text(after)
    if after.crashed is not None:
        why = f"They did not come to their end: {after.crashed}"
    return f" {why.removesuffix('.')}." if why else ""


def _broken_reason(broken: tuple[str, ...]) -> str:
    if len(broken) == 1:
        return f"{broken[0]} passed before and does not now."
    return f"{len(broken)} tests passed before and do not now, first {broken[0]}."


def _unseen_reason(unseen: tuple[str, ...]) -> str:
    if len(unseen) == 1:
        return f"{unseen[0]} is red, and was not before the change."
    return f"{len(unseen)} tests are red that were not before the change, first {unseen[0]}."


def _unmarked_reason(unmarked: Sequence[str]) -> str:
    more = f" and {len(unmarked) - 1} more" if len(unmarked) > 1 else ""
    return f"{unmarked[0]}{more} failed as expected and passes now; take the mark away that says that it fails."


def _gained_reason(gained: tuple[str, ...]) -> str:
    if len(gained) == 1:
        return f"{gained[0]} was red and passes now."
    return f"{len(gained)} tests were red and pass now; no other broke."
