"""What only the asynchronous face has."""

from __future__ import annotations

import asyncio

import pytest

from agents.model import Message, Question
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import (
    Call,
    CallUpdate,
    close_ollama_pool,
    configure_ollama_pool,
    get_ollama_pool,
)
from infrastructure.local_llm import AsyncLocalLLM, Delta, Restarted, TextDelta
from infrastructure.pool.errors import NoServerAvailable, PoolClosed
from tests.pool.servers import ask, paced, pool_over, simulator


@pytest.fixture(autouse=True)
async def _closed_afterwards():
    yield
    await close_ollama_pool()
    configure_ollama_pool(None)


async def test_without_a_pool_it_uses_that_of_the_process_which_reads_ollama_host_when_first_used(
    monkeypatch: pytest.MonkeyPatch,
):
    llm = AsyncLocalLLM("words")
    async with simulator() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert await llm.generate("hi")
        assert (await get_ollama_pool()).snapshot().servers[0].url == server.url
        assert await get_ollama_pool() is await get_ollama_pool()
        await close_ollama_pool()


async def test_the_process_wide_pool_can_be_configured_until_it_is_made():
    settings = Settings(servers=({"url": "http://127.0.0.1:1"}, {"url": "http://127.0.0.1:2"}))
    configure_ollama_pool(settings)
    pool = await get_ollama_pool()

    assert len(pool.snapshot().servers) == 2
    with pytest.raises(RuntimeError):
        configure_ollama_pool(None)
    await close_ollama_pool()
    with pytest.raises(PoolClosed):
        await pool.generate(model="words", prompt="hi")
    assert await get_ollama_pool() is not pool


async def test_the_pool_of_the_process_is_made_with_its_server_down():
    configure_ollama_pool(Settings(servers=({"url": "http://127.0.0.1:1"},)))

    with pytest.raises(NoServerAvailable):
        await AsyncLocalLLM("words").generate("hi")


async def test_cancelling_an_answer_stops_the_server():
    server = paced()
    async with pool_over(server) as pool:
        question = Question(messages=(Message("user", "hi"),))
        asking = asyncio.create_task(AsyncLocalLLM("endless", pool=pool).answer(question))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_what_is_bound_is_used_and_the_original_is_left_alone():
    async with pool_over(simulator()) as pool:
        seen: list[CallUpdate] = []
        llm = AsyncLocalLLM("words", pool=pool)
        bound = llm.bound(watch=seen.append).bound(call=Call(client="other"))

        await llm.generate("hi")
        assert not seen
        await bound.generate("hi")
        assert seen[-1].reply is not None


async def test_options_that_no_documentation_has_may_be_given_to_the_model_but_not_what_is_said_elsewhere():
    async with pool_over(simulator()) as pool:
        assert (
            await AsyncLocalLLM("words", pool=pool, options={"newest": 1, "num_predict": 2}).generate("hi") == "one two"
        )
        with pytest.raises(TypeError, match="num_predict"):
            AsyncLocalLLM("words", pool=pool, options={"max_tokens": 2})
        with pytest.raises(TypeError, match="num_predict"):
            await AsyncLocalLLM("words", pool=pool).chat(ask(), options={"max_tokens": 2})


async def test_a_watched_speculative_answer_that_gave_way_begins_anew():
    server = paced()
    async with pool_over(server) as pool:
        deltas: list[Delta] = []
        guess = AsyncLocalLLM("endless", pool=pool, call=Call(band="speculative"), options={"num_predict": 20})
        guessing = asyncio.create_task(guess.bound(on_delta=deltas.append).chat(ask()))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        await pool.chat(model="endless", messages=ask(), options={"num_predict": 2})
        completion = await guessing

        last = max((i for i, delta in enumerate(deltas) if isinstance(delta, Restarted)), default=-1)
        pieces = deltas[last + 1 :]
        assert completion.text == "".join(delta.text for delta in pieces if isinstance(delta, TextDelta))
        assert completion.completion_tokens == 20
        assert pool.snapshot().calls.preempted == 1
