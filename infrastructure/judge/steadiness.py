"""What two runs on the same untouched files agree on. Pure.

Owns which tests can tell of a change: one that ends otherwise the second time, or is not there, tells of itself. A
test with parameters in its name (`test_p[<P object at 0x7f…>]`) may bear another one each time: those whose names
are not there twice are put together as one, `test_p[…]`, which ends as the worst of them.
"""

from dataclasses import dataclass, replace

from infrastructure.judge.reports import TestOutcome, TestReport

_SEVERITY = (
    TestOutcome.PASSED, TestOutcome.SKIPPED, TestOutcome.XFAILED, TestOutcome.XPASSED, TestOutcome.FAILED,
    TestOutcome.ERROR,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Steady:
    """Two runs on the snapshot, as one; or a single one, taken as it is.

    Attributes:
        baseline: What they agree on; None where there are no tests.
        unsteady: The tests on which they do not, sorted.
        families: What stands before the parameters of tests whose names change.
    """

    baseline: TestReport | None
    unsteady: tuple[str, ...] = ()
    families: frozenset[str] = frozenset()

    @property
    def tells_nothing(self) -> bool:
        """Whether no test is left that could tell of a change, though there are some."""
        return bool(self.unsteady) and self.baseline is not None and not self.baseline.outcomes

    def seen(self, after: TestReport | None) -> TestReport | None:
        """A later run, as far as it can be compared with the baseline."""
        return None if after is None else _without(_together(after, self.families), frozenset(self.unsteady))


def steady(first: TestReport, second: TestReport) -> Steady:
    """Compare two runs of the same tests on the same files; where one did not come to its end, the other one counts."""
    if (first.crashed is None) != (second.crashed is None):
        return Steady(second if first.crashed is not None else first)
    once = first.outcomes.keys() ^ second.outcomes.keys()
    families = frozenset(test.partition("[")[0] for test in once if "[" in test)
    one, other = _together(first, families), _together(second, families)
    tests = one.outcomes.keys() | other.outcomes.keys()
    unsteady = frozenset(test for test in tests if one.outcomes.get(test) != other.outcomes.get(test))
    return Steady(_without(one, unsteady), tuple(sorted(unsteady)), families)


def _together(report: TestReport, families: frozenset[str]) -> TestReport:
    if not families:
        return report
    outcomes: dict[str, TestOutcome] = {}
    for test, outcome in report.outcomes.items():
        family = test.partition("[")[0]
        name = f"{family}[…]" if "[" in test and family in families else test
        outcomes[name] = max(outcomes.get(name, outcome), outcome, key=_SEVERITY.index)
    return replace(report, outcomes=outcomes)


def _without(report: TestReport, tests: frozenset[str]) -> TestReport:
    if not tests:
        return report
    return replace(report, outcomes={test: each for test, each in report.outcomes.items() if test not in tests})
