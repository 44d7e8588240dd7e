"""Ordinary calls, over simulated servers by HTTP."""

from __future__ import annotations

import logging
from asyncio import TaskGroup

import pytest
from pydantic import BaseModel

from agents.model import Message, Tool
from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import Band, Call, CallState, CallUpdate, OllamaConnectionPool
from infrastructure.pool import fleet
from infrastructure.pool.inventory import Inventory
from infrastructure.pool.lanes import BadOption
from infrastructure.pool.messages import BadMessage
from infrastructure.simulator import ModelSpec
from infrastructure.transport.errors import CloudModelRefused, ContextExceeded, ModelNotFound
from tests.pool.servers import MODELS, WORDS, ask, paced, pool_over, simulator


async def test_generate_returns_the_text():
    async with pool_over(simulator()) as pool:
        assert await pool.generate(model="words", prompt="hi") == "one two three four five"


async def test_chat_returns_a_reply_that_says_how_it_came_to_be():
    async with pool_over(simulator()) as pool:
        reply = await pool.chat(model="words", messages=[Message("user", "hi")], call=Call(band="batch"))

        assert reply.text == "one two three four five"
        assert (reply.finish, reply.server, reply.attempts) == ("stop", "gpu0", 1)
        assert reply.completion.text == reply.text
        assert reply.completion.prompt_tokens == reply.metrics.prompt_tokens > 0
        assert reply.completion.completion_tokens == reply.metrics.completion_tokens > 0


