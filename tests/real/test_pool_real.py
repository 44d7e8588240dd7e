"""The pool against a real Ollama server, named by CORRAL_TEST_OLLAMA, with the models of tests/real.

Proves what a simulator cannot: that streams, cancels, queues, loads, errors and truncation are as we believe.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, CallUpdate, OllamaConnectionPool
from infrastructure.local_llm import AsyncLocalLLM, LocalLLM
from infrastructure.pool.errors import NoServerAvailable
from infrastructure.transport.errors import ContextExceeded, ModelNotFound, OllamaError, RequestRefused

ADDRESS = os.environ.get("CORRAL_TEST_OLLAMA", "")
ONE_THREAD = {"num_thread": 1}
"""Several runners on a machine with few cores slow each other a hundredfold with the default."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ADDRESS, reason="CORRAL_TEST_OLLAMA names no server"),
    pytest.mark.timeout(300),
]


@pytest.fixture
async def pool() -> AsyncIterator[OllamaConnectionPool]:
    async with OllamaConnectionPool([ServerSettings(url=ADDRESS, name="real")]) as opened:
        yield opened


def ask(text: str = "hi") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Reached:
    """Says when a call has reached a state."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.states: list[str] = []
        self.event = asyncio.Event()

    def __call__(self, update: CallUpdate) -> None:
        self.states.append(update.state)
        if update.state == self.state:
            self.event.set()


async def test_a_stream_arrives_in_pieces_and_is_the_whole_answer(pool: OllamaConnectionPool):
    async with pool.stream_chat(model="words", messages=ask(), options=ONE_THREAD) as stream:
        pieces = [chunk.text async for chunk in stream if chunk.text]
    reply = await pool.chat(model="words", messages=ask(), options=ONE_THREAD)

    assert len(pieces) > 5
    assert "".join(pieces) == reply.text != ""
    assert reply.finish == "stop"
    assert reply.metrics.completion_tokens > 5
    assert reply.metrics.total_ns >= reply.metrics.decode_ns > 0


async def test_generate_and_both_local_models_say_the_same(pool: OllamaConnectionPool):
    text = await pool.generate(model="words", prompt="hi", options=ONE_THREAD)

    assert await AsyncLocalLLM("words", pool=pool, options=ONE_THREAD).generate("hi") == text
    synchronous = LocalLLM("words", pool=pool, loop=asyncio.get_running_loop(), options=ONE_THREAD)
    assert await asyncio.to_thread(synchronous.generate, "hi") == text


async def test_leaving_a_stream_frees_the_servers_slot_at_once(pool: OllamaConnectionPool):
    async with pool.stream_chat(model="endless", messages=ask(), options=ONE_THREAD) as stream:
        for _ in range(5):
            await anext(stream)
    left = time.monotonic()
    # The server's only slot would be taken for thousands of tokens more, had it not stopped.
    reply = await pool.chat(model="endless", messages=ask(), options={"num_predict": 2, **ONE_THREAD})

    assert reply.finish == "length"
    assert reply.metrics.slot_wait_ns < 2e9
    assert time.monotonic() - left < 20


async def test_a_cancelled_call_frees_the_servers_slot_at_once(pool: OllamaConnectionPool):
    streaming = Reached("streaming")
    asking = asyncio.create_task(pool.chat(model="endless", messages=ask(), options=ONE_THREAD, watch=streaming))
    await streaming.event.wait()
    asking.cancel()
    await asyncio.wait([asking])
    reply = await pool.chat(model="endless", messages=ask(), options={"num_predict": 2, **ONE_THREAD})

    assert reply.metrics.slot_wait_ns < 2e9


async def test_calls_wait_in_our_queue_and_not_in_the_servers(pool: OllamaConnectionPool):
    await pool.chat(model="endless", messages=ask(), options={"num_predict": 1, **ONE_THREAD})
    options = {"num_predict": 50, **ONE_THREAD}
    replies = await asyncio.gather(*(pool.chat(model="endless", messages=ask(), options=options) for _ in range(6)))

    assert all(reply.metrics.slot_wait_ns < 0.2e9 for reply in replies)
    assert max(reply.queued_seconds for reply in replies) > 0
    assert len({reply.text for reply in replies}) == 1


async def test_a_person_goes_before_waiting_jobs(pool: OllamaConnectionPool):
    ended: list[str] = []

    async def one(band: str) -> None:
        await pool.chat(
            model="endless", messages=ask(), options={"num_predict": 30, **ONE_THREAD}, call=Call(band=band)
        )
        ended.append(band)

    await asyncio.gather(*(one(band) for band in ("batch", "batch", "batch", "interactive")))

    assert ended.index("interactive") <= 1


async def test_a_speculative_call_gives_way_and_is_answered_afterwards(pool: OllamaConnectionPool):
    options = {"num_predict": 300, **ONE_THREAD}
    speculative = Call(band="speculative")
    streaming = Reached("streaming")
    guess = asyncio.create_task(
        pool.chat(model="endless", messages=ask(), options=options, call=speculative, watch=streaming)
    )
    await streaming.event.wait()
    await pool.chat(model="endless", messages=ask(), options={"num_predict": 2, **ONE_THREAD})

    assert (await guess).metrics.completion_tokens == 300
    assert "preempted" in streaming.states


async def test_the_load_of_a_model_is_seen(pool: OllamaConnectionPool):
    for window in (256, 512):  # a changed window reloads
        options = {"num_ctx": window, "num_predict": 1, **ONE_THREAD}
        reply = await pool.chat(model="words", messages=ask(), options=options)
    await pool.models()
    loaded = {model.model: model for model in pool.snapshot().servers[0].loaded}

    assert reply.metrics.load_ns > 0
    assert loaded["words:latest"].context_length == 512


async def test_a_missing_model_is_an_error_with_the_pull_command(pool: OllamaConnectionPool):
    with pytest.raises(ModelNotFound) as caught:
        await pool.chat(model="nowhere", messages=ask())

    assert caught.value.hint == "ollama pull nowhere"
    assert "words:latest" in str(caught.value)


async def test_a_request_that_the_model_cannot_serve_is_an_error_of_the_request(pool: OllamaConnectionPool):
    with pytest.raises(RequestRefused):
        await pool.chat(model="words", messages=ask(), think=True, options=ONE_THREAD)


async def test_a_prompt_longer_than_the_window_is_refused_instead_of_cut(pool: OllamaConnectionPool):
    with pytest.raises(OllamaError) as caught:
        await pool.chat(model="words", messages=ask("word " * 2000), options={"num_ctx": 512, **ONE_THREAD})

    assert isinstance(caught.value, ContextExceeded)


async def test_prompt_and_answer_stay_within_the_window(pool: OllamaConnectionPool):
    options = {"num_ctx": 1024, "num_predict": -1, **ONE_THREAD}
    for _ in range(2):  # the first teaches how many tokens a byte makes of this model
        try:
            reply = await pool.chat(model="endless", messages=ask("x" * 600), options=options)
        except OllamaError:
            continue

    assert reply.metrics.prompt_tokens + reply.metrics.completion_tokens <= 1024


async def test_embeddings_are_normalised_and_keep_their_order(pool: OllamaConnectionPool):
    vectors = await pool.embed(model="embedder", input=["one", "two", "one"])

    assert len(vectors) == 3
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
    assert sum(value * value for value in vectors[0]) == pytest.approx(1, abs=1e-3)


async def test_a_cancel_during_prompt_evaluation_costs_at_most_one_batch(pool: OllamaConnectionPool):
    options = {"num_ctx": 8192, "num_predict": 2, **ONE_THREAD}
    await pool.chat(model="noise-small", messages=ask(), options=options)
    asking = asyncio.create_task(pool.chat(model="noise-small", messages=ask("evaluate this " * 400), options=options))
    await asyncio.sleep(0.3)
    asking.cancel()
    await asyncio.wait([asking])
    reply = await pool.chat(model="noise-small", messages=ask(), options=options)

    assert reply.metrics.slot_wait_ns < 30e9


async def test_what_is_nowhere_listening_is_no_server():
    async with OllamaConnectionPool(["http://127.0.0.1:9"]) as pool:
        with pytest.raises(NoServerAvailable):
            await pool.generate(model="words", prompt="hi")
