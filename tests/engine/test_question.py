"""The one question about candidates that stay split, through the engine: answered, answered later, and by nobody."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infrastructure.events.catalogue import ApprovalAsked, CandidatesCompared
from infrastructure.storage.runs import RunState
from tests.engine.world import KNOWN, TASK, World, simulator, world

OR = "def add(a, b):\n    return a or b\n"
CALLS = ["add(0, 2)", "add(1, 2)", "add(0, 0)"]


@asynccontextmanager
async def split(folder: Path):
    """Two candidates that nothing but a person can tell apart: the second reads the task otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    first = {**KNOWN, "tests": {}, "calls": CALLS}
    second = {**first, "id": "or", "prompt": "", "match": [TASK, "## Approach"], "files": {"calc.py": OR}}
    async with world(folder, simulator(folder, first, second)) as ours:
        (ours.repo / "test_calc.py").unlink()
        yield ours


async def asks(ours: World, **more: object) -> tuple[str, ApprovalAsked]:
    run = await ours.start(candidates=2, rounds=1, **more)
    question = await ours.until(run, "approval.asked")
    assert isinstance(question, ApprovalAsked)
    return run, question


@pytest.mark.parametrize(("answer", "code"), [("3", "a + b"), ("1", "a or b")])
async def test_answer_decides_and_becomes_a_test(tmp_path, answer, code):
    async with split(tmp_path) as ours:
        run, question = await asks(ours)
        assert (question.gate, question.question) == (
            "behaviour",
            "The candidates are split. What should add(1, 2) give?",
        )
        assert set(question.answers) == {"3", "1"}
        assert (await ours.record(run)).state is RunState.WAITING
        await ours.engine.answer(run, question.approval, True, answer)
        result = await ours.end_of(run)
        assert (result.status, result.judge, code in result.patch) == ("unverified", "written", True)
        assert f"self.assertEqual(add(1, 2), {answer})" in result.answered_test
        assert result.files == ("calc.py",)
        assert len(ours.events(ApprovalAsked)) == 1


async def test_none_of_the_answers_fails_the_round(tmp_path):
    async with split(tmp_path) as ours:
        run, question = await asks(ours)
        await ours.engine.answer(run, question.approval, False, "")
        result = await ours.end_of(run)
        assert (result.status, result.answered_test) == ("failed", "")
        assert result.reason == "A person said: what add(1, 2) gives is wrong; no candidate does that."


async def test_question_stays_over_an_interruption_and_is_dropped_where_nobody_may_be_asked_then(tmp_path):
    async with split(tmp_path) as ours:
        run, question = await asks(ours)
        await ours.engine.interrupt(run, "later")
        assert (await ours.record(run)).state is RunState.INTERRUPTED
        await ours.engine.resume(run)
        async for stored in ours.engine.follow(run):
            if stored.execution == 2 and isinstance(stored.event, ApprovalAsked):
                break
        assert (await ours.record(run)).state is RunState.WAITING
        assert stored.event.answers == question.answers
        await ours.engine.resume(run, no_input=True)
        result = await ours.end_of(run)
        assert result.status == "unverified"
        assert "it was split: candidate " in result.reason


async def test_without_input_nothing_is_asked(tmp_path):
    async with split(tmp_path) as ours:
        result = await ours.run(candidates=2, rounds=1, no_input=True)
        assert (result.status, result.exit_code) == ("unverified", 0)
        assert ours.events(ApprovalAsked) == []
        (compared,) = ours.events(CandidatesCompared)
        assert (compared.split, compared.telling[0], compared.inputs) == (True, "add(1, 2)", 3)
