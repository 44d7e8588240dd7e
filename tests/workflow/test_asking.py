"""How a step asks: recorded before it is used, counted, watched, and told in an order that can be relied on."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from agents.fitting import Room
from agents.model import Completion, Message, Question, Tool, ToolCall
from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import CallCompleted, CallFailed, CallReplayed, CallRestarted, Noted, TextStreamed
from infrastructure.local_llm import Restarted, TextDelta, ThinkingDelta
from infrastructure.pool.calls import Call, CallUpdate
from infrastructure.pool.states import CallState
from infrastructure.transport.errors import StreamBroken
from infrastructure.workflow.asking import StepModel, question_sha
from infrastructure.workflow.budget import Budget, BudgetExhausted
from infrastructure.workflow.ports import Answered, CallRecorder, ForgetfulRecorder, ModelSource
from infrastructure.workflow.scope import Tempered
from infrastructure.workflow.scripted import ScriptedSource
from tests.workflow.scenario import Moment

QUESTION = Question(messages=(Message("user", "hi"),))


class Kept(CallRecorder):
    """Keeps answers in memory; `fails` makes keeping fail."""

    def __init__(self) -> None:
        self.kept: dict[object, Completion] = {}
        self.fails: Exception | None = None

    async def recall(self, key):
        return self.kept.get(key)

    async def record(self, key, role, question, answered):
        if self.fails is not None:
            raise self.fails
        self.kept[key] = answered.completion


class Telling(ModelSource):
    """Tells deltas and then answers, or fails."""

    def __init__(self, *deltas: object, error: Exception | None = None) -> None:
        self._deltas, self._error = deltas, error

    def model_of(self, role: str) -> str:
        return "m"

    async def room(self, role: str) -> Room:
        return Room(window=4096, count=lambda question: len(question.messages))

    async def ask(self, role, question, call, on_delta, watch):
        for delta in self._deltas:
            on_delta(delta)
        if self._error is not None:
            raise self._error
        return Answered(completion=Completion(text="end"))


def asking(source, recorder=None, budget=None):
    events = []
    model = StepModel(
        role="coder", step="write:1:1", call=Call(), source=source, recorder=recorder or ForgetfulRecorder(),
        budget=budget or Budget(limits=BudgetSettings(), now=Moment(), started=1000.0), emit=events.append,
    )  # fmt: skip
    return model, events


async def test_call_is_told_from_the_queue_to_its_completion():
    model, events = asking(ScriptedSource({"coder": ["hello"]}))
    assert (await model.answer(QUESTION)).text == "hello"
    kinds = [event.kind for event in events]
    assert kinds == ["call.queued", "call.placed", "call.waiting", "call.began", "call.text", "call.completed"]
    assert {event.call for event in events} == {"write:1:1#0"}


async def test_questions_of_a_step_are_numbered():
    model, events = asking(ScriptedSource({"coder": ["one", "two"]}))
    await model.answer(QUESTION)
    await model.answer(QUESTION)
    assert [event.call for event in events if isinstance(event, CallCompleted)] == ["write:1:1#0", "write:1:1#1"]


async def test_recorded_answer_is_taken_without_asking_or_paying():
    recorder, source = Kept(), ScriptedSource({"coder": ["first", "never"]})
    await asking(source, recorder)[0].answer(QUESTION)
    budget = Budget(limits=BudgetSettings(calls=1), now=Moment(), started=1000.0)
    again, events = asking(source, recorder, budget)
    assert (await again.answer(QUESTION)).text == "first"
    assert [type(event) for event in events] == [CallReplayed]
    assert (budget.calls, budget.tokens, len(source.calls)) == (0, 0, 1)


async def test_another_question_of_the_same_step_is_not_given_the_recorded_answer():
    recorder, source = Kept(), ScriptedSource({"coder": ["first", "second"]})
    await asking(source, recorder)[0].answer(QUESTION)
    other = dataclasses.replace(QUESTION, messages=(Message("user", "something else"),))
    assert (await asking(source, recorder)[0].answer(other)).text == "second"


async def test_the_runs_seed_goes_into_every_question_and_makes_it_another_one():
    recorder, source = Kept(), ScriptedSource({"coder": ["first", "second", "never"]})
    question = dataclasses.replace(QUESTION, options={"temperature": 0.2})
    assert (await asking(source, recorder)[0].answer(question)).text == "first"
    assert (await Tempered(asking(source, recorder)[0], {"seed": 7}).answer(question)).text == "second"
    assert (await Tempered(asking(source, recorder)[0], {"seed": 7}).answer(question)).text == "second"
    assert [asked.options for asked in source.asked("coder")] == [
        {"temperature": 0.2},
        {"temperature": 0.2, "seed": 7},
    ]


async def test_answer_that_could_not_be_recorded_is_not_used():
    recorder = Kept()
    recorder.fails = OSError("disk full")
    model, events = asking(ScriptedSource({"coder": ["lost"]}), recorder)
    with pytest.raises(OSError, match="disk full"):
        await model.answer(QUESTION)
    assert not any(isinstance(event, CallCompleted) for event in events)


async def test_spent_budget_sends_nothing():
    source = ScriptedSource({"coder": ["one", "two"]})
    model, events = asking(source, budget=Budget(limits=BudgetSettings(calls=1), now=Moment(), started=1000.0))
    await model.answer(QUESTION)
    before = len(events)
    with pytest.raises(BudgetExhausted):
        await model.answer(QUESTION)
    assert (len(source.calls), len(events)) == (1, before)


async def test_call_that_outlasts_the_budget_is_stopped():
    class Endless(Telling):
        stopped = False

        async def ask(self, role, question, call, on_delta, watch):
            on_delta(TextDelta("and so on"))
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped = True

    source = Endless()
    clock = Moment()
    budget = Budget(limits=BudgetSettings(seconds=1), now=clock, started=clock() - 0.999)
    model, events = asking(source, budget=budget)
    with pytest.raises(BudgetExhausted) as spent:
        await model.answer(QUESTION)
    assert (spent.value.budget, source.stopped) == ("seconds", True)
    assert [event.text for event in events] == ["and so on"], "what had come is told"


async def test_timeout_of_the_call_itself_is_not_taken_for_the_budget():
    model, _ = asking(Telling(error=TimeoutError("its own")))
    with pytest.raises(TimeoutError, match="its own"):
        await model.answer(QUESTION)


async def test_pieces_that_arrive_together_are_one_event_and_thinking_is_apart():
    model, events = asking(Telling(ThinkingDelta("hm"), ThinkingDelta("m"), TextDelta("a"), TextDelta("b")))
    await model.answer(QUESTION)
    texts = [(event.text, event.thinking) for event in events if isinstance(event, TextStreamed)]
    assert texts == [("hmm", True), ("ab", False)]


async def test_restarted_stream_is_told_and_what_was_not_shown_yet_is_dropped():
    model, events = asking(Telling(TextDelta("half"), Restarted("broke"), TextDelta("whole")))
    await model.answer(QUESTION)
    assert [type(event) for event in events] == [CallRestarted, TextStreamed, CallCompleted]
    assert (events[0].reason, events[1].text) == ("broke", "whole")


async def test_failed_call_is_told_with_its_error():
    model, events = asking(Telling(TextDelta("half"), error=StreamBroken(message="it broke")))
    with pytest.raises(StreamBroken):
        await model.answer(QUESTION)
    assert {type(event) for event in events} == {TextStreamed, CallFailed}
    failed = next(event for event in events if isinstance(event, CallFailed))
    assert (failed.error_class, failed.call) == ("StreamBroken", "write:1:1#0")


def test_everything_that_decides_an_answer_is_in_the_hash():
    one = question_sha(QUESTION, "m")
    assert one == question_sha(Question(messages=(Message("user", "hi"),)), "m")
    others = [
        dataclasses.replace(QUESTION, messages=(Message("user", "ho"),)),
        dataclasses.replace(QUESTION, messages=(Message("system", "hi"),)),
        dataclasses.replace(QUESTION, format={"type": "object"}),
        dataclasses.replace(QUESTION, think=True),
        dataclasses.replace(QUESTION, options={"temperature": 0.1}),
    ]
    assert len({one, question_sha(QUESTION, "n"), *(question_sha(other, "m") for other in others)}) == 7


def test_order_of_options_does_not_change_the_hash():
    one, two = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert question_sha(dataclasses.replace(QUESTION, options=one), "m") == question_sha(
        dataclasses.replace(QUESTION, options=two), "m"
    )


def test_a_question_keeps_its_hash_by_which_old_runs_find_their_answers():
    call = ToolCall("t", {"a": [1, {"b": 2}]}, "i")
    messages = (
        Message("system", "x\udcff"),
        Message("assistant", "a", tool_calls=(call,)),
        Message("tool", "r", tool_call_id="i", tool_name="t"),
        Message("user", "u", images=("abc",)),
    )
    tools = (Tool("t", "d", {"type": "object", "properties": {"p": {"type": "string"}}}),)
    question = Question(
        messages=messages,
        tools=tools,
        format={"type": "object"},
        think="low",
        options={"num_predict": 3, "stop": ["a"]},
    )
    assert question_sha(question, "m") == "8d12096153cc03ae108e50daf398c8bea0ce6d04b7549765b210163e7365de8a"


def test_half_a_character_has_a_hash_too():
    assert question_sha(Question(messages=(Message("user", "\udcff"),)), "m")


class Endless(ModelSource):
    """Tells one piece until its asker has had enough."""

    def __init__(self, piece: object) -> None:
        self.piece, self.told = piece, 0

    def model_of(self, role: str) -> str:
        return "m"

    async def ask(self, role, question, call, on_delta, watch):
        while True:
            self.told += 1
            on_delta(self.piece)


@pytest.mark.parametrize(
    ("piece", "finish", "field"),
    [(TextDelta("and so on "), "repeated", "text"), (ThinkingDelta("But wait. "), "repeated", "thinking")],
)
async def test_an_answer_without_end_is_stopped_recorded_and_counted(piece, finish, field):
    source, recorder, budget = Endless(piece), Kept(), Budget(limits=BudgetSettings(), now=Moment(), started=1000.0)
    model, events = asking(source, recorder, budget)
    completion = await model.answer(QUESTION)
    assert completion.finish == finish
    assert getattr(completion, field) == piece.text * source.told
    assert list(recorder.kept.values()) == [completion]
    assert budget.tokens == completion.completion_tokens == len(piece.text) * source.told // 4
    assert [event.text for event in events if isinstance(event, Noted)] == [
        "coder: an answer was stopped, since it repeats itself"
    ]


class Dawdling(Endless):
    """Takes a second for every piece, from when it is placed."""

    def __init__(self, piece: object, clock: Moment) -> None:
        super().__init__(piece)
        self._clock = clock

    async def ask(self, role, question, call, on_delta, watch):
        self._clock.now += 50  # in the queue
        watch(CallUpdate(state=CallState.PLACED, server="s"))

        def slowly(delta: object) -> None:
            self._clock.now += 1
            on_delta(delta)

        return await super().ask(role, question, call, slowly, watch)


async def test_an_answer_that_was_stopped_has_cost_the_time_since_it_was_placed():
    clock = Moment()
    source, budget = (
        Dawdling(TextDelta("and so on "), clock),
        Budget(limits=BudgetSettings(), now=clock, started=1000.0),
    )
    model, events = asking(source, budget=budget)
    await model.answer(QUESTION)
    assert source.told == budget.gpu_seconds > 0
    (completed,) = [event for event in events if isinstance(event, CallCompleted)]
    assert completed.decode_seconds == budget.gpu_seconds


async def test_what_a_broken_stream_repeats_is_no_loop():
    said = [TextDelta(f"def f{number}(): return {number}\n") for number in range(60)]
    again = [each for _ in range(8) for each in (*said, Restarted("the stream broke"))]
    model, _ = asking(Telling(*again))
    assert (await model.answer(QUESTION)).text == "end"


def test_answers_that_were_recorded_before_messages_had_images_are_still_found():
    called = Message("assistant", "", tool_calls=(ToolCall("add", {"a": 1}, "c1"),))
    question = Question(
        messages=(Message("system", "be good"), called, Message("tool", "2", tool_name="add")), options={"seed": 1}
    )
    assert question_sha(question, "m") == "ce205c7302474bd2008eaf7ae6b7f89d6db5ade40f83e117568cc97ec1245f11"
    seen = dataclasses.replace(question, messages=(Message("user", "what is it?", images=("aGk=",)),))
    other = dataclasses.replace(question, messages=(Message("user", "what is it?", images=("aGs=",)),))
    assert question_sha(seen, "m") != question_sha(other, "m")
