"""What only the synchronous face has."""

from __future__ import annotations

import asyncio
import threading

import pytest

from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, configure_ollama_pool
from infrastructure.local_llm import LocalLLM
from infrastructure.pool.errors import PoolClosed
from infrastructure.pool.loop_thread import WouldBlock
from infrastructure.simulator import Simulator
from tests.pool.servers import paced, pool_over, simulator


@pytest.fixture(autouse=True)
def _not_configured_afterwards():
    yield
    configure_ollama_pool(None)


def over(server: Simulator, model: str = "words") -> LocalLLM:
    configure_ollama_pool(Settings(servers=(ServerSettings(url=server.url),)))
    return LocalLLM(model)


async def test_generate_async_lets_the_loop_go_on():
    async with paced() as server:
        with over(server, "endless") as llm:
            asking = asyncio.create_task(llm.generate_async("hi", num_predict=20))
            turns = 0
            while not asking.done():
                await asyncio.sleep(0)
                turns += 1
            await asyncio.to_thread(llm.close)

        assert len((await asking).split()) == 20 // 2 + 1
        assert turns > 20


async def test_cancelling_generate_async_stops_the_server():
    async with paced() as server:
        llm = over(server, "endless")
        asking = asyncio.create_task(llm.generate_async("hi"))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        asking.cancel()
        await server.truth.until(lambda truth: not truth.in_slots())
        await asyncio.to_thread(llm.close)

        assert asking.cancelled()


async def test_closing_fails_calls_under_way_and_ends_the_thread():
    async with paced() as server:
        llm = over(server, "endless")
        asking = asyncio.create_task(asyncio.to_thread(llm.generate, "hi"))
        await server.truth.until(lambda truth: any(record.tokens_made for record in truth.requests))
        await asyncio.to_thread(llm.close)
        await asyncio.wait([asking])

        assert isinstance(asking.exception(), PoolClosed)
        assert not [thread for thread in threading.enumerate() if thread.name == "corral-llm"]
        with pytest.raises(PoolClosed):
            llm.generate("hi")
        llm.close()


async def test_closing_from_within_a_call_is_refused_instead_of_hanging():
    async with simulator() as server:
        llm = over(server)
        closing: list[type[WouldBlock]] = []

        def close(_: object) -> None:
            try:
                llm.close()
            except WouldBlock as refused:
                closing.append(type(refused))

        answer = await asyncio.wait_for(asyncio.to_thread(llm.bound(on_delta=close).generate, "hi"), 10)
        await asyncio.to_thread(llm.close)

        assert answer == "one two three four five"
        assert set(closing) == {WouldBlock}
        assert not [thread for thread in threading.enumerate() if thread.name == "corral-llm"]


async def test_the_synchronous_call_from_the_loop_of_a_borrowed_pool_is_refused_instead_of_hanging():
    async with pool_over(simulator()) as pool:
        llm = LocalLLM("words", pool=pool, loop=asyncio.get_running_loop())
        with pytest.raises(WouldBlock):
            llm.generate("hi")
        with pytest.raises(WouldBlock):
            next(iter(llm.stream("hi")))

        assert await llm.generate_async("hi")
        llm.close()
        assert await pool.generate(model="words", prompt="hi")


def test_a_pool_without_its_loop_is_refused():
    with pytest.raises(ValueError, match="both pool and loop"):
        LocalLLM("words", pool=OllamaConnectionPool())


def test_a_model_that_was_never_asked_closes():
    with LocalLLM("words"):
        pass


async def test_many_threads_may_ask_at_once():
    async with simulator() as server:
        llm = over(server)
        texts = await asyncio.gather(*(asyncio.to_thread(llm.generate, "hi") for _ in range(20)))
        await asyncio.to_thread(llm.close)

        assert set(texts) == {"one two three four five"}
