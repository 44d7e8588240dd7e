"""From events to figures, from samples to reasons, and from both to the report: pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.evaluation import Arm, Failure, Figures, Outline, Sample, Tried, failure_of, report_on
from infrastructure.evaluation.report import ArmReport, EvalReport
from infrastructure.evaluation.tracing import Trace
from infrastructure.events.catalogue import (
    CallCompleted,
    CallFailed,
    CallReplayed,
    CallWaiting,
    CandidateEnded,
    EditsApplied,
    EditsRejected,
    PatchDelivered,
    TestsRan,
)
from infrastructure.events.catalogue.work import TestCounts

START = datetime(2026, 1, 1, tzinfo=UTC)


def completed(call: str, *, role: str = "coder", candidate: int | None = 1, finish: str = "stop") -> CallCompleted:
    return CallCompleted(
        call=call,
        role=role,
        candidate=candidate,
        model="m",
        server="s",
        prompt_sha="",
        answer_sha="",
        finish=finish,
        prompt_tokens=100,
        completion_tokens=10,
        load_seconds=0.5,
        prompt_seconds=0.25,
        decode_seconds=1.0,
    )


# ------------------------------------------------------------------------------------------- events


def test_calls_are_added_up_and_a_recorded_answer_costs_nothing_again():
    trace = Trace.of(
        [
            CallWaiting(call="plan:1#0", role="planner", server="s", loading=True),
            CallWaiting(call="plan:1#0", role="planner", server="s", loading=True),
            completed("plan:1#0", role="planner", candidate=None),
            CallReplayed(call="plan:1#0", role="planner", answer_sha=""),
            completed("write:1:1#0", finish="length"),
            completed("write:1:1#1", finish="repeated"),
            CallFailed(call="write:1:2#0", role="coder", error_class="ContextExceeded", error_message=""),
            CallFailed(call="write:1:2#0", role="coder", error_class="ServerFailed", error_message=""),
        ]
    )

    assert trace.figures == Figures(
        calls=3,
        prompt_tokens=300,
        completion_tokens=30,
        load_seconds=1.5,
        prompt_seconds=0.75,
        decode_seconds=3.0,
        reloads=1,
        truncated=1,
        stopped=1,
        asked_again=1,
        context_errors=1,
    )
    assert trace.figures.gpu_seconds == 5.25


def test_a_step_that_ran_again_counts_once_and_as_it_ended_last():
    trace = Trace.of(
        [
            EditsRejected(candidate=1, attempt=1, reason="x"),
            EditsApplied(candidate=1, attempt=1, files=("a",)),
            EditsApplied(candidate=1, attempt=2, files=("a",)),
            EditsRejected(candidate=2, attempt=1, reason="x"),
            TestsRan(candidate=1, attempt=1, suite="judge", counts=TestCounts(), crashed="it was killed"),
            TestsRan(candidate=1, attempt=2, suite="judge", counts=TestCounts()),
            TestsRan(attempt=0, suite="judge", counts=TestCounts(), crashed="before"),
            completed("write:2:1#0", candidate=2, finish="length"),
            CandidateEnded(candidate=2, round=1, outcome="failed", attempts=1),
            CandidateEnded(candidate=1, round=1, outcome="failed", attempts=1, patch="old"),
            CandidateEnded(candidate=1, round=1, outcome="unverified", attempts=2, patch="new"),
            PatchDelivered(files=("a",), added=1, removed=0, sha="new"),
        ]
    )

    assert (trace.figures.applied, trace.figures.rejected) == (2, 1)
    assert trace.delivered == "new"
    assert trace.tried == (
        Tried(number=1, round=1, outcome="unverified", attempts=2, patch="new"),
        Tried(number=2, round=1, outcome="failed", attempts=1, cut=True),
    )


# ------------------------------------------------------------------------------------------ reasons


def tried(number: int = 1, **more: object) -> Tried:
    told = {"number": number, "round": 1, "outcome": "failed", "attempts": 1, "patch": f"p{number}", "passes": False}
    return Tried.model_validate(told | more)


def sample(problem: str = "A", seed: int = 1, **more: object) -> Sample:
    told: dict[str, object] = {
        "identity": f"{problem}/{seed}/{more.get('arm', 'as set')}",
        "problem": problem,
        "arm": "as set",
        "seed": seed,
        "run": "r",
        "status": "failed",
        "chosen": "p1",
        "attempts": 1,
        "tried": (tried(),),
    }
    return Sample.model_validate(told | more)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"solved": True, "status": "failed"}, None),
        ({}, Failure.WRONG_LOGIC),
        ({"status": "done", "tried": (), "chosen": ""}, Failure.WRONG_LOGIC),
        ({"status": "error", "error_class": "WindowOverrun"}, Failure.CONTEXT),
        ({"status": "error", "error_class": "ServerFailed"}, Failure.ENVIRONMENT),
        ({"status": "cancelled"}, Failure.ENVIRONMENT),
        ({"fit": "not runnable"}, Failure.ENVIRONMENT),
        ({"fit": "reference fails"}, Failure.BAD_TEST),
        ({"fit": "green before"}, Failure.BAD_TEST),
        ({"tried": (tried(), tried(2, passes=True))}, Failure.BAD_TEST),
        ({"tried": (tried(), tried(2, passes=True, outcome="unverified"))}, Failure.SELECTION),
        ({"status": "budget", "tried": (tried(), tried(2, passes=True, outcome="done"))}, Failure.SELECTION),
        ({"status": "budget"}, Failure.BUDGET),
        ({"chosen": "", "tried": (tried(patch="", passes=None, cut=True),)}, Failure.CONTEXT),
        (
            {"chosen": "", "tried": (tried(patch="", passes=None),), "figures": Figures(rejected=1)},
            Failure.FORMAT,
        ),
        ({"figures": Figures(rejected=1)}, Failure.WRONG_LOGIC),
        ({"tried": (tried(crashed="killed"),)}, Failure.TOOL),
        ({"tried": (tried(), tried(2, crashed="killed"))}, Failure.WRONG_LOGIC),
    ],
)
def test_the_first_rule_that_fits_says_why(told: dict[str, object], reason: Failure | None):
    assert failure_of(sample(**told)) is reason


# ------------------------------------------------------------------------------------------- report


def report(
    *samples: Sample, arms: tuple[Arm, ...] = (Arm(),), seeds: tuple[int, ...] = (1,), **more: object
) -> EvalReport:
    problems = tuple(dict.fromkeys(each.problem for each in samples)) or ("A",)
    told = {
        "set": "s",
        "problems": problems,
        "arms": arms,
        "seeds": seeds,
        "self_tests": False,
        "corral": "1",
        "prompts": "",
    }
    return report_on(Outline.model_validate(told | more), samples)


def only_arm(*samples: Sample, **more: object) -> ArmReport:
    (arm,) = report(*samples, **more).arms  # type: ignore[arg-type]
    return arm


RIGHT = {"solved": True, "status": "done", "tried": (tried(passes=True, outcome="done"),)}


def test_solved_share_first_tries_and_repairs():
    arm = only_arm(
        sample("A", **RIGHT),
        sample("B", **{**RIGHT, "attempts": 2}),
        sample("C", **{**RIGHT, "tried": (tried(), tried(2, round=2, passes=True)), "chosen": "p2"}),
        sample("D"),
    )

    assert (arm.solved.value, arm.solved.method, arm.solved_samples) == (0.75, "wilson", 3)
    assert arm.first_try.value == 0.25
    assert arm.solved_after == {"plan 2 try 1": 1, "try 1": 1, "try 2": 1}
    assert arm.failures == {"wrong logic": 1}
    assert [each.k for each in arm.pass_at] == [1]


def test_pass_at_k_is_given_up_to_the_fewest_samples_of_a_problem():
    several = [sample("A", seed, **(RIGHT if seed == 1 else {})) for seed in (1, 2, 3)]
    arm = only_arm(*several, sample("B", 1), sample("B", 2), seeds=(1, 2, 3))

    assert [(each.k, round(each.estimate.value, 4)) for each in arm.pass_at] == [
        (1, round(1 / 6, 4)),
        (2, round(1 / 3, 4)),
    ]
    assert arm.solved.method == "bootstrap over problems"
    assert (arm.samples, arm.missing) == (5, 1)


def test_what_the_environment_failed_is_no_sample_and_leaves_the_report_incomplete():
    found = report(sample("A", **RIGHT), sample("B", status="error", error_class="ServerFailed"))
    (arm,) = found.arms

    assert (arm.solved.value, arm.samples, arm.no_verdict, arm.missing) == (1.0, 1, 1, 0)
    assert arm.failures == {"environment": 1}
    assert not found.complete
    assert report(sample("A", **RIGHT)).complete


def test_regret_is_where_a_candidate_was_right_and_another_was_delivered():
    arm = only_arm(
        sample("A", **RIGHT),
        sample("B", status="unverified", tried=(tried(), tried(2, passes=True), tried(3, patch="", passes=None))),
        sample("C"),
        sample("D"),
    )

    assert (arm.solved.value, arm.selection.oracle.value, arm.selection.regret.value) == (0.25, 0.5, 0.25)
    assert arm.selection.regretted == ("B",)
    assert arm.selection.candidates == 1.25
    assert arm.selection.right_candidates == 0.4


def test_what_runs_said_against_what_is_so():
    arm = only_arm(
        sample("A", **RIGHT),
        sample("B", status="unverified"),
        sample("C", **{**RIGHT, "status": "failed"}),
        sample("D"),
        sample("E"),
    )

    trust = arm.trust
    assert (trust.rightly_accepted, trust.wrongly_accepted) == (1, 1)
    assert (trust.wrongly_refused, trust.rightly_refused) == (1, 2)


def test_costs_are_of_all_samples_and_divided_by_the_solved_ones():
    figures = Figures(
        calls=4, prompt_tokens=100, completion_tokens=20, load_seconds=1, decode_seconds=2, applied=3, rejected=1
    )
    arm = only_arm(
        sample("A", **RIGHT, figures=figures, seconds=5, started=START, ended=START + timedelta(seconds=5)),
        sample(
            "B", figures=figures, seconds=6, started=START + timedelta(seconds=2), ended=START + timedelta(seconds=8)
        ),
        sample(
            "C",
            figures=figures,
            seconds=1,
            started=START + timedelta(hours=1),
            ended=START + timedelta(hours=1, seconds=1),
        ),
    )

    assert arm.costs.tokens_per_solved == 360
    assert (arm.costs.gpu_seconds, arm.costs.gpu_seconds_per_solved) == (9.0, 9.0)
    assert (arm.costs.run_seconds, arm.costs.wall_seconds) == (12.0, 9.0)
    assert (arm.costs.run_seconds_median, arm.costs.run_seconds_p95) == (5.0, 6.0)
    assert (arm.answers.applied, arm.answers.rejected, arm.answers.apply_rate) == (9, 3, 0.75)
    assert only_arm(sample("A")).costs.tokens_per_solved is None
    assert only_arm(sample("A")).answers.apply_rate is None


def test_settings_are_compared_over_the_pairs_that_both_have():
    one, four = Arm(candidates=1), Arm(candidates=4)
    found = report(
        sample("A", arm=one.name),
        sample("A", arm=four.name, **RIGHT),
        sample("B", arm=one.name, **RIGHT),
        sample("B", arm=four.name),
        sample("C", arm=one.name),
        sample("C", arm=four.name, **RIGHT),
        sample("D", arm=one.name, **RIGHT),
        sample("D", arm=four.name, status="error", error_class="ServerFailed"),
        arms=(one, four),
    )
    (compared,) = found.comparisons

    assert (compared.arm, compared.base) == ("candidates 4", "candidates 1")
    assert (compared.pairs, compared.better, compared.worse) == (3, 2, 1)
    assert compared.difference.value == pytest.approx(1 / 3, abs=1e-6)


def test_problems_that_cannot_judge_are_named():
    found = report(sample("A", fit="reference fails"), sample("B", fit="green before", **RIGHT), sample("C"))

    assert found.unfit == {"A": "reference fails", "B": "green before"}
    assert found.arms[0].failures == {"bad test": 1, "wrong logic": 1}


def test_nothing_yet_is_a_report_too():
    found = report()

    assert not found.complete
    assert (found.arms[0].missing, found.arms[0].samples) == (1, 0)
