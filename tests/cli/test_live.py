"""What is on the screen while a run goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from backend.cli.live import LiveView
from infrastructure.events import catalogue as events

CALL = {"call": "coder:1#0", "role": "coder"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def drawn(view: LiveView, width: int = 100) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width, color_system=None).print(view)
    return screen.getvalue()


def test_steps_under_way_are_shown_with_their_seconds(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.NodeStarted(node="planner"))
    clock.now += 7
    assert "planner 7 s" in drawn(view)
    view.feed(events.NodeCompleted(node="planner", seconds=7))
    assert "planner" not in drawn(view)


def test_same_step_of_two_candidates_is_shown_twice(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.NodeStarted(node="write", candidate=1))
    view.feed(events.NodeStarted(node="write", candidate=2))
    assert "write 1 0 s · write 2 0 s" in drawn(view)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (events.CallQueued(**CALL, model="m", ahead=2), "coder: queued behind 2"),
        (events.CallPlaced(**CALL, server="gpu"), "coder: connecting to gpu"),
        (events.CallWaiting(**CALL, server="gpu", loading=True), "coder: gpu loads the model"),
        (events.CallWaiting(**CALL, server="gpu"), "coder: gpu reads the prompt"),
        (events.TextStreamed(**CALL, text="def f():"), "coder: writes"),
        (events.TextStreamed(**CALL, text="hm", thinking=True), "coder: thinks"),
        (events.CallRestarted(**CALL, reason="broke"), "coder: asked again"),
    ],
)
def test_call_is_shown_in_each_of_its_states(event: events.Event, shown: str, clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(event)
    assert shown in drawn(view)


def test_newest_text_is_shown_on_one_line_that_fits(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.TextStreamed(**CALL, text="old " * 100))
    view.feed(events.TextStreamed(**CALL, text="newest\nwords \x1b[2J"))
    screen = drawn(view, width=60)
    assert "newest words \\u001b[2J" in screen
    assert max(map(len, screen.splitlines())) <= 60


def test_text_of_a_stream_that_broke_is_dropped(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.TextStreamed(**CALL, text="half an answer"))
    view.feed(events.CallRestarted(**CALL, reason="broke"))
    assert "half an answer" not in drawn(view)


def test_finished_call_adds_its_tokens_and_leaves(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.TextStreamed(**CALL, text="x"))
    view.feed(
        events.CallCompleted(
            **CALL, model="m", server="gpu", prompt_sha="", answer_sha="", finish="stop",
            prompt_tokens=1000, completion_tokens=20,
        )
    )  # fmt: skip
    assert "1,000 + 20 tokens" in drawn(view)
    assert not view.calls


def test_view_keeps_only_the_end_of_an_endless_text(clock: Clock) -> None:
    view = LiveView(clock)
    for _ in range(100):
        view.feed(events.TextStreamed(**CALL, text="x" * 1000))
    assert len(view.calls[CALL["call"]].tail) == 2000


def test_candidate_that_lost_leaves_with_its_call_and_its_step(clock: Clock) -> None:
    view = LiveView(clock)
    for number in (1, 2):
        view.feed(events.NodeStarted(node="coder", candidate=number))
        view.feed(events.NodeStarted(node="write", candidate=number))
        view.feed(events.TextStreamed(call=f"write:{number}:1#0", role="coder", text="x", candidate=number))
    view.feed(events.CandidateEnded(outcome="lost", attempts=0, candidate=2))
    assert list(view.calls) == ["write:1:1#0"]
    assert sorted(view.steps) == ["coder 1", "coder 2", "write 1"]


def test_standing_is_one_line_of_calls_or_else_of_steps(clock: Clock) -> None:
    view = LiveView(clock)
    assert view.standing() == ""
    view.feed(events.NodeStarted(node="run_tests", candidate=1))
    clock.now += 20
    assert view.standing() == "run_tests 1: 20 s"
    view.feed(events.TextStreamed(**CALL, text="x" * 4000))
    clock.now += 5
    assert view.standing() == "coder: writes (5 s, about 1,000 tokens)"


def test_end_of_the_run_clears_the_screen(clock: Clock) -> None:
    view = LiveView(clock)
    view.feed(events.NodeStarted(node="coder"))
    view.feed(events.TextStreamed(**CALL, text="x"))
    view.feed(events.RunInterrupted(reason="stopped"))
    assert not view.calls
    assert not view.steps
