"""What LangChain's suite does not ask of the chat model."""

from __future__ import annotations

import asyncio
import copy
import pickle
from contextlib import aclosing

import pytest
from langchain_core.messages import AIMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import ValidationError

from agents.errors import UnusableAnswer
from infrastructure.chat_model import ChatOllamaPool
from infrastructure.chat_model.conversation import conversation
from infrastructure.connection_pool import Call
from infrastructure.pool.errors import DeadlinePassed
from infrastructure.pool.loop_thread import WouldBlock
from infrastructure.pool.messages import BadMessage
from infrastructure.simulator import FaultKind, ModelSpec
from infrastructure.transport.errors import ModelNotFound, StreamBroken
from tests.chat_model.clerk import CLERK, Clerk
from tests.chat_model.models import asking, summed
from tests.pool.servers import faulty, paced, simulator

THINKING = ModelSpec(name="deep", text="<think>hmm well</think>so", template="thinking")
TWO_CALLS = ModelSpec(
    name="two",
    text='Both.<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>\n'
    '<tool_call>{"name": "shout", "arguments": {"text": "é"}}</tool_call>',
)


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
def shout(text: str) -> str:
    """Shouts."""
    return text.upper()


# -------------------------------------------------------------------------------------------- answers
async def test_an_answer_says_what_it_took_and_who_gave_it():
    async with asking() as model:
        answer = await model.ainvoke("hi")

        assert answer.text == "one two three four five"
        usage, about = answer.usage_metadata, answer.response_metadata
        assert usage is not None
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["output_tokens"] > 4
        assert (about["model_name"], about["server"], about["done_reason"]) == ("words", "gpu0", "stop")
        assert about["attempts"] == 1


async def test_pieces_make_the_same_message_as_the_whole_answer_and_only_the_last_has_figures():
    async with asking(TWO_CALLS) as model:
        bound = model.bind_tools([add, shout])
        answer = await bound.ainvoke("hi")
        chunks = [chunk async for chunk in bound.astream("hi")]
        whole = summed(chunks)

        assert whole.text == answer.text == "Both."
        for message in (answer, whole):
            assert [(call["name"], call["args"]) for call in message.tool_calls] == [
                ("add", {"a": 1, "b": 2}),
                ("shout", {"text": "é"}),
            ]
            assert len({call["id"] for call in message.tool_calls}) == 2
        pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
        assert [piece["index"] for piece in pieces] == [0, 1]
        assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert whole.usage_metadata == answer.usage_metadata
        assert chunks[-1].chunk_position == "last"


async def test_thinking_is_told_apart_from_text_in_both_forms_of_content():
    async with asking(THINKING) as model:
        answer = await model.ainvoke("hi")
        whole = summed([chunk async for chunk in model.astream("hi")])
        for message in (answer, whole):
            assert message.text == "so"
            assert message.additional_kwargs["reasoning_content"] == "hmm well"

        in_blocks = await model.model_copy(update={"output_version": "v1"}).ainvoke("hi")
        assert [block["type"] for block in in_blocks.content_blocks] == ["reasoning", "text"]
        assert (await model.ainvoke("hi", reasoning=False)).additional_kwargs == {}


async def test_stop_words_and_options_of_a_call_go_before_those_of_the_model():
    async with asking(max_tokens=4, stop=["one"]) as model:
        assert (await model.ainvoke("hi", stop=["three"])).text == "one two "
        assert (await model.ainvoke("hi", stop=[])).response_metadata["done_reason"] == "length"
        assert (await model.bind(num_predict=1, stop=[]).ainvoke("hi")).text == "one"


# -------------------------------------------------------------------------------------------- tools
async def test_a_tool_choice_of_none_offers_nothing_and_a_name_offers_one():
    async with asking(CLERK) as model:
        tools = [add, shout]
        assert not (await model.bind_tools(tools, tool_choice="none").ainvoke("hi")).tool_calls
        for choice in ("shout", {"type": "function", "function": {"name": "shout"}}):
            answer = await model.bind_tools(tools, tool_choice=choice).ainvoke("hi")
            assert [call["name"] for call in answer.tool_calls] == ["shout"]
            assert isinstance(answer.tool_calls[0]["args"]["text"], str)
            assert answer.text == ""


@pytest.mark.parametrize("choice", ["any", "required", True])
async def test_a_call_that_has_to_be_made_is_bound_by_the_grammar_and_streamed_as_a_call(choice: str | bool):
    async with asking(CLERK) as model:
        whole = summed([piece async for piece in model.bind_tools([add, shout], tool_choice=choice).astream("hi")])

        assert whole.text == ""
        assert len(whole.tool_calls) == 1
        assert not whole.invalid_tool_calls


