"""A pool of one's own in more than one event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import pytest

from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.errors import OtherLoop, PoolClosed
from infrastructure.simulator import Fault, FaultKind, Simulator

SAID = "one two three four five"
T = TypeVar("T")


def there(other_loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, other_loop).result(30)


async def pulled(pool: OllamaConnectionPool) -> None:
    async for _ in pool.pull("words"):
        raise AssertionError("nothing comes")


async def preloaded(pool: OllamaConnectionPool) -> None:
    pool.preload(["words"])


ASKED: list[Callable[[OllamaConnectionPool], Awaitable[object]]] = [
    lambda pool: pool.generate(model="words", prompt="hi"),
    lambda pool: pool.generate(model="words", prompt="hi", options={"temperature": 0}),
    lambda pool: anext(pool.stream_generate(model="words", prompt="hi")),
    lambda pool: pool.embed(model="embedder", input="hi"),
    lambda pool: pool.models(),
    lambda pool: pool.show("words"),
    pulled,
    preloaded,
    lambda pool: pool.remove_server("gpu0"),
    lambda pool: pool.drain(),
]


@pytest.mark.parametrize("asked", ASKED)
def test_beside_its_own_loop_a_pool_is_refused_and_can_be_closed(
    asked: Callable[[OllamaConnectionPool], Awaitable[object]], server: Simulator, other_loop: asyncio.AbstractEventLoop
):
    pool = OllamaConnectionPool([server.url])

    async def here_too() -> None:
        with pytest.raises(OtherLoop) as caught:
            await asked(pool)
        assert "one for each loop" in caught.value.hint
        await pool.aclose()

    assert there(other_loop, pool.generate(model="words", prompt="hi")) == SAID
    asyncio.run(here_too())
    with pytest.raises(PoolClosed):
        there(other_loop, pool.generate(model="words", prompt="hi"))


def test_an_equal_question_that_is_under_way_in_another_loop_is_not_waited_for(
    server: Simulator, other_loop: asyncio.AbstractEventLoop
):
    pool, options = OllamaConnectionPool([server.url]), {"temperature": 0}
    server.set_fault("words", Fault(kind=FaultKind.HANG, after_chunks=2))
    first = asyncio.run_coroutine_threadsafe(pool.generate(model="words", prompt="hi", options=options), other_loop)

    async def under_way() -> None:
        while pool.snapshot().servers[0].in_flight == 0:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.001)

    async def second() -> None:
        with pytest.raises(OtherLoop):
            await pool.generate(model="words", prompt="hi", options=options)
        await pool.aclose()

    there(other_loop, under_way())
    asyncio.run(second())
    with pytest.raises(PoolClosed):
        first.result(30)


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # which is what Python says of a closed loop's connections
def test_a_pool_whose_loop_is_closed_says_so_and_is_let_go(server: Simulator):
    def lives_and_goes(pool: OllamaConnectionPool) -> None:
        assert asyncio.run(pool.generate(model="words", prompt="hi")) == SAID
        with pytest.raises(OtherLoop, match="which is closed"):
            asyncio.run(pool.generate(model="words", prompt="hi"))
        for _ in range(2):
            asyncio.run(pool.aclose())
        with pytest.raises(PoolClosed):
            asyncio.run(pool.generate(model="words", prompt="hi"))

    lives_and_goes(OllamaConnectionPool([server.url]))
    gc.collect()


def test_a_pool_that_was_never_asked_may_be_closed_anywhere():
    pool = OllamaConnectionPool(["http://127.0.0.1:1"])
    asyncio.run(pool.aclose())
    with pytest.raises(PoolClosed):
        asyncio.run(pool.generate(model="words", prompt="hi"))
