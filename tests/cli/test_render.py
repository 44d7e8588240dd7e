"""The words for events: pure tables."""

from __future__ import annotations

from typing import get_args

import pytest

from backend.cli import render
from backend.cli.render import lines_of, named, shortened
from infrastructure.events import catalogue as events
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.catalogue.work import TestCounts

KINDS: tuple[type[events.Event], ...] = get_args(get_args(AnyEvent)[0])


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
        (
            events.TestsRan(attempt=1, suite="judge", counts=TestCounts(passed=1, errors=1)),
            ["try 1: tests: 1 passed, 1 error"],
        ),
        (
            events.TestsRan(attempt=1, suite="judge", counts=TestCounts(failed=1, errors=2)),
            ["try 1: tests: 1 failed, 2 errors"],
        ),
        (events.CallFailed(call="c", role="coder", error_class="ServerBusy", error_message="full"), []),
        (events.NodeFailed(node="planner", error_class="ServerBusy", error_message="full"), ["planner failed"]),
        (events.NodeFailed(node="coder", error_class="ServerBusy", error_message="full", candidate=1), []),
        (events.EditsApplied(attempt=1, files=("a.py",), candidate=2), ["[candidate 2] try 1: changed a.py"]),
        (events.PatchApplied(files=("a.py",), branch="fix"), ["applied on the new branch fix: a.py"]),
        (
            events.CandidatesCompared(
                chosen=2, groups=((2, 4), (1,)), kept=("a",), dropped=("b", "c"), sure=0.724, split=True, inputs=9
            ),
            [
                "compared, tried on 9 inputs: candidates 2, 4 | 1: 2 is taken, 72% sure, split",
                "  written tests left out as probably wrong: b, c",
            ],
        ),
        (events.CandidatesCompared(chosen=1, groups=()), ["compared: none is right"]),
        (
            events.ApprovalAsked(approval="behaviour:1", gate="behaviour", question="What should f([]) give?"),
            ["a person is asked: What should f([]) give?"],
        ),
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


def test_many_names_and_long_texts_are_cut() -> None:
    assert named(["a", "b", "c"], few=2) == "a, b and 1 more"
    assert shortened("one\n  two", 50) == "one two"
    assert len(shortened("x" * 500, 100)) == 100
