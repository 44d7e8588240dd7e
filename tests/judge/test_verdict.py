from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.judge import TestOutcome, TestReport, Verdict, judge, turned_green
from infrastructure.judge.verdict import doubted

WORDS = {
    "+": TestOutcome.PASSED,
    "-": TestOutcome.FAILED,
    "!": TestOutcome.ERROR,
    "s": TestOutcome.SKIPPED,
    "x": TestOutcome.XFAILED,
    "X": TestOutcome.XPASSED,
}


def report(text: str | None) -> TestReport | None:
    """`a+ b- c! ds ex fX` are outcomes; a last word in brackets is why the run crashed; None is no report."""
    if text is None:
        return None
    text, _, crashed = text.partition("(")
    outcomes = {word[:-1]: WORDS[word[-1]] for word in text.split()}
    return TestReport(outcomes=outcomes, crashed=crashed.rstrip(")") or None)


# judge, before, after -> status, decided by, turned green, broken
BY_GIVEN_TESTS = [
    ("given", "a-", "a+", "done", "given", ("a",), ()),
    ("found", "a- b+", "a+ b+", "done", "found", ("a",), ()),
    ("found", "a! b+", "a+ b+", "done", "found", ("a",), ()),
    ("found", "a- b-", "a+ b-", "done", "found", ("a",), ()),  # an old red one may stay red
    ("found", "a- bs", "a+ bs", "done", "found", ("a",), ()),
    ("found", "a- b+", "a+ b+ c-", "failed", "found", ("a",), ()),  # red, and never seen before: the patch's own
    ("found", "a- b+", "a+ b+ c!", "failed", "found", ("a",), ()),
    ("found", "a- b+", "a+ b+ c+", "done", "found", ("a",), ()),
    ("found", "a- bs", "a+ b-", "failed", "found", ("a",), ()),  # it could not run, and now it does
    ("found", "a- t.py!", "a+ t.py::x+ t.py::y-", "failed", "found", ("a",), ()),
    ("found", "a- t.py::x-", "a+ t.py!", "failed", "found", ("a",), ()),
    ("given", "a- (stopped)", "a+ b-", "failed", "given", ("a",), ()),  # the run did not come to b
    ("given", "t.py!", "t.py::a+ t.py::b+", "done", "given", ("t.py",), ()),  # the file can be imported now
    ("given", "t.py::C!", "t.py::C::a+", "done", "given", ("t.py::C",), ()),
    ("given", "a- b! (timed out)", "a+ b+", "done", "given", ("a", "b"), ()),  # the task was to mend a hang
    ("given", "a- b+", "a+ b-", "failed", "given", (), ("b",)),
    ("given", "a- b+", "a+ b!", "failed", "given", (), ("b",)),
    ("given", "a- b+", "a+", "failed", "given", (), ("b",)),  # gone
    ("given", "a- b+", "a+ bs", "failed", "given", (), ("b",)),  # skipped now
    ("given", "t.py::a+", "t.py!", "failed", "given", (), ("t.py::a",)),
    ("found", "a+ b-", "", "failed", "found", (), ("a",)),
    ("found", "a+", None, "failed", "found", (), ("a",)),
    ("given", "a-", "a+ (timed out)", "failed", "given", (), ()),
    ("given", "a- b+", "a+ b+ (killed)", "failed", "given", (), ()),
    ("given", "a-", "a-", "failed", "given", (), ()),  # the user's own tests are the task
    ("given", "a!", "a-", "failed", "given", (), ()),
    ("given", "t.py!", "t.py::a+ t.py::b-", "failed", "given", (), ()),  # half of the file is red
    ("given", "t.py!", "t.py::as", "failed", "given", (), ()),  # nothing of it passed
    ("given", "", "", "failed", "given", (), ()),  # no tests ran
    ("given", "(broken)", "(broken)", "failed", "given", (), ()),
    ("given", "a+", "a+", "unverified", "given", (), ()),
    ("found", "a+", "a+", "unverified", "found", (), ()),
    ("found", "a-", "a-", "failed", "found", (), ()),  # nothing turned green
    ("found", "a- b+", "a- b+", "failed", "found", (), ()),
    ("found", "a-", "as", "failed", "found", (), ()),  # skipping a red test does not make it green
    ("found", "a+", "a+ n-", "failed", "found", (), ()),  # a red test of the patch's own
    ("found", "a+", "a+ n+", "unverified", "found", (), ()),  # a new green test proves nothing
    ("found", "t.py!", "t2.py::a+", "failed", "found", (), ()),  # another file's test
    ("found", "t!", "t_other::a+", "failed", "found", (), ()),  # a longer name is another test
    ("found", "", "", "unverified", "none", (), ()),
    ("found", "a- (broken)", "a+ (broken)", "failed", "found", (), ()),
    ("none", None, None, "unverified", "none", (), ()),
    ("found", "ax b+", "aX b+", "unverified", "found", ("a",), ()),  # a known bug is mended: its mark has to go
    ("found", "ax b-", "aX b+", "unverified", "found", ("a", "b"), ()),
    ("found", "ax b+", "a+ b+", "done", "found", ("a",), ()),  # the mark lets it pass
    ("given", "ax b-", "ax b+", "done", "given", ("b",), ()),
    ("found", "ax b+", "as b+", "unverified", "found", (), ()),
    ("found", "ax b-", "a- b+", "failed", "found", ("b",), ()),  # it fails otherwise than its mark says
    ("found", "aX b+", "ax b+", "failed", "found", (), ("a",)),  # it worked, whatever its mark said
    ("found", "a+ b+", "ax b+", "failed", "found", (), ("a",)),  # nobody may mark what passed
    ("found", "a- b+", "ax b+", "failed", "found", (), ()),
    ("found", "a- b+", "aX b+", "failed", "found", (), ()),
    ("found", "ax", "aX (killed)", "failed", "found", (), ()),
]


