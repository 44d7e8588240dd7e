"""What two runs on the same files agree on, and how a later one is seen by that."""

import pytest

from infrastructure.judge import TestOutcome, TestReport, judge
from infrastructure.judge.steadiness import Steady, steady

WORDS = {"+": TestOutcome.PASSED, "-": TestOutcome.FAILED, "!": TestOutcome.ERROR, "s": TestOutcome.SKIPPED}


def report(text: str, crashed: str | None = None) -> TestReport:
    """`a+ b-` are outcomes."""
    return TestReport(outcomes={word[:-1]: WORDS[word[-1]] for word in text.split()}, crashed=crashed)


# first and second run on the snapshot, a run with the patch -> status, turned green, broken
CASES = [
    ("a- b+", "a- b+", "a+ b+", "done", ("a",), ()),
    ("a- b+", "a+ b+", "a+ b+", "unverified", (), ()),  # it turns green by itself
    ("a- f-", "a- f+", "a+ f+", "done", ("a",), ()),
    ("a- f+", "a- f-", "a+ f-", "done", ("a",), ()),  # it turns red by itself
    ("a- f+", "a- f+", "a+ f-", "failed", (), ("f",)),
    ("a- f-", "a- f+", "a- f+", "failed", (), ()),
    ("f-", "f+", "f+", "unverified", (), ()),  # nothing is left to judge by
    ("a- p[1]+ p[2]+", "a- p[3]+ p[4]+", "a+ p[5]+ p[6]+", "done", ("a",), ()),  # names with an address in them
    ("a- p[1]+ p[2]+", "a- p[3]+ p[4]+", "a+ p[5]+ p[6]-", "failed", (), ("p[…]",)),
    ("a- p[1]+ p[2]+", "a- p[3]+ p[4]+", "a+", "failed", (), ("p[…]",)),
    ("p[1]- p[2]+", "p[3]- p[4]+", "p[5]+ p[6]+", "done", ("p[…]",), ()),
    ("a- p[1]-", "a- p[2]-", "a+ p[3]-", "done", ("a",), ()),  # an old red one under a new name is not new
    ("a- p[1]+", "a- p[1]+", "a+ p[2]+", "failed", (), ("p[1]",)),  # steady names are each on their own
    ("a- x+", "a- y+", "a+ z+", "done", ("a",), ()),
    ("a- x+", "a- y+", "a+ z-", "failed", ("a",), ()),
]


@pytest.mark.parametrize(("first", "second", "after", "status", "gained", "lost"), CASES)
def test_what_differs_between_two_runs_on_the_snapshot_decides_nothing(
    first, second, after, status, gained, lost
) -> None:
    known = steady(report(first), report(second))
    verdict = judge(known.baseline, known.seen(report(after)), patch_empty=False, judge="found")
    assert (verdict.status, verdict.turned_green, verdict.broken) == (status, gained, lost)


def test_run_that_came_to_its_end_counts_before_one_that_did_not() -> None:
    whole = report("a- b+")
    for one, other in ((report("a-", "stopped"), whole), (whole, report("a-", "stopped"))):
        assert steady(one, other) == Steady(whole)


def test_what_was_seen_once_is_taken_as_it_is() -> None:
    seen = report("a- p[1]+")
    assert Steady(report("a+")).seen(seen) == seen
    assert not Steady(None).tells_nothing
    assert not Steady(report("")).tells_nothing, "there were none"
    assert steady(report("a+"), report("a-")).tells_nothing
