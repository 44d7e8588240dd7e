"""One contract for both sources of answers: the scripted one, and the pool over a simulated server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agents.errors import ScriptEndedError
from agents.model import Message, Question
from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.local_llm import TextDelta
from infrastructure.pool.calls import Call
from infrastructure.pool.states import CallState
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.models import PoolModels
from infrastructure.workflow.ports import ModelSource
from infrastructure.workflow.scripted import ScriptedSource, UnscriptedRole

SAID = "one two three"
QUESTION = Question(messages=(Message("system", "You are brief."), Message("user", "count")))


@pytest.fixture(params=["scripted", "pool"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[ModelSource]:
    if request.param == "scripted":
        yield ScriptedSource({"coder": lambda _: SAID})
        return
    settings = SimulatorSettings(models=(ModelSpec(name="words", text=SAID),), time_scale=0)
    async with (
        Simulator(settings) as simulator,
        OllamaConnectionPool([ServerSettings(url=simulator.url)]) as pool,
    ):
        yield PoolModels(pool, RoleLanes(Settings(), "words"))


async def test_whole_answer_is_what_the_deltas_said(source):
    deltas, updates = [], []
    answered = await source.ask("coder", QUESTION, Call(), deltas.append, updates.append)
    assert answered.completion.text == SAID
    assert "".join(delta.text for delta in deltas) == SAID
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert answered.completion.finish == "stop"
    assert answered.completion.prompt_tokens > 0
    assert answered.completion.completion_tokens > 0
    assert answered.completion.model
    assert answered.server


async def test_states_are_told_in_the_order_of_a_calls_life(source):
    updates = []
    await source.ask("coder", QUESTION, Call(), lambda _: None, updates.append)
    order = list(dict.fromkeys(update.state for update in updates))
    assert order == [
        CallState.QUEUED, CallState.PLACED, CallState.CONNECTING,
        CallState.WAITING, CallState.STREAMING, CallState.DONE,
    ]  # fmt: skip


async def test_role_has_a_model_by_name(source):
    assert source.model_of("coder")
    assert source.model_of("coder") == source.model_of("coder")


async def test_script_knows_what_it_was_asked_and_by_whom():
    source = ScriptedSource({"coder": ["a"], "planner": ["b"]})
    await source.ask("planner", QUESTION, Call(client="ui"), lambda _: None, lambda _: None)
    assert source.asked("planner") == [QUESTION]
    assert source.asked("coder") == source.asked("nobody") == []
    assert [(role, call.client) for role, call in source.calls] == [("planner", "ui")]


async def test_script_that_is_used_up_or_missing_is_an_error():
    source = ScriptedSource({"coder": []})
    with pytest.raises(ScriptEndedError):
        await source.ask("coder", QUESTION, Call(), lambda _: None, lambda _: None)
    with pytest.raises(UnscriptedRole, match="planner"):
        await source.ask("planner", QUESTION, Call(), lambda _: None, lambda _: None)