@pytest.mark.parametrize(("who", "before", "after", "status", "decided", "gained", "lost"), BY_GIVEN_TESTS)
def test_verdict_by_the_judges_tests(who, before, after, status, decided, gained, lost) -> None:
    verdict = judge(report(before), report(after), patch_empty=False, judge=who)
    assert (verdict.status, verdict.judge, verdict.turned_green, verdict.broken) == (status, decided, gained, lost)
    assert verdict.reason.endswith(".") or ":" in verdict.reason


@pytest.mark.parametrize(("who", "before", "after", "status", "decided", "gained", "lost"), BY_GIVEN_TESTS)
@pytest.mark.parametrize("kind", ["code", "tests"])
def test_an_empty_patch_is_failed_whatever_the_tests_say(
    who, before, after, status, decided, gained, lost, kind
) -> None:
    verdict = judge(
        report(before), report(after), patch_empty=True, judge=who, task_kind=kind,
        written_baseline=report("w-"), written_after=report("w+"),
    )  # fmt: skip
    assert verdict.status == "failed"


# given before and after, written before and after -> status, decided by
BY_WRITTEN_TESTS = [
    ("found", "a+", "a+", "w-", "w+", "unverified", "written"),
    ("found", "a+", "a+", "w! x+", "w+ x+", "unverified", "written"),
    ("found", "a-", "a-", "w-", "w+", "unverified", "written"),  # an unrelated old red one
    ("given", "a- b+", "a- b+", "w-", "w+", "unverified", "written"),
    ("given", "a-", "a-", "w-", "w+", "failed", "given"),  # none of the user's own tests passes
    ("given", "a+", "as", "w-", "w+", "failed", "given"),
    ("none", None, None, "w.py!", "w.py::a+", "unverified", "written"),
    ("none", None, None, "w- (timed out)", "w+", "unverified", "written"),
    ("given", "a-", "a+", "w-", "w-", "done", "given"),  # the judge's tests rule
    ("given", "a-", "a+", "w+", "w-", "done", "given"),
    ("found", "a+", "a-", "w-", "w+", "failed", "found"),
    ("found", "a+", "a+", "w-", "w-", "failed", "written"),
    ("found", "a+", "a+", "w- x-", "w+ x-", "failed", "written"),
    ("found", "a+", "a+", "w+", "w-", "failed", "written"),
    ("found", "a+", "a+", "w+ x-", "x+", "failed", "written"),
    ("found", "a+", "a+", "w-", "w+ (timed out)", "failed", "written"),
    ("found", "a+", "a+", "w+", "w+", "failed", "written"),  # never red: it shows nothing
    ("found", "a-", "a-", "w+", "w+", "failed", "written"),
    ("found", "a+", "a+", "w-", "ws", "failed", "written"),
    ("none", None, None, "(timed out)", "w+", "unverified", "written"),
    ("none", None, None, "w+ (timed out)", "w+ x+", "unverified", "written"),
    ("none", None, None, "w+ (timed out)", "w+", "failed", "written"),
    ("found", "a+", "a+", "w-", "", "unverified", "found"),
    ("found", "a+", "a+", None, "w+", "unverified", "found"),
    ("found", "a+", "a+", "w-", None, "unverified", "found"),
    ("none", None, None, "w+", "w+", "failed", "written"),
    ("none", None, None, "w-", "", "unverified", "none"),  # none ran
    ("found", "a-", "a-", "w-", "", "failed", "found"),
    ("found", "a-", "a-", None, None, "failed", "found"),
    ("given", "a-", "a-", "w+", "w+", "failed", "given"),
]