async def test_a_stream_gives_pieces_and_then_the_reply():
    async with pool_over(simulator()) as pool, pool.stream_chat(model="words", messages=ask()) as stream:
        assert stream.reply is None
        chunks = [chunk async for chunk in stream]

        assert "".join(chunk.text for chunk in chunks) == "one two three four five"
        assert [chunk.final is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert stream.reply is not None
        assert stream.reply.text == "one two three four five"


async def test_messages_and_tools_may_be_of_ollamas_shape():
    tool = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
    messages = [
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
        {"role": "tool", "content": "2", "tool_name": "add"},
    ]
    async with pool_over(simulator()) as pool:
        theirs = await pool.chat(model="words", messages=messages, tools=[tool])
        ours = await pool.chat(model="words", messages=messages, tools=[Tool("add", "adds", {"type": "object"})])

        assert theirs.metrics.prompt_tokens == ours.metrics.prompt_tokens


@pytest.mark.parametrize(
    "message",
    [
        {"role": "wizard", "content": "hi"},
        {"role": "user", "content": "hi", "images": "aGk="},
        {"role": "user", "content": "hi", "audio": ["aGk="]},
        {"role": "user", "content": 3},
        {"content": "hi"},
    ],
)
async def test_a_message_that_would_not_reach_the_model_as_meant_is_refused(message: dict[str, object]):
    async with pool_over(simulator()) as pool:
        with pytest.raises(BadMessage):
            await pool.chat(model="words", messages=[message])


async def test_embed_gives_a_vector_for_each_text_in_order():
    async with pool_over(simulator()) as pool:
        vectors = await pool.embed(model="embedder", input=["one", "two", "one"])

        assert len(vectors) == 3
        assert vectors[0] == vectors[2] != vectors[1]
        assert (await pool.embed(model="embedder", input="two")) == [vectors[1]]


async def test_a_watcher_sees_every_state_of_a_call_and_at_last_the_reply():
    seen: list[CallUpdate] = []
    async with pool_over(simulator()) as pool:
        reply = await pool.chat(model="words", messages=ask(), watch=seen.append)

        states = ["queued", "placed", "connecting", "waiting", "streaming", "done"]
        assert [update.state for update in seen] == [CallState(state) for state in states]
        assert {update.server for update in seen[1:]} == {"gpu0"}
        assert seen[1].loaded is False
        assert seen[-1].reply == reply


async def test_a_watcher_is_told_when_the_model_is_loaded_already():
    seen: list[CallUpdate] = []
    async with pool_over(simulator()) as pool:
        await pool.chat(model="words", messages=ask())
        await pool.chat(model="words", messages=ask(), watch=seen.append)

        assert seen[-1].loaded is True


async def test_a_watcher_of_a_waiting_call_is_told_how_many_go_before_it():
    server = paced()
    async with pool_over(server) as pool:
        positions: list[int | None] = []

        def watch(update: CallUpdate) -> None:
            if update.state is CallState.QUEUED:
                positions.append(update.position)

        async with TaskGroup() as group:
            group.create_task(pool.chat(model="words", messages=ask()))
            await server.truth.until(lambda truth: bool(truth.in_slots()))
            for band in ("speculative", "interactive", "interactive"):
                group.create_task(pool.chat(model="words", messages=ask(), call=Call(band=band), watch=watch))

        assert positions[:3] == [0, 0, 1]


async def test_an_error_of_the_watcher_fails_the_call_and_frees_the_slot():
    def broken(update: CallUpdate) -> None:
        if update.state is CallState.STREAMING:
            raise ZeroDivisionError

    async with pool_over(simulator()) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.chat(model="words", messages=ask(), watch=broken)

        assert pool.snapshot().servers[0].in_flight == 0
        assert (await pool.chat(model="words", messages=ask())).text


async def test_a_name_of_a_lane_stands_for_its_model_and_options():
    lanes = {"coder": LaneSettings(model="words", num_ctx=2048, keep_alive="30m")}
    server = simulator()
    async with pool_over(server, lanes=lanes) as pool:
        reply = await pool.chat(model="coder", messages=ask())

        assert reply.model == "words"
        assert [load.num_ctx for load in server.truth.loads] == [2048]


async def test_equal_lanes_do_not_reload_and_a_different_one_is_said_once_in_the_log(
    caplog: pytest.LogCaptureFixture,
):
    server = simulator()
    async with pool_over(server, lanes={"words": LaneSettings(model="words", num_ctx=2048)}) as pool:
        with caplog.at_level(logging.WARNING, "infrastructure.pool"):
            for _ in range(2):
                await pool.generate(model="words", prompt="hi")
                await pool.generate(model="words", prompt="hi", options={"num_ctx": 2048, "temperature": 0})
            assert len(server.truth.loads) == 1
            assert not caplog.records

            for _ in range(2):
                await pool.generate(model="words", prompt="hi", options={"num_ctx": 1024})

        assert [load.num_ctx for load in server.truth.loads] == [2048, 1024]
        assert [record.getMessage().count("num_ctx=1024") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    "options", [{"num_ctx": "many"}, {"num_ctx": -1}, {"num_ctx": 0}, {"num_ctx": True}, {"num_batch": -512}], ids=str
)
async def test_a_load_option_that_cannot_be_meant_is_refused_before_sending(options: dict[str, object]):
    server = simulator()
    async with pool_over(server) as pool:
        with pytest.raises(BadOption):
            await pool.generate(model="words", prompt="hi", options=options)
        assert server.truth.connections == 0


async def test_the_answer_is_bounded_by_the_setting_or_by_the_call():
    async with pool_over(simulator()) as pool:
        assert (await pool.chat(model="endless", messages=ask(), options={"num_predict": 7})).finish == "length"
        reply = await pool.chat(model="endless", messages=ask(), options={"num_ctx": 32768})

        assert reply.metrics.completion_tokens == 4096


async def test_the_answer_is_bounded_to_what_the_window_has_left():
    async with pool_over(simulator()) as pool:
        reply = await pool.chat(model="endless", messages=ask("word " * 300), options={"num_ctx": 1024})

        assert reply.finish == "length"
        assert 128 <= reply.metrics.completion_tokens < 1024 - reply.metrics.prompt_tokens


async def test_the_window_of_a_lane_without_one_is_learned_from_the_server():
    server = simulator(num_ctx=1024)
    async with pool_over(server) as pool:
        await pool.chat(model="endless", messages=ask(), options={"num_predict": 1})
        await pool.models()
        reply = await pool.chat(model="endless", messages=ask("word " * 300), options={"num_predict": -1})

        assert reply.metrics.prompt_tokens + reply.metrics.completion_tokens <= 1024


async def test_a_prompt_longer_than_the_window_is_refused_with_the_count():
    async with pool_over(simulator()) as pool:
        with pytest.raises(ContextExceeded) as caught:
            await pool.chat(model="words", messages=ask("word " * 3000), options={"num_ctx": 1024})

        assert caught.value.window == 1024


async def test_a_model_that_no_server_has_is_refused_with_what_there_is():
    async with pool_over(simulator(), simulator()) as pool:
        with pytest.raises(ModelNotFound) as caught:
            await pool.chat(model="nowhere", messages=ask())

        assert caught.value.hint == "ollama pull nowhere"
        assert "words:latest" in str(caught.value)


async def test_a_call_goes_only_where_the_model_is():
    first, second = simulator([WORDS]), simulator()
    async with pool_over(first, second) as pool:
        replies = [await pool.chat(model="other", messages=ask()) for _ in range(3)]

        assert {reply.server for reply in replies} == {"gpu1"}
        assert not first.truth.requests


async def test_a_model_pulled_meanwhile_is_found():
    server = simulator([WORDS], known_to_registry=("late",))
    async with pool_over(server) as pool:
        with pytest.raises(ModelNotFound):
            await pool.generate(model="late", prompt="hi")
        steps = [step.status async for step in pool.pull("late")]

        assert steps[-1] == "success"
        assert await pool.generate(model="late", prompt="hi")


async def test_a_call_goes_where_the_model_is_loaded():
    first, second = simulator(), simulator()
    async with pool_over(first, second) as pool:
        there = (await pool.chat(model="other", messages=ask())).server
        for _ in range(4):
            assert (await pool.chat(model="other", messages=ask())).server == there

        assert len(first.truth.loads) + len(second.truth.loads) == 1


async def test_what_other_clients_have_loaded_counts_from_the_first_call_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleet, "SETTLE_SECONDS", 60.0)  # however slow the machine, both servers are heard
    first, second = simulator(), simulator()
    async with pool_over(first, second) as pool:
        async with OllamaConnectionPool([second.url]) as others:
            await others.generate(model="words", prompt="hi")

        assert (await pool.chat(model="words", messages=ask())).server == "gpu1"