async def test_a_call_that_has_to_be_made_is_asked_again_when_its_stream_breaks_as_nobody_has_a_piece_of_it():
    async with asking(faulty(FaultKind.DROP, after_chunks=3, times=1)) as model:
        whole = summed([piece async for piece in model.bind_tools([add], tool_choice="any").astream("hi")])
        assert [call["name"] for call in whole.tool_calls] == ["add"]


async def test_an_answer_that_had_to_be_a_call_and_is_none_twice_is_an_error():
    server = simulator()
    async with asking(server=server) as model:
        server.world.brains = Deaf(server)
        with pytest.raises(UnusableAnswer, match="had to be called"):
            await model.bind_tools([add], tool_choice="any").ainvoke("hi")
        assert len(server.truth.requests) == 2


class Deaf(Clerk):
    """Knows no grammar."""

    def answer(self, question):
        return iter(("one", " two"))


def test_a_choice_of_no_tool_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'subtract' is none of .*: add, shout"):
        ChatOllamaPool(model="m").bind_tools([add, shout], tool_choice="subtract")
    with pytest.raises(ValueError, match="bind at least one"):
        ChatOllamaPool(model="m").bind_tools([], tool_choice="any")


async def test_a_tools_result_is_told_with_the_tools_name():
    server = simulator([CLERK])
    async with asking(CLERK, server=server) as model:
        heard = server.world.brains = Listening(server)
        call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}
        said = AIMessage(
            [{"type": "reasoning", "reasoning": "so"}, {"type": "text", "text": "I add."}], tool_calls=[call]
        )
        await model.ainvoke(
            [SystemMessage("be good"), HumanMessage("1 + 2"), said, ToolMessage("3", tool_call_id="c1")]
        )

        system, human, answer, result = heard.messages
        assert (system.content, human.content, answer.content) == ("be good", "1 + 2", "I add.")
        assert (answer.thinking, answer.tool_uses[0].name, answer.tool_uses[0].arguments) == (
            "so",
            "add",
            {"a": 1, "b": 2},
        )
        assert (result.role, result.content, result.tool_name) == ("tool", "3", "add")


class Listening(Clerk):
    messages = ()

    def answer(self, question):
        self.messages = question.messages
        return super().answer(question)


# -------------------------------------------------------------------------------------------- failures
async def test_errors_are_the_pools_own():
    async with asking(model="nowhere") as model:
        with pytest.raises(ModelNotFound) as caught:
            await model.ainvoke("hi")
        assert caught.value.hint == "ollama pull nowhere"


async def test_a_deadline_ends_a_call():
    async with asking(server=paced(), model="endless", timeout=0.1) as model:
        with pytest.raises(DeadlinePassed):
            await model.ainvoke("hi")


async def test_an_answer_that_breaks_once_is_asked_again_unless_somebody_has_a_piece_of_it():
    breaking = faulty(FaultKind.DROP, after_chunks=2, times=1)
    async with asking(breaking) as model:
        assert (await model.ainvoke("hi")).text == "one two three four five"
    async with asking(breaking) as model:
        with pytest.raises(StreamBroken):
            [chunk async for chunk in model.astream("hi")]


async def test_cancelling_an_answer_stops_the_server():
    server = paced()
    async with asking(server=server, model="endless") as model:
        invoking = asyncio.create_task(model.ainvoke("hi"))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        invoking.cancel()
        await asyncio.wait([invoking])

        assert invoking.cancelled()
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_leaving_a_stream_stops_the_server():
    server = paced()
    async with asking(server=server, model="endless") as model:
        async with aclosing(model.astream("hi")) as chunks:
            async for _ in chunks:
                break
        await server.truth.until(lambda truth: not truth.in_slots())


# -------------------------------------------------------------------------------------------- without a loop
async def test_synchronous_calls_use_the_pool_given_from_another_thread_and_are_refused_in_its_loop():
    async with asking() as model:
        answer = await asyncio.to_thread(model.invoke, "hi")
        chunks = await asyncio.to_thread(lambda: list(model.stream("hi")))
        assert summed(chunks).text == answer.text == "one two three four five"

        with pytest.raises(WouldBlock):
            model.invoke("hi")
        with pytest.raises(WouldBlock):
            next(model.stream("hi"))


