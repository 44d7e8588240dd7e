"""Identity, rate, pass@k, the report: pure tables."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from backend.cli.batching import duration, standing
from infrastructure.batch import Tally, Wishes, read_jobs
from infrastructure.batch.identity import identity_of, params_of
from infrastructure.batch.records import Told
from infrastructure.batch.report import pass_at_k, report_on
from infrastructure.batch.runs import after_result, verdict_of
from infrastructure.config.settings import LaneSettings, RunSettings, Settings
from infrastructure.tasks import RunResult
from tests.batch.conftest import write_lines


def told(job: str, status: str, sample: int = 0, **more: object) -> Told:
    fields = {"identity": f"{job}{sample}", "run": "r", "attempts": 1, "model_calls": 2, "prompt_tokens": 10}
    verdicts = {"done": "passed", "unverified": "unverified", "failed": "failed", "budget": "failed"}
    fields |= {"completion_tokens": 5, "seconds": 1.5, "job": job, "sample": sample, "status": status}
    fields["verdict"] = verdicts.get(status)
    return Told(**(fields | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", range(1, 7))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_pass(samples: int) -> None:
    for passed in range(samples + 1):
        outcomes = [True] * passed + [False] * (samples - passed)
        for k in range(1, samples + 1):
            draws = list(combinations(outcomes, k))
            assert pass_at_k(samples, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize("k", [0, 4])
def test_pass_at_k_is_never_given_beyond_the_samples(k: int) -> None:
    with pytest.raises(ValueError, match="of 3 samples"):
        pass_at_k(3, 1, k)


def test_report_counts_unverified_as_no_pass_and_errors_as_no_sample() -> None:
    records = [
        *(told("a", status, number) for number, status in enumerate(["done", "failed"])),
        *(told("b", status, number, attempts=3) for number, status in enumerate(["unverified", "done"])),
        told("c", "error", error_class="ServerBusy"),
    ]
    report = report_on(records, batch="b", name="n", out="o", jobs=6, interrupted=False)
    assert {each.k: (each.value, each.jobs) for each in report.pass_at} == {1: (0.5, 2), 2: (1.0, 2)}
    assert report.statuses == {"done": 2, "error": 1, "failed": 1, "unverified": 1}
    assert (report.missing, report.repairs, report.errors) == (1, 4, {"ServerBusy": 1})
    assert (report.passed, report.unverified, report.failed, report.no_verdict) == (2, 1, 1, 1)
    counts = (report.passed, report.unverified, report.failed, report.no_verdict, report.missing)
    assert sum(counts) == report.jobs == 6
    assert report.records == 5
    assert (report.prompt_tokens, report.completion_tokens, report.seconds) == (50, 25, 7.5)


@pytest.mark.parametrize(
    ("statuses", "jobs", "interrupted", "code"),
    [
        (["done", "unverified"], 2, False, 0),
        (["done"], 2, False, 6),
        (["done", "failed"], 2, False, 6),
        (["done", "error"], 2, False, 6),
        (["budget"], 1, False, 6),
        (["done"], 2, True, 130),
        ([], 1, True, 130),
    ],
)
def test_exit_code_follows_the_records(statuses: list[str], jobs: int, interrupted: bool, code: int) -> None:
    records = [told(str(number), status) for number, status in enumerate(statuses)]
    assert report_on(records, batch="b", name="n", out="o", jobs=jobs, interrupted=interrupted).exit_code == code


def test_wilson_interval_is_the_published_one() -> None:
    records = [told(str(number), "done" if number < 81 else "failed") for number in range(82)]
    (at_one,) = report_on(records, batch="b", name="n", out="o", jobs=82, interrupted=False).pass_at
    assert (at_one.low, at_one.high) == (pytest.approx(0.9341, abs=1e-4), pytest.approx(0.9978, abs=1e-4))


# ------------------------------------------------------------------------------------------- identity


def identities(tmp_path: Path, line: dict[str, object], settings: Settings | None = None, **wishes: object) -> str:
    (entry,) = read_jobs(write_lines(tmp_path / "jobs", [{"id": "a", "prompt": "p"} | line]))
    return identity_of(entry, 0, params_of(settings or Settings(model="m"), Wishes(**wishes)))  # type: ignore[arg-type]


LANE = {"m": LaneSettings(model="m:7b", num_ctx=8192)}


@pytest.mark.parametrize(
    ("line", "settings", "wishes"),
    [
        ({"prompt": "other"}, None, {}),
        ({"id": "b"}, None, {}),
        ({"test_command": "pytest"}, None, {}),
        ({"files": {"a.py": ""}}, None, {}),
        ({"tests": {"t.py": ""}}, None, {}),
        ({"tests": ["t.py"]}, None, {}),
        ({"repo": "."}, None, {}),
        ({}, Settings(model="n"), {}),
        ({}, Settings(model="m", lanes=LANE), {}),
        ({}, Settings(model="m", roles={"coder": "n"}), {}),
        ({}, Settings(model="m", run=RunSettings(repairs=1)), {}),
        ({}, None, {"model": "n"}),
        ({}, None, {"candidates": 3}),
    ],
)
def test_whatever_may_change_a_result_changes_the_identity(
    tmp_path: Path, line: dict[str, object], settings: Settings | None, wishes: dict[str, object]
) -> None:
    (tmp_path / "t.py").write_text("")
    assert identities(tmp_path, line, settings, **wishes) != identities(tmp_path, {})


@pytest.mark.parametrize(
    ("line", "settings", "wishes"),
    [
        ({"meta": {"a": 1}}, None, {}),
        ({"samples": 4}, None, {}),
        ({}, Settings(model="n"), {"model": "m"}),
        ({}, None, {"model": "m"}),
        ({}, None, {"at_once": 7}),
        ({}, None, {"candidates": 1}),
        ({}, Settings(model="m", lanes={"m": LaneSettings(model="m", keep_alive=-1)}), {}),
    ],
)
def test_what_cannot_change_a_result_does_not(
    tmp_path: Path, line: dict[str, object], settings: Settings | None, wishes: dict[str, object]
) -> None:
    assert identities(tmp_path, line, settings, **wishes) == identities(tmp_path, {})


def test_changed_test_file_changes_the_identity(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("one")
    before = identities(tmp_path, {"tests": ["t.py"]})
    (tmp_path / "t.py").write_text("two")
    assert identities(tmp_path, {"tests": ["t.py"]}) != before


# ------------------------------------------------------------------------------------------- progress


def test_rate_and_estimate_are_measured_over_this_command() -> None:
    now = [100.0]
    tally = Tally(10, lambda: now[0])
    tally.begin([told("a", "done"), told("b", "failed")])
    assert (tally.rate_per_hour, tally.eta_seconds) == (None, None)
    for seconds in (110.0, 120.0):
        now[0] = seconds
        tally.ended(told("c", "done"))
    assert tally.rate_per_hour == pytest.approx(360)
    assert tally.eta_seconds == pytest.approx(60)
    tally.running = 2
    assert (tally.done, tally.failed) == (3, 1)
    assert standing(tally) == "3 passed · 1 failed · 2 running · 4 of 10 · 360 an hour · about 1 min 0 s left"


def test_unverified_runs_and_those_without_a_verdict_are_told_apart_where_there_are_some() -> None:
    tally = Tally(10, lambda: 0.0)
    tally.begin([told("a", "done"), told("b", "unverified"), told("c", "error"), told("d", "budget")])
    assert (tally.done, tally.failed) == (2, 2)
    assert standing(tally) == "1 passed · 1 unverified · 1 failed · 1 no verdict · 0 running · 4 of 10"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7322, "2 h 2 min"), (90000, "1 d 1 h")]
)
def test_duration_is_said_in_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("status", "judge", "has_tests", "verdict"),
    [
        ("done", "given", True, "passed"),
        ("done", "found", False, "passed"),
        ("done", "none", False, "unverified"),
        ("done", "none", True, "failed"),
        ("unverified", "written", True, "unverified"),
        ("failed", "given", True, "failed"),
        ("budget", "none", False, "failed"),
        ("error", "none", False, None),
        ("cancelled", "given", True, None),
        ("needs_input", "given", True, None),
    ],
)
def test_verdict_needs_a_test_to_pass(status: str, judge: str, has_tests: bool, verdict: str | None) -> None:
    result = RunResult.model_validate({"run": "r", "status": status, "judge": judge, "exit_code": 0})
    assert verdict_of(result, has_tests=has_tests) == verdict


@pytest.mark.parametrize(
    ("status", "error", "tries", "then"),
    [
        ("done", None, 1, "record"),
        ("failed", None, 1, "record"),
        ("cancelled", None, 1, "record"),
        ("error", "UnusableAnswer", 1, "record"),
        ("error", "ServerUnreachable", 1, "again"),
        ("error", "ServerUnreachable", 3, "record"),
        ("error", "ModelNowhere", 1, "stop"),
        ("error", "DiskFull", 1, "stop"),
    ],
)
def test_result_leads_to_a_record_another_try_or_the_end(status: str, error: str | None, tries: int, then: str) -> None:
    told_error = {"class": error, "message": "", "hint": ""} if error else None
    result = RunResult.model_validate(
        {"run": "r", "status": status, "judge": "none", "exit_code": 0, "error": told_error}
    )
    assert after_result(result, tries) == then
