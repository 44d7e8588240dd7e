"""The LangChain chat model on a real server: what it sends is accepted, and grammars hold whatever the weights are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.transport.errors import ModelNotFound, RequestRefused

ADDRESS = os.environ.get("CORRAL_TEST_OLLAMA", "")
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ADDRESS, reason="CORRAL_TEST_OLLAMA names no server"),
    pytest.mark.timeout(300),
]


class Verdict(BaseModel):
    """What is thought of a change."""

    decision: Literal["approve", "reject"]
    sure: bool
    points: int = Field(ge=0, le=10)
    areas: list[Literal["tests", "code", "words"]] = Field(min_length=1, max_length=3)


class Signed(BaseModel):
    """A verdict and who gave it."""

    verdict: Verdict
    by: Literal["person", "model"]


@tool
def read_file(path: str) -> str:
    """Show a file."""
    return f"the text of {path}"


@tool
def choose(colour: Literal["red", "green"], times: Literal[1, 2, 3]) -> str:
    """Choose a colour, some times."""
    return colour * times


@pytest.fixture
async def pool() -> AsyncIterator[OllamaConnectionPool]:
    async with OllamaConnectionPool([ServerSettings(url=ADDRESS, name="real", slots=1)]) as opened:
        yield opened


def model_of(pool: OllamaConnectionPool, name: str, **fields: object) -> ChatOllamaPool:
    return ChatOllamaPool(model=name, pool=pool, num_thread=1, **fields)


async def test_an_answer_has_its_text_and_the_servers_figures(pool: OllamaConnectionPool):
    answer = await model_of(pool, "words").ainvoke([SystemMessage("Be short."), HumanMessage("hi")])

    assert answer.text.startswith(WORDS)
    assert answer.usage_metadata["input_tokens"] > 10
    assert answer.usage_metadata["output_tokens"] > 20
    assert answer.response_metadata["done_reason"] == "stop"
    assert answer.response_metadata["total_duration"] > answer.response_metadata["eval_duration"] > 0


async def test_a_stream_has_its_figures_on_the_last_piece_only(pool: OllamaConnectionPool):
    model = model_of(pool, "words")
    whole = await model.ainvoke("hi")
    pieces = [piece async for piece in model.astream("hi")]

    assert len(pieces) > 5
    assert "".join(piece.text for piece in pieces) == whole.text
    assert [piece.usage_metadata for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


async def test_stop_words_and_the_bound_of_an_answer_are_kept(pool: OllamaConnectionPool):
    stopped = await model_of(pool, "words").ainvoke("hi", stop=[" echo"])
    bounded = await model_of(pool, "endless", max_tokens=3).ainvoke("hi")

    assert stopped.text == "alpha bravo charlie delta"
    assert bounded.text == "alpha bravo charlie"
    assert bounded.response_metadata["done_reason"] == "length"
    assert bounded.usage_metadata["output_tokens"] == 3


@pytest.mark.models(by="name")
@pytest.mark.parametrize("name", ["corral-talk", "corral-talk-native"])
async def test_tools_that_are_bound_are_called_and_their_results_go_back(pool: OllamaConnectionPool, name: str):
    model = model_of(pool, name, num_ctx=32_768).bind_tools([read_file])
    asked = HumanMessage("Look at it.")
    answer = await model.ainvoke([asked])
    streamed = [piece async for piece in model.astream([asked])]
    (call,) = answer.tool_calls
    after = await model.ainvoke([asked, answer, ToolMessage("text", tool_call_id=call["id"], name="read_file")])

    assert (call["name"], call["args"]) == ("read_file", {"path": "calc.py"})
    assert call["id"]
    assert answer.text.strip() == "Let me look."
    whole = sum_of(streamed)
    assert [(each["name"], each["args"]) for each in whole.tool_calls] == [("read_file", {"path": "calc.py"})]
    # It calls a tool now that was not offered: the server drops that, and llama-server's grammar does not let it.
    assert [each["name"] for each in after.tool_calls] == (["read_file"] if name.endswith("native") else [])
    assert after.text == ""
    assert after.usage_metadata["input_tokens"] > answer.usage_metadata["input_tokens"]


def sum_of(pieces: list[AIMessage]) -> AIMessage:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    return whole


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_answer_of_one_shape_has_it_though_the_model_only_makes_noise(
    pool: OllamaConnectionPool, method: str, seed: int
):
    model = model_of(pool, "noise-small", seed=seed, temperature=1.5, num_ctx=4096)
    verdict = await model.with_structured_output(Verdict, method=method).ainvoke("Is it good?")

    assert isinstance(verdict, Verdict)


async def test_an_answer_of_a_nested_shape_has_it_too(pool: OllamaConnectionPool):
    model = model_of(pool, "noise-small", num_ctx=4096).with_structured_output(Signed)

    assert isinstance(await model.ainvoke("Is it good?"), Signed)


async def test_a_tool_that_has_to_be_called_is_called_by_noise(pool: OllamaConnectionPool):
    model = model_of(pool, "noise-small", num_ctx=4096).bind_tools([read_file, choose], tool_choice="choose")
    whole = await model.ainvoke("Choose.")
    streamed = sum_of([piece async for piece in model.astream("Choose.")])

    for answer in (whole, streamed):
        (call,) = answer.tool_calls
        assert call["name"] == "choose"
        assert call["args"]["colour"] in ("red", "green")
        assert call["args"]["times"] in (1, 2, 3)


async def test_thinking_stands_beside_the_text(pool: OllamaConnectionPool):
    answer = await model_of(pool, "thinking", reasoning=True).ainvoke("hi")

    assert answer.additional_kwargs["reasoning_content"] == "let me see"
    assert answer.text == "the answer is 42"


@pytest.mark.models("corral-talk-plain")
async def test_errors_are_those_of_the_pool(pool: OllamaConnectionPool):
    with pytest.raises(ModelNotFound, match="ollama pull nowhere"):
        await model_of(pool, "nowhere").ainvoke("hi")
    with pytest.raises(RequestRefused, match="does not support tools"):
        await model_of(pool, "corral-talk-plain").bind_tools([read_file]).ainvoke("hi")


async def test_closing_a_stream_frees_the_servers_slot(pool: OllamaConnectionPool):
    model = model_of(pool, "endless")
    async with aclosing(model.astream("hi")) as pieces:
        await anext(pieces)
    answer = await asyncio.wait_for(model.ainvoke("hi", max_tokens=2), 60)

    assert answer.response_metadata["total_duration"] < 10e9
