"""Progress in a pipe: a line an event, and a sign of life in a long silence."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from backend.cli.batching import PULSE_SECONDS as BATCH_PULSE
from backend.cli.batching import BatchProgress
from backend.cli.console import open_terminal
from backend.cli.live import LiveView
from backend.cli.progress import PULSE_SECONDS, Plain, Pulsing, shown, ticking
from infrastructure.batch import Tally, WentOn
from infrastructure.events import catalogue as events

CALL = {"call": "write:1:1#0", "role": "coder"}


class Pipe:
    """A pulsing progress with a clock of its own, and what it wrote."""

    def __init__(self) -> None:
        self.now, self.err = 0.0, io.StringIO()
        self.progress = Pulsing(open_terminal(io.StringIO(), self.err), LiveView(lambda: self.now))

    def passes(self, seconds: float) -> list[str]:
        """Let time pass, second by second; the lines that came meanwhile."""
        before = len(self.err.getvalue())
        for _ in range(round(seconds)):
            self.now += 1
            self.progress.tick()
        return self.err.getvalue()[before:].splitlines()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def test_long_generation_says_now_and_then_that_it_goes_on(pipe: Pipe) -> None:
    pipe.progress.event(events.TextStreamed(**CALL, text="x" * 400))
    said = pipe.passes(3 * PULSE_SECONDS)
    assert said == [f"coder: writes ({seconds} s, about 100 tokens)" for seconds in (15, 30, 45)]


def test_line_of_an_event_puts_the_next_sign_of_life_off(pipe: Pipe) -> None:
    pipe.progress.event(events.NodeStarted(node="run_tests"))
    pipe.passes(PULSE_SECONDS - 1)
    pipe.progress.event(events.Noted(text="so"))
    assert pipe.passes(PULSE_SECONDS - 1) == []
    assert pipe.passes(1) == ["run_tests: 29 s"]


def test_nothing_under_way_is_nothing_to_say(pipe: Pipe) -> None:
    assert pipe.passes(10 * PULSE_SECONDS) == []


async def test_pulse_is_for_text_in_a_pipe_alone() -> None:
    terminal = open_terminal(io.StringIO(), io.StringIO())
    with shown(terminal, quiet=False, pulse=True) as progress:
        assert isinstance(progress, Pulsing)
    with shown(terminal, quiet=False) as progress:
        assert type(progress) is Plain


async def test_ticking_ends_with_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled: list[SimpleNamespace] = []

    class Loop:
        def call_later(self, seconds: float, then: object) -> SimpleNamespace:
            handle = SimpleNamespace(then=then, cancelled=False)
            handle.cancel = lambda: setattr(handle, "cancelled", True)
            scheduled.append(handle)
            return handle

    monkeypatch.setattr("backend.cli.progress.asyncio.get_running_loop", Loop)
    ticks: list[int] = []
    with ticking(lambda: ticks.append(1)):
        scheduled[-1].then()
        scheduled[-1].then()
    assert len(ticks) == 2
    assert scheduled[-1].cancelled


def test_batch_in_a_pipe_says_how_it_stands_when_no_run_ended_for_long() -> None:
    now, err = [0.0], io.StringIO()
    progress = BatchProgress(open_terminal(io.StringIO(), err), now=lambda: now[0])
    progress.tick()
    tally = Tally(4, lambda: now[0])
    tally.begin([])
    progress.news(WentOn(), tally)
    for seconds in (BATCH_PULSE - 1, BATCH_PULSE):
        now[0] = seconds
        progress.tick()
    assert err.getvalue().splitlines() == ["a server answers; going on", "0 passed · 0 failed · 0 running · 0 of 4"]