async def test_calls_at_once_use_every_slot_and_never_more():
    first, second = paced(slots=2), paced(slots=2)
    async with pool_over(first, second, slots=2) as pool, TaskGroup() as group:
        for _ in range(12):
            group.create_task(pool.generate(model="words", prompt="hi"))

    assert first.truth.most_at_once() == second.truth.most_at_once() == 2
    assert len(first.truth.requests) + len(second.truth.requests) == 12


async def test_a_cloud_model_is_refused_unless_allowed():
    async with pool_over(simulator()) as pool:
        with pytest.raises(CloudModelRefused):
            await pool.generate(model="gpt-oss:120b-cloud", prompt="hi")


async def test_models_say_which_servers_hold_and_have_loaded_them():
    async with pool_over(simulator([WORDS]), simulator()) as pool:
        await pool.generate(model="other", prompt="hi")
        models = {model.name: model for model in await pool.models()}

        assert set(models) == {f"{model.name}:latest" for model in MODELS}
        assert models["words:latest"].servers == ("gpu0", "gpu1")
        assert models["other:latest"].servers == models["other:latest"].loaded_on == ("gpu1",)


async def test_show_asks_a_server_that_holds_the_model():
    async with pool_over(simulator([WORDS]), simulator()) as pool:
        assert "completion" in (await pool.show("other")).capabilities
        with pytest.raises(ModelNotFound):
            await pool.show("nowhere")
        with pytest.raises(ModelNotFound):
            await pool.show("other", server="gpu0")


async def test_a_snapshot_shows_calls_slots_and_figures():
    server = paced()
    async with pool_over(server) as pool:
        before = pool.snapshot()
        assert (before.servers[0].health, before.servers[0].models) == ("unknown", None)

        async with pool.stream_chat(model="endless", messages=ask(), call=Call(client="ui")) as stream:
            await anext(stream)
            during = pool.snapshot()
        after = pool.snapshot()

    assert during.in_flight[Band.INTERACTIVE] == 1
    assert during.clients == {"ui": 1}
    assert [(lane.busy, lane.free) for lane in during.servers[0].lanes] == [(1, 0)]
    assert [(lane.busy, lane.free) for lane in after.servers[0].lanes] == [(0, 1)]
    assert (after.calls.cancelled, after.calls.done) == (1, 0)
    assert after.in_flight[Band.INTERACTIVE] == 0


async def test_figures_are_those_of_the_server():
    async with pool_over(paced(tokens_per_second=500)) as pool:
        for _ in range(3):
            reply = await pool.chat(model="words", messages=ask())
        (lane,) = pool.snapshot().servers[0].lanes

        assert lane.figures.calls == 3
        rate = reply.metrics.completion_tokens / (reply.metrics.decode_ns / 1e9)
        assert lane.figures.decode_tokens_per_second == pytest.approx(rate, rel=0.5)


async def test_a_schema_reaches_the_server():
    class Answer(BaseModel):
        count: int

    async with pool_over(simulator([ModelSpec(name="json", brain="schema")])) as pool:
        reply = await pool.chat(model="json", messages=ask(), format=Answer.model_json_schema())

        Answer.model_validate_json(reply.text)


async def test_minding_calls_before_any_server_has_answered_costs_each_the_same(monkeypatch: pytest.MonkeyPatch):
    asked = 0
    looking = Inventory.looking

    def counted(inventory: Inventory, server: str) -> bool:
        nonlocal asked
        asked += 1
        return looking(inventory, server)

    monkeypatch.setattr(Inventory, "looking", counted)
    calls = 100
    async with pool_over(simulator()) as pool, TaskGroup() as group:
        for number in range(calls):
            group.create_task(pool.generate(model="words", prompt=f"{number}"))

    assert asked < 10 * calls
