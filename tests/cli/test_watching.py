"""Watching a run: to its end, through questions, through Ctrl-C, over a scripted engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import contextmanager

import pytest

from backend.cli.progress import Quiet
from backend.cli.render import Line
from backend.cli.watching import BY_USER, Watchable, watch
from infrastructure.events import catalogue as events
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Stored
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import RunId
from infrastructure.running.errors import RunNotWaiting
from infrastructure.tasks import RunResult

RUN = RunId("run-1")
DONE = RunResult(run=RUN, status="done", judge="given", exit_code=0)
INTERRUPTED = RunResult(run=RUN, status="cancelled", judge="none", exit_code=130, reason=BY_USER)
ASKED = events.ApprovalAsked(approval="plan:1", gate="plan", question="Go?")


class ScriptedEngine:
    """An engine whose log and result the test writes."""

    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.ending: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()
        self.answers: list[tuple[str, bool, str]] = []
        self.interruptions: list[str] = []
        self.not_yet_waiting = 0
        self.stream_ended = asyncio.Event()

    async def tell(self, *told: AnyEvent) -> None:
        for event in told:
            await self.log.append(RUN, 1, event)

    async def finish(self) -> None:
        self.ending.set_result(DONE)
        await self.tell(events.RunFinished(status="done", judge="given", exit_code=0))

    async def follow(self, run: RunId, after: int = 0) -> AsyncGenerator[Stored]:
        async for stored in self.log.follow(run, after, ends_when_interrupted=True):
            yield stored
        self.stream_ended.set()

    async def result(self, run: RunId) -> RunResult:
        return await asyncio.shield(self.ending)

    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        if self.not_yet_waiting:
            self.not_yet_waiting -= 1
            raise RunNotWaiting(run, approval)
        self.answers.append((approval, approved, reason))
        await self.tell(events.ApprovalGiven(approval=approval, approved=approved, reason=reason))
        await self.finish()

    async def interrupt(self, run: RunId, reason: str) -> None:
        self.interruptions.append(reason)
        self.ending.set_result(INTERRUPTED)
        await self.tell(events.RunInterrupted(reason=reason))


class Recording(Quiet):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.lines: list[str] = []
        self.pauses = 0

    def event(self, event: events.Event) -> None:
        self.events.append(event)

    def line(self, line: Line) -> None:
        self.lines.append(line.text)

    @contextmanager
    def paused(self):
        self.pauses += 1
        yield


@pytest.fixture
async def engine() -> ScriptedEngine:
    engine = ScriptedEngine()
    await engine.tell(events.RunCreated(task="t", repo="/r"), events.RunStarted())
    return engine


async def test_every_event_is_shown_once_and_the_result_returned(engine: ScriptedEngine) -> None:
    seen: list[int] = []
    await engine.tell(events.NodeStarted(node="intent"))
    await engine.finish()
    assert await watch(engine, RUN, Recording(), on_stored=lambda stored: seen.append(stored.seq)) == DONE
    assert seen == [1, 2, 3, 4]


async def test_only_events_after_the_given_one_are_shown(engine: ScriptedEngine) -> None:
    progress = Recording()
    await engine.finish()
    await watch(engine, RUN, progress, after=1)
    assert [type(event) for event in progress.events] == [events.RunStarted]


async def test_run_that_was_only_just_resumed_is_watched_although_it_still_rests(engine: ScriptedEngine) -> None:
    await engine.tell(events.RunInterrupted(reason="earlier"))
    watching = asyncio.ensure_future(watch(engine, RUN, progress := Recording(), after=3))
    await engine.stream_ended.wait()
    await engine.tell(events.RunStarted(resumed=True), events.NodeStarted(node="coder"))
    await engine.finish()
    assert await watching == DONE
    assert events.NodeStarted(node="coder") in progress.events


@pytest.mark.parametrize(("answer", "told"), [((True, ""), True), ((False, "too much"), False)])
async def test_question_is_put_to_the_person_and_the_answer_handed_over(
    engine: ScriptedEngine, answer: tuple[bool, str], told: bool
) -> None:
    async def ask(asked: events.ApprovalAsked) -> tuple[bool, str]:
        return answer

    await engine.tell(ASKED)
    assert await watch(engine, RUN, Recording(), ask=ask) == DONE
    assert engine.answers == [("plan:1", told, answer[1])]


async def test_answer_given_before_the_run_is_ready_for_it_is_handed_over_later(engine: ScriptedEngine) -> None:
    engine.not_yet_waiting = 2

    async def ask(asked: events.ApprovalAsked) -> tuple[bool, str]:
        return True, ""

    await engine.tell(ASKED)
    assert await watch(engine, RUN, Recording(), ask=ask) == DONE
    assert engine.answers == [("plan:1", True, "")]


async def test_question_that_somebody_else_answers_is_taken_back(engine: ScriptedEngine) -> None:
    asked_here = asyncio.Event()
    taken_back = asyncio.Event()

    async def ask(asked: events.ApprovalAsked) -> tuple[bool, str]:
        asked_here.set()
        try:
            await asyncio.Event().wait()
        finally:
            taken_back.set()
        return True, ""

    await engine.tell(ASKED)
    watching = asyncio.ensure_future(watch(engine, RUN, Recording(), ask=ask))
    await asked_here.wait()
    await engine.answer(RUN, "plan:1", True)
    assert await watching == DONE
    assert taken_back.is_set()


async def test_interruption_is_left_to_the_verdict_unless_another_holder_goes_on(engine: ScriptedEngine) -> None:
    shut_down, stopped = events.RunInterrupted(reason="shut down"), events.RunInterrupted(reason="stopped")
    progress = Recording()
    await engine.tell(shut_down, events.RunStarted(resumed=True), stopped)
    watching = asyncio.ensure_future(watch(engine, RUN, progress))
    await engine.stream_ended.wait()
    engine.ending.set_result(INTERRUPTED)
    await watching
    assert shut_down in progress.events
    assert stopped not in progress.events


async def test_question_that_is_only_asked_again_is_shown_once(engine: ScriptedEngine) -> None:
    progress = Recording()
    await engine.tell(ASKED, events.RunStarted(resumed=True), ASKED)
    await engine.finish()
    await watch(engine, RUN, progress)
    assert progress.events.count(ASKED) == 1
    assert events.RunStarted(resumed=True) not in progress.events


async def test_where_nobody_answers_what_was_said_for_that_is_done_once(engine: ScriptedEngine) -> None:
    calls: list[str] = []

    async def ask(asked: events.ApprovalAsked) -> None:
        calls.append("ask")

    async def on_nobody() -> None:
        calls.append("nobody")
        await engine.tell(events.RunStarted(resumed=True), ASKED)  # as a run does that is resumed at its question
        await engine.finish()

    await engine.tell(ASKED)
    assert await watch(engine, RUN, Recording(), ask=ask, on_nobody=on_nobody) == DONE
    assert calls == ["ask", "nobody"]
    assert engine.interruptions == []


async def test_end_of_input_at_a_question_interrupts_the_run(engine: ScriptedEngine) -> None:
    async def ask(asked: events.ApprovalAsked) -> None:
        return None

    await engine.tell(ASKED)
    assert await watch(engine, RUN, Recording(), ask=ask) == INTERRUPTED
    assert engine.interruptions == ["nobody answered"]


async def test_first_ctrl_c_stops_the_run_where_it_can_go_on(engine: ScriptedEngine) -> None:
    def kill_when_started(stored: Stored) -> None:
        if isinstance(stored.event, events.RunStarted):
            os.kill(os.getpid(), signal.SIGINT)

    progress = Recording()
    assert await watch(engine, RUN, progress, on_stored=kill_when_started) == INTERRUPTED
    assert engine.interruptions == [BY_USER]
    assert progress.lines == ["stopping; Ctrl-C again ends this at once"]


async def test_ctrl_c_at_a_question_takes_it_back_and_interrupts(engine: ScriptedEngine) -> None:
    async def ask(asked: events.ApprovalAsked) -> tuple[bool, str]:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return True, ""

    await engine.tell(ASKED)
    assert await watch(engine, RUN, Recording(), ask=ask) == INTERRUPTED
    assert engine.answers == []


async def test_signal_handlers_are_as_before_afterwards(engine: ScriptedEngine) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    await engine.finish()
    await watch(engine, RUN, Recording())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_error_of_the_engine_reaches_the_caller(engine: ScriptedEngine) -> None:
    class Broken(ScriptedEngine):
        async def result(self, run: RunId) -> RunResult:
            raise OSError("gone")

    broken: Watchable = Broken()
    with pytest.raises(ExceptionGroup) as raised:
        await watch(broken, RUN, Recording())
    assert isinstance(raised.value.exceptions[0], OSError)
