"""What the server really read, against what we said it would: refusals, truncation, narrower windows, replays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.codegen import CODER, PLANNER, CoderQuestion, IntentQuestion, PlannerQuestion, SourceFile
from agents.codegen import INTENT as INTENT_ROLE
from agents.errors import UnusableAnswer, WindowTooSmall
from agents.model import Question
from infrastructure.events.catalogue import CallDoubted, CallFailed, CallReplayed
from infrastructure.simulator import Outcome
from infrastructure.transport.errors import ContextExceeded
from tests.context.situations import PATH, SITUATIONS, SMALL, Situation, much, plan, several
from tests.context.stack import MODELS, answerer, model, stack

WINDOW = 4096
FIRST_OF_A_ROLE = list({situation.role.name: situation for situation, _ in reversed(SITUATIONS)}.values())
TOO_MANY = PlannerQuestion(task="t", summary="s", files=several(9, "code", 1_000))


def uncut(situation: Situation, window: int) -> Question:
    """The question in its whole form, which nobody makes fit; with the bound of its answer, as it would be sent."""
    draft = situation.role.question(situation.ask(window))
    return Question(messages=draft.messages, format=draft.format, think=draft.think, options=draft.options)


@pytest.mark.parametrize("situation", FIRST_OF_A_ROLE, ids=lambda situation: situation.role.name)
async def test_without_our_cuts_the_server_refuses(tmp_path: Path, situation: Situation) -> None:
    async with stack(tmp_path, WINDOW) as there:
        step = there.step(situation.role.name, f"{answerer(situation.role.name)}-{WINDOW}")
        with pytest.raises(ContextExceeded):
            await step.answer(uncut(situation, WINDOW))
        assert [request.outcome for request in there.requests] == [Outcome.REFUSED]
        assert there.kinds()[-1] == "call.failed"


@pytest.mark.parametrize("situation", FIRST_OF_A_ROLE, ids=lambda situation: situation.role.name)
async def test_without_our_cuts_a_server_that_cuts_is_found_out(tmp_path: Path, situation: Situation) -> None:
    async with stack(tmp_path, WINDOW, always_truncates=True) as there:
        step = there.step(situation.role.name, f"{answerer(situation.role.name)}-{WINDOW}")
        await step.answer(uncut(situation, 8 * WINDOW))
        assert [request.truncated for request in there.requests] == [True]
        doubted = [event for event in there.events if isinstance(event, CallDoubted)]
        assert [event.prompt_tokens for event in doubted] == [there.requests[0].prompt_tokens]
        (call,) = await there.xray()
        assert call.prompt is not None
        assert call.prompt.doubted


async def test_a_server_that_would_cut_has_nothing_to_cut_with_our_cuts(tmp_path: Path) -> None:
    async with stack(tmp_path, WINDOW, always_truncates=True) as there:
        await there.ask(PLANNER, TOO_MANY, WINDOW)
        assert [request.truncated for request in there.requests] == [False]


async def test_a_server_that_counts_more_than_was_thought_gets_less(tmp_path: Path) -> None:
    dense = PlannerQuestion(task="t", summary="s", files=several(1, "minified", 9_000))
    async with stack(tmp_path, 8192) as there:
        await there.ask(PLANNER, dense, 8192)
        (call,) = await there.xray()
        assert call.prompt is not None
        assert call.prompt.refusals == 1
        assert [request.outcome for request in there.requests] == [Outcome.REFUSED, Outcome.DONE]
        assert "call.restarted" in there.kinds()
        await there.ask(PLANNER, replace(dense, round=2), 8192)
        assert [request.outcome for request in there.requests][2:] == [Outcome.DONE], "the pool has learned"


async def test_a_window_smaller_than_the_lanes_is_met_once(tmp_path: Path) -> None:
    """The lane asks for more than the model was trained for, and the server clamps it."""
    clamped = MODELS[-1].model_copy(update={"context_length": 2048})
    async with stack(tmp_path, 32_768, models=(clamped,)) as there:
        await there.ask(PLANNER, TOO_MANY, 32_768)
        await there.ask(PLANNER, replace(TOO_MANY, round=2), 32_768)
        first, second = await there.xray()
        assert first.prompt is not None
        assert second.prompt is not None
        assert (first.prompt.refusals, second.prompt.refusals) == (1, 0)
        assert not any(request.truncated for request in there.requests)
        assert second.prompt.budget_window == 2048


async def test_a_window_that_nobody_set_grows_before_anything_is_cut(tmp_path: Path) -> None:
    async with stack(tmp_path) as there:
        await there.ask(PLANNER, TOO_MANY, None)
        (call,) = await there.xray()
        assert call.prompt is not None
        assert call.prompt.trims == ()
        assert call.prompt_tokens > WINDOW
        assert call.prompt.window is not None
        assert call.prompt.window > WINDOW


async def test_a_window_of_the_modelfile_is_kept(tmp_path: Path) -> None:
    own = MODELS[-1].model_copy(update={"parameters": {"num_ctx": 2048}})
    async with stack(tmp_path, models=(own,)) as there:
        await there.ask(PLANNER, TOO_MANY, None)
        (call,) = await there.xray()
        assert call.prompt is not None
        assert call.prompt.budget_window == 2048
        assert call.prompt.refusals == 0
        assert call.prompt.trims


async def test_a_file_that_must_be_seen_whole_and_does_not_fit_ends_the_question_with_advice(tmp_path: Path) -> None:
    question = CoderQuestion(task="t", plan=plan(), files=(SourceFile(PATH, much("code", 5_000)),))
    async with stack(tmp_path, WINDOW) as there:
        with pytest.raises(WindowTooSmall) as small:
            await there.ask(CODER, question, WINDOW)
        assert there.requests == []
        assert (small.value.window, small.value.largest) == (WINDOW, "files")
        assert small.value.need > WINDOW
        assert "num_ctx" in small.value.hint
        (failed,) = there.events
        assert isinstance(failed, CallFailed)
        assert failed.error_class == "WindowTooSmall"


async def test_a_recorded_answer_is_found_though_the_estimate_has_changed_since(tmp_path: Path) -> None:
    async with stack(tmp_path, WINDOW) as there:
        step = there.step("planner", f"talker-{WINDOW}")
        await PLANNER.ask(step, TOO_MANY)
        before = len(there.requests)
        again = there.step("planner", f"talker-{WINDOW}")
        again._step = step._step
        await PLANNER.ask(again, TOO_MANY)
        assert len(there.requests) == before
        assert isinstance(there.events[-1], CallReplayed)


async def test_of_a_question_asked_again_the_bad_answer_is_cut_first(tmp_path: Path) -> None:
    """The rest stands as it was the first time, so that the server finds it in its cache."""
    rambling = model("talker", "".join(f"It depends on {number}. " for number in range(500)))
    files = (SMALL, *several(3, "code", 300))
    async with stack(tmp_path, WINDOW, models=(rambling,)) as there:
        step = there.step("coder", f"talker-{WINDOW}")
        with pytest.raises(UnusableAnswer):
            await CODER.ask(step, CoderQuestion(task="t", plan=plan(), files=files))
        one, two = await there.text_of(1), await there.text_of(2)
        assert two[:2] == one
        _, second = await there.xray()
        assert second.prompt is not None
        assert [trim.part for trim in second.prompt.trims] == ["again.answer"]
        assert there.requests[1].cached_tokens >= there.requests[0].prompt_tokens - 8


async def test_an_answer_may_take_what_is_left_of_the_window_and_no_more(tmp_path: Path) -> None:
    endless = MODELS[0].model_copy(update={"text": None, "brain": "random"})
    question = CoderQuestion(task="t", plan=plan(), files=(SMALL, *several(2, "prose", 500)))
    async with stack(tmp_path, WINDOW, models=(endless,)) as there:
        with pytest.raises(UnusableAnswer):
            await there.ask(CODER, question, WINDOW)
        for request, call in zip(there.requests, await there.xray(), strict=True):
            assert call.prompt is not None
            assert call.prompt.answer_limit is not None
            assert request.tokens_made == call.prompt.answer_limit < 8_192
            assert request.prompt_tokens + request.tokens_made <= WINDOW


async def test_what_is_never_shown_is_told_in_the_largest_window_too(tmp_path: Path) -> None:
    async with stack(tmp_path, 65_536) as there:
        await there.ask(INTENT_ROLE, IntentQuestion(task=much("prose", 30_000)), 65_536)
        (call,) = await there.xray()
        assert call.prompt is not None
        (trim,) = call.prompt.trims
        assert (trim.part, trim.after, trim.unit) == ("task", 24_000, "characters")
