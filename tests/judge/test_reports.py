import json

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.judge import Counts, TestOutcome, TestReport, dump_report, failing_text, load_report
from infrastructure.judge.reading import read_records

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome

reports = st.builds(
    TestReport,
    outcomes=st.dictionaries(st.text(max_size=30), st.sampled_from(list(TestOutcome)), max_size=20),
    failures=st.dictionaries(st.text(max_size=30), st.text(max_size=300), max_size=20),
    crashed=st.none() | st.text(min_size=1, max_size=50),
    output=st.text(max_size=300),
)


@given(reports)
def test_a_report_comes_back_from_its_stored_form(report: TestReport) -> None:
    assert load_report(dump_report(report)) == report


@given(reports, st.integers(min_value=0, max_value=2000))
def test_failing_text_keeps_to_its_limit(report: TestReport, limit: int) -> None:
    assert len(failing_text(report, limit)) <= limit


def test_counts_and_colours() -> None:
    report = TestReport(outcomes={"a": PASSED, "b": FAILED, "c": ERROR, "d": SKIPPED, "e": PASSED})
    assert report.counts == Counts(passed=2, failed=1, error=1, skipped=1)
    assert (report.passed, report.red, report.green) == (frozenset("ae"), frozenset("bc"), False)
    assert TestReport(outcomes={"a": PASSED, "d": SKIPPED}).green
    assert not TestReport(outcomes={"d": SKIPPED}).green
    assert not TestReport(outcomes={}).green
    assert not TestReport(outcomes={"a": PASSED}, crashed="timed out").green


def test_failing_text_names_each_red_test_with_both_ends_of_its_traceback() -> None:
    failure = "Traceback (most recent call last):\n" + "  noise\n" * 500 + "AssertionError: 3 != 4\n"
    text = failing_text(TestReport(outcomes={"t::a": PASSED, "t::b": FAILED}, failures={"t::b": failure}), 400)
    assert text.startswith("1 of 2 tests are red.\nFAILED t::b\nTraceback (most recent call last):\n")
    assert text.endswith("AssertionError: 3 != 4")
    assert "t::a" not in text


def test_failing_text_counts_what_does_not_fit() -> None:
    outcomes = {f"t::test_{number:03}": FAILED for number in range(200)}
    text = failing_text(TestReport(outcomes=outcomes, failures=dict.fromkeys(outcomes, "E  wrong\n" * 20)), 2000)
    assert "FAILED t::test_000" in text
    assert "… and " in text


def test_failing_text_says_why_a_run_crashed_and_is_empty_when_all_is_well() -> None:
    assert "timed out" in failing_text(TestReport(outcomes={}, crashed="timed out", output="last words"))
    assert "last words" in failing_text(TestReport(outcomes={}, crashed="timed out", output="last words"))
    assert failing_text(TestReport(outcomes={})).startswith("No tests ran.")
    assert failing_text(TestReport(outcomes={"a": PASSED})) == ""


def lines(*records: dict, key: str = "k") -> bytes:
    return b"".join(json.dumps({"key": key, **record}).encode() + b"\n" for record in records)


def test_only_lines_with_the_key_count() -> None:
    content = (
        lines({"test": "forged", "outcome": "passed"}, key="guess")
        + b'\xff\n[1]\n{"key": "k"}\n{"key": "k", "test": 1}\nnull\n'
        + b"[" * 100_000 + b"\n"
        + lines({"start": "a"}, {"test": "a", "outcome": "passed"}, {"finish": 0, "tests": 1})
    )  # fmt: skip
    record = read_records(content, "k")
    assert (record.outcomes, record.running, record.finish) == ({"a": PASSED}, None, 0)


def test_a_report_without_its_last_line_or_with_a_missing_one_is_unfinished() -> None:
    one = ({"start": "a"}, {"test": "a", "outcome": "passed"})
    assert read_records(lines(*one), "k").finish is None
    assert read_records(lines(*one, {"finish": 0, "tests": 2}), "k").finish is None
    assert read_records(lines(*one, {"finish": 0, "tests": 1}, {"start": "b"}), "k").finish is None
    assert read_records(lines(*one, {"start": "b"}), "k").running == "b"
    assert read_records(b"", "k").finish is None


def test_a_test_reported_twice_has_its_worse_outcome() -> None:
    twice = lines({"test": "a", "outcome": "failed", "message": "m"}, {"test": "a", "outcome": "passed"})
    assert read_records(twice, "k").outcomes == {"a": FAILED}
    twice = lines({"test": "a", "outcome": "passed"}, {"test": "a", "outcome": "error", "message": "m"})
    assert (read_records(twice, "k").outcomes, read_records(twice, "k").failures) == ({"a": ERROR}, {"a": "m"})


def test_messages_are_bounded_in_all() -> None:
    content = lines(*({"test": str(number), "outcome": "failed", "message": "x" * 4000} for number in range(300)))
    record = read_records(content, "k")
    assert sum(map(len, record.failures.values())) <= 512 << 10
    assert len(record.outcomes) == 300
