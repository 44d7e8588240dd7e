"""The words for events and results: pure tables."""

from __future__ import annotations

from typing import get_args

import pytest

from backend.cli import render
from backend.cli.render import lines_of, named, next_steps, shortened, verdict
from infrastructure.events import catalogue as events
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.catalogue.work import TestCounts
from infrastructure.tasks import ErrorInfo, RunResult, TestTotals

KINDS: tuple[type[events.Event], ...] = get_args(get_args(AnyEvent)[0])
RESULT = RunResult(
    run="01abc", status="done", judge="given", exit_code=0, reason="2 tests turned green", patch="diff",
    files=("a.py",), tests=TestTotals(passed=5), attempts=2, candidates=1, model_calls=7, prompt_tokens=8306,
    completion_tokens=405, seconds=2.04,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_of_the_catalogue_has_its_words_or_is_left_out_on_purpose(kind: type[events.Event]) -> None:
    assert kind in render._lines.registry


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (events.NodeStarted(node="planner"), []),
        (events.TextStreamed(call="c", role="coder", text="x"), []),
        (events.AnswerGiven(text="42"), []),
        (events.CallQueued(call="c", role="coder", model="m", ahead=0), []),
        (events.CallQueued(call="c", role="coder", model="m", ahead=3), ["coder: queued behind 3"]),
        (events.CallWaiting(call="c", role="coder", server="gpu", loading=False), []),
        (events.CallWaiting(call="c", role="coder", server="gpu", loading=True), ["coder: gpu loads the model"]),
        (
            events.SnapshotTaken(files=3, repository=False, dirty=False),
            ["snapshot: 3 files of a folder that is no git repository, copied"],
        ),
        (
            events.SnapshotTaken(files=3, repository=True, dirty=True),
            ["snapshot: 3 files, with uncommitted changes"],
        ),
        (
            events.PlanDrafted(summary="Do it", steps=("first", "then"), files=()),
            ["plan: Do it", "  1. first", "  2. then"],
        ),
        (
            events.TestsRan(attempt=0, suite="judge", counts=TestCounts(passed=1, failed=2), failing=("a", "b")),
            ["before: tests: 1 passed, 2 failed", "  red: a, b"],
        ),
        (
            events.TestsRan(attempt=2, suite="written", counts=TestCounts(passed=1, skipped=1)),
            ["try 2: written tests: 1 passed, 1 skipped"],
        ),
        (
            events.TestsRan(attempt=1, suite="judge", counts=TestCounts(), crashed="it ended with 137"),
            ["try 1: tests: it ended with 137"],
        ),
        (events.EditsApplied(attempt=1, files=("a.py",), candidate=2), ["[candidate 2] try 1: changed a.py"]),
        (events.PatchApplied(files=("a.py",), branch="fix"), ["applied on the new branch fix: a.py"]),
        (events.ApprovalGiven(approval="plan:1", approved=False, reason="no"), ["answered no: no"]),
        (
            events.BudgetSpent(budget="calls", limit=60),
            ["the budget of 60 calls is spent; ending with the best so far"],
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, events.Event) else "",
)
def test_event_is_said_in_these_lines(event: events.Event, lines: list[str]) -> None:
    assert [line.text for line in lines_of(event)] == lines


def test_call_that_was_cut_at_its_length_limit_is_a_warning() -> None:
    call = events.CallCompleted(
        call="c", role="coder", model="m", server="gpu", prompt_sha="", answer_sha="", finish="length",
        prompt_tokens=1200, completion_tokens=4096, load_seconds=1, prompt_seconds=0.5, decode_seconds=2,
    )  # fmt: skip
    (line,) = lines_of(call)
    assert line.text == "coder: 1,200 + 4,096 tokens in 3.5 s by m on gpu, cut at its length limit"
    assert line.style == render.WARN


def test_red_tests_are_red_and_green_ones_green() -> None:
    green = events.TestsRan(attempt=1, suite="judge", counts=TestCounts(passed=1))
    red = events.TestsRan(attempt=1, suite="judge", counts=TestCounts(passed=1, errors=1))
    assert lines_of(green)[0].style == render.GOOD
    assert lines_of(red)[0].style == render.BAD


def test_verdict_says_status_cost_and_judge() -> None:
    said = [line.text for line in verdict(RESULT)]
    assert said[0] == "done: 2 tests turned green"
    assert said[1] == ("tests (given): 5 passed · files: a.py · 2 tries · 7 model calls · 8,306 + 405 tokens · 2.0 s")


def test_unverified_result_carries_a_warning() -> None:
    lines = verdict(RESULT.model_copy(update={"status": "unverified"}))
    assert any(line.text.startswith("warning: no given test shows") for line in lines)


def test_simulated_result_says_so() -> None:
    lines = verdict(RESULT.model_copy(update={"simulated": True}))
    assert lines[-1].text.startswith("simulated:")


def test_error_of_a_result_is_shown_with_what_to_do() -> None:
    error = ErrorInfo.model_validate({"class": "ModelNowhere", "message": "no model", "hint": "ollama pull m"})
    said = [line.text for line in verdict(RESULT.model_copy(update={"status": "error", "error": error}))]
    assert "error: no model" in said
    assert "  → ollama pull m" in said


def test_interrupted_run_is_not_called_cancelled() -> None:
    cancelled = RESULT.model_copy(update={"status": "cancelled", "reason": "stopped by its user"})
    assert verdict(cancelled, interrupted=True)[0].text == "interrupted: stopped by its user"
    assert verdict(cancelled)[0].text == "cancelled: stopped by its user"


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "corral apply 01abc"),
        ({"status": "needs_input", "exit_code": 5}, "corral resume 01abc"),
        ({"status": "failed", "patch": ""}, "corral show 01abc"),
    ],
)
def test_next_step_fits_the_status(changes: dict[str, object], command: str) -> None:
    (line,) = next_steps(RESULT.model_copy(update=changes))
    assert command in line.text


def test_nothing_is_left_to_do_once_applied_or_without_a_run() -> None:
    assert next_steps(RESULT, applied=True) == ()
    assert next_steps(RESULT.model_copy(update={"run": ""})) == ()


def test_many_names_and_long_texts_are_cut() -> None:
    assert named(["a", "b", "c"], few=2) == "a, b and 1 more"
    assert shortened("one\n  two", 50) == "one two"
    assert len(shortened("x" * 500, 100)) == 100