@pytest.mark.parametrize(("who", "before", "after", "wrote", "now", "status", "decided"), BY_WRITTEN_TESTS)
def test_verdict_by_tests_written_from_the_plan(who, before, after, wrote, now, status, decided) -> None:
    verdict = judge(
        report(before), report(after), patch_empty=False, judge=who,
        written_baseline=report(wrote), written_after=report(now),
    )  # fmt: skip
    assert (verdict.status, verdict.judge) == (status, decided)


@pytest.mark.parametrize(
    ("before", "after", "wrote", "now", "said"),
    [
        ("a+", "a+", "w+", "w+", "do not show the change: they pass on the untouched code as well."),
        ("a-", "a-", "w+", "w+", "do not show the change: they pass on the untouched code as well; and red tests are"),
        ("a+", "a+", "w-", "ws", "do not show the change: none of them passes."),
        ("a-", "a-", None, None, "Tests are red, and none of them turned green."),
        ("a+", "a+", None, None, "No test broke, and none shows the change."),
        (None, None, None, None, "There are no tests that could show the change."),
    ],
)
def test_reason_says_what_is_not_shown(before, after, wrote, now, said) -> None:
    verdict = judge(
        report(before), report(after), patch_empty=False, judge="found",
        written_baseline=report(wrote), written_after=report(now),
    )  # fmt: skip
    assert said in verdict.reason


def test_given_tests_are_not_red_for_a_mark_that_has_to_go() -> None:
    def status(before: str, after: str) -> str:
        return judge(report(before), report(after), patch_empty=False, judge="given", named=True).status

    assert status("ax b-", "aX b+") == "unverified"
    assert status("ax b- c-", "aX b+ c-") == "failed"


def test_only_tests_that_show_nothing_cannot_be_repaired_by_other_code() -> None:
    def repairable(before, after, wrote, now, *, empty=False) -> bool:
        return judge(
            report(before), report(after), patch_empty=empty, judge="found",
            written_baseline=report(wrote), written_after=report(now),
        ).repairable  # fmt: skip

    assert not repairable("a+", "a+", "w+", "w+")
    assert not repairable(None, None, "w+", "w+")
    assert repairable("a-", "a-", "w+", "w+")
    assert repairable("a+", "a+", "w-", "w-")
    assert repairable("a+", "a-", "w+", "w+")
    assert repairable("a+", "a+", "w+", "w+", empty=True)


NEW_TESTS = [
    ("a+", "a+", "n+ m+", "unverified", "written"),
    ("a+", "a+", "n+ ms", "unverified", "written"),
    (None, None, "n+", "unverified", "written"),
    ("a-", "a-", "n+", "unverified", "written"),
    ("a+", "a+", "n-", "failed", "written"),
    ("a+", "a+", "n+ m!", "failed", "written"),
    ("a+", "a+", "ns", "failed", "written"),
    ("a+", "a+", "", "failed", "written"),
    ("a+", "a+", None, "failed", "written"),
    ("a+", "a+", "n+ (timed out)", "failed", "written"),
    ("a+", "a-", "n+", "failed", "found"),
    ("a+", "", "n+", "failed", "found"),
    ("a-", "a+", "n+", "done", "found"),
]


@pytest.mark.parametrize(("before", "after", "new", "status", "decided"), NEW_TESTS)
def test_a_task_for_tests_wants_new_tests_that_pass_on_the_untouched_code(before, after, new, status, decided) -> None:
    verdict = judge(
        report(before), report(after), patch_empty=False, judge="found", written_baseline=report(new), task_kind="tests"
    )
    assert (verdict.status, verdict.judge) == (status, decided)


