"""What callers give as prompt, messages, tools and options, where it is none."""

from __future__ import annotations

import ollama
import pytest

from agents.model import Message, Tool
from infrastructure.pool.messages import BadMessage, read_messages
from infrastructure.transport.errors import NotJson
from tests.pool.servers import ask, pool_over, simulator


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("hello", "a list of them, not of type str"),
        ({"role": "user", "content": "hi"}, "a list of them, not of type dict"),
        (Message("user", "hi"), "a list of them, not of type Message"),
        (None, "a list of them, not of type NoneType"),
        (["hello"], "message 0 not understood: it is of type str"),
        ([*ask(), ("user", "hi")], "message 1 not understood: it is of type tuple"),
        ([*ask(), {"role": "user", "content": None}], "message 1 not understood: its content is text, not of"),
        ([*ask(), Message("user", None)], "message 1 not understood: its content is text, not of type NoneType"),
    ],
)
async def test_what_are_no_messages_is_refused_with_which_and_why(messages: object, said: str):
    async with pool_over(simulator()) as pool:
        with pytest.raises(BadMessage, match=said):
            await pool.chat(model="words", messages=messages)


def test_an_answer_of_tool_calls_need_have_no_text():
    """So do histories of other libraries say it."""
    calls = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
    (message,) = read_messages([{"role": "assistant", "content": None, "tool_calls": calls}])
    assert (message.content, message.tool_calls[0].name) == ("", "add")


def test_messages_of_ollamas_own_client_are_understood():
    history = [ollama.Message(role="user", content="hi"), ollama.Message(role="assistant", content=None)]
    assert read_messages(history[:1]) == read_messages(ask())
    assert read_messages(history[1:])[0].content == ""


async def test_what_is_no_tool_prompt_or_name_is_refused():
    async with pool_over(simulator()) as pool:
        with pytest.raises(BadMessage, match="tools are a list"):
            await pool.chat(model="words", messages=ask(), tools="f")
        with pytest.raises(BadMessage, match="tool 1 not understood: it is of type function"):
            await pool.chat(model="words", messages=ask(), tools=[Tool("f", "", {}), simulator])
        for prompt in (b"hi", None):
            with pytest.raises(BadMessage, match="a prompt is text"):
                await pool.generate(model="words", prompt=prompt)
            with pytest.raises(BadMessage, match="a prompt is text"):
                pool.stream_generate(model="words", prompt=prompt)
        with pytest.raises(TypeError, match="named by text, not by None"):
            await pool.generate(model=None, prompt="hi")


@pytest.mark.parametrize(
    "asked",
    [
        {"options": {"temperature": object()}},
        {"options": {"temperature": object(), "seed": 1}},
        {"format": {"type": object}},
        {"tools": [Tool("f", "", {"of": {1, 2}})]},
    ],
    ids=["option", "shared", "format", "tool"],
)
async def test_what_cannot_be_said_in_json_is_an_error_of_the_call_and_not_of_the_server(asked: dict[str, object]):
    async with pool_over(simulator()) as pool:
        with pytest.raises(NotJson) as caught:
            await pool.chat(model="words", messages=ask(), **asked)
        assert caught.value.hint
        assert await pool.generate(model="words", prompt="hi") == "one two three four five"
        assert pool.snapshot().servers[0].in_flight == 0
        assert sum(lane.figures.failures for lane in pool.snapshot().servers[0].lanes) == 0