async def test_leaving_a_synchronous_stream_stops_the_server():
    server = paced()

    def first(model: ChatOllamaPool) -> str:
        chunks = model.stream("hi")
        piece = next(chunks)
        chunks.close()
        return piece.text

    async with asking(server=server, model="endless") as model:
        assert await asyncio.to_thread(first, model)
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_a_pool_and_its_loop_belong_together():
    async with asking() as model:
        elsewhere = await asyncio.to_thread(lambda: ChatOllamaPool(model="words", pool=model.pool))
        with pytest.raises(RuntimeError, match="give loop="):
            elsewhere.invoke("hi")
        assert (await elsewhere.ainvoke("hi")).text == "one two three four five"
    with pytest.raises(ValidationError, match="give the pool"):
        ChatOllamaPool(model="words", loop=asyncio.get_running_loop())


# -------------------------------------------------------------------------------------------- arguments
def test_options_may_stand_beside_the_fields_and_none_says_nothing():
    model = ChatOllamaPool(
        model="m", options={"top_k": 3, "seed": 1}, seed=2, temperature=None, max_tokens=9, stop="x", timeout=5
    )
    assert model.options == {"top_k": 3, "seed": 2, "num_predict": 9, "stop": ["x"]}
    assert model.call == Call(deadline=5)
    assert ChatOllamaPool(model="m", call={"client": "me", "deadline": 3}, timeout=5).call == Call(
        client="me", deadline=3
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base_url": "http://127.0.0.1:1"}, "servers are the pool's"),
        ({"temprature": 1}, "'temprature' is unknown"),
        ({"seed": {"of": 1}}, "option 'seed'"),
        ({"timeout": "soon"}, "number of seconds"),
        ({"call": {"band": "vip"}}, "vip"),
    ],
)
def test_what_is_not_understood_is_refused_when_the_model_is_made(given: dict[str, object], said: str):
    with pytest.raises(ValidationError, match=said):
        ChatOllamaPool(model="m", **given)


async def test_what_is_not_understood_in_a_call_is_refused():
    model = ChatOllamaPool(model="m")
    with pytest.raises(TypeError, match="temprature"):
        await model.ainvoke("hi", temprature=1)
    with pytest.raises(BadMessage, match="function"):
        await model.ainvoke([FunctionMessage("3", name="add")])
    with pytest.raises(BadMessage, match="'audio'"):
        await model.ainvoke([HumanMessage([{"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}])])
    with pytest.raises(BadMessage, match="not fetched"):
        await model.ainvoke([HumanMessage([{"type": "image", "url": "http://127.0.0.1/a.png"}])])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        {"type": "image", "url": "data:image/png;base64,aGk="},
        {"type": "image", "source": {"type": "url", "url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;BASE64,aGk="}},
    ],
    ids=str,
)
def test_an_image_in_base64_is_taken_out_of_each_form_it_comes_in(block: dict[str, object]):
    assert conversation([HumanMessage([block])])[0].images == ("aGk=",)


async def test_the_pool_is_no_part_of_what_is_shown_or_stored():
    async with asking() as model:
        assert "pool" not in model.model_dump()
        assert "OllamaConnectionPool" not in repr(model)


async def test_a_model_with_a_pool_is_copied_over_the_same_pool_and_says_why_it_is_not_pickled():
    async with asking() as model:
        for same in (copy.deepcopy(model), model.model_copy(deep=True), copy.deepcopy(model.bind(seed=1)).bound):
            assert (same.pool, same.loop) == (model.pool, model.loop)
            assert same.options is not model.options
            assert (await same.ainvoke("hi")).text == "one two three four five"
        with pytest.raises(TypeError, match="given a pool cannot be pickled"):
            pickle.dumps(model)
    alone = ChatOllamaPool(model="m", temperature=0)
    assert pickle.loads(pickle.dumps(alone)) == alone


def test_tokens_are_counted_without_fetching_a_tokenizer():
    model = ChatOllamaPool(model="m")
    assert model.get_num_tokens("a few words") > 3
    assert model.get_num_tokens_from_messages([HumanMessage("a few words")], [add]) > model.get_num_tokens(
        "a few words"
    )
    with pytest.raises(NotImplementedError, match="get_num_tokens"):
        model.get_token_ids("a few words")


def test_traces_know_the_model_and_its_options():
    told = ChatOllamaPool(model="m", temperature=0, max_tokens=3)._get_ls_params(stop=["x"], seed=1)
    assert told == {
        "ls_provider": "ollama",
        "ls_model_name": "m",
        "ls_model_type": "chat",
        "ls_temperature": 0,
        "ls_max_tokens": 3,
        "ls_stop": ["x"],
    }