names = st.sampled_from(["t.py", "t.py::a", "t.py::b", "t.py::C", "t.py::C::a", "u.py::a"])
reports = st.none() | st.builds(
    lambda outcomes, crashed: TestReport(outcomes=outcomes, crashed=crashed),
    st.dictionaries(names, st.sampled_from(list(TestOutcome))),
    st.none() | st.just("killed"),
)
judges = st.sampled_from(["given", "found", "none"])
kinds = st.sampled_from(["code", "tests"])


@given(reports, reports, reports, reports, judges, kinds, st.booleans())
def test_done_means_that_something_red_passes_and_nothing_broke(before, after, wrote, now, who, kind, empty) -> None:
    verdict = judge(
        before, after, patch_empty=empty, judge=who, written_baseline=wrote, written_after=now, task_kind=kind
    )
    if verdict.status == "done":
        assert not empty
        assert verdict.judge == who
        assert set(verdict.turned_green) <= before.red
        assert verdict.turned_green
        assert before.passed <= after.passed
        assert after.crashed is None
        assert after.passed
    if empty:
        assert verdict.status == "failed"
    if before is not None and after is not None and before.passed - after.passed:
        assert verdict.status == "failed"
    if wrote is None and before is not None and before == after:
        assert verdict.status != "done"


@given(reports, reports)
def test_written_tests_never_make_a_patch_done(wrote, now) -> None:
    verdict = judge(None, None, patch_empty=False, judge="none", written_baseline=wrote, written_after=now)
    assert verdict.status in {"unverified", "failed"}


@given(reports)
def test_nothing_turns_green_where_nothing_changed(one) -> None:
    same = {name: one.outcomes[name] for name in one.outcomes} if one is not None else {}
    again = None if one is None else TestReport(outcomes=same)
    assert all("::" in name or name == "t.py" for name in turned_green(one, again))
    if one is not None:
        assert not set(turned_green(one, again)) & (one.red & again.red)


@pytest.mark.parametrize(
    ("before", "after", "status", "gained"),
    [
        ("a- b-", "a+ b+", "done", ("a", "b")),
        ("a- b-", "a+ b-", "failed", ("a",)),
        ("a- b!", "a+ b!", "failed", ("a",)),
        ("a- b+", "a+ b+", "done", ("a",)),
        ("a- bs", "a+ bs", "done", ("a",)),
    ],
)
def test_all_tests_of_files_that_the_user_named_must_pass(
    before: str, after: str, status: str, gained: tuple[str, ...]
) -> None:
    verdict = judge(report(before), report(after), patch_empty=False, judge="given", named=True)
    assert (verdict.status, verdict.turned_green) == (status, gained)
    assert verdict.repairable


# ---------------------------------------------------------------------------------- doubts and explanations


@pytest.mark.parametrize("status", ["unverified", "failed"])
def test_only_what_is_done_can_be_doubted(status) -> None:
    verdict = Verdict(status=status, judge="given", reason="So it is.")
    assert doubted(verdict, "it is not") == verdict


def test_doubted_proof_is_none_and_says_why() -> None:
    verdict = judge(report("a-"), report("a+"), patch_empty=False, judge="given")
    assert doubted(verdict, "") == verdict
    doubt = doubted(verdict, "app.py newly names unittest")
    assert (doubt.status, doubt.judge, doubt.turned_green) == ("unverified", "given", ("a",))
    assert doubt.reason == "a was red and passes now. But app.py newly names unittest."


@pytest.mark.parametrize("who", ["given", "found"])
def test_reason_says_why_tests_could_not_be_collected(who) -> None:
    red = report("t.py!")
    assert red is not None
    red = replace(red, failures={"t.py": "E   ModuleNotFoundError: No module named 'numpy'"})
    verdict = judge(red, red, patch_empty=False, judge=who)
    assert verdict.status == "failed"
    assert verdict.reason.endswith(" t.py could not be collected: ModuleNotFoundError: No module named 'numpy'.")


@pytest.mark.parametrize("who", ["given", "found"])
def test_reason_says_why_tests_never_came_to_their_end(who) -> None:
    verdict = judge(report("(no pandas)"), report("(no pandas)"), patch_empty=False, judge=who)
    assert verdict.status == "failed"
    assert verdict.reason.endswith(" They did not come to their end: no pandas.")
