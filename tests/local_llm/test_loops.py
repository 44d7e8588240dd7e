"""The pool of the process, where loops come and go."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing

import pytest

from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import close_ollama_pool, configure_ollama_pool, get_ollama_pool
from infrastructure.local_llm import AsyncLocalLLM
from infrastructure.pool.errors import OtherLoop, PoolClosed
from infrastructure.pool.process import ProcessWide
from tests.chat_model.clerk import clerk
from tests.pool.servers import MODELS

SAID = "one two three four five"
LLM = AsyncLocalLLM("words")


@pytest.fixture(autouse=True)
def _served() -> Iterator[None]:
    with clerk(MODELS) as server:
        configure_ollama_pool(Settings(servers=(ServerSettings(url=server.url),)))
        yield
        asyncio.run(close_ollama_pool())
        configure_ollama_pool(None)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # which is what Python says of such a loop's connections
def test_each_loop_that_is_closed_leaves_its_pool_behind():
    async def last() -> str:
        answer = await LLM.generate("hi")
        await close_ollama_pool()
        return answer

    assert [asyncio.run(LLM.generate("hi")) for _ in range(3)] == [SAID] * 3
    asyncio.run(close_ollama_pool())
    assert asyncio.run(last()) == SAID
    gc.collect()


def test_a_second_loop_beside_the_first_is_refused_until_the_pool_is_closed_which_either_may_do(
    other_loop: asyncio.AbstractEventLoop,
):
    def there(work):
        return asyncio.run_coroutine_threadsafe(work, other_loop).result()

    async def here_too() -> str:
        with pytest.raises(OtherLoop) as caught:
            await LLM.generate("hi")
        assert "close_ollama_pool()" in caught.value.hint
        await close_ollama_pool()
        answer = await LLM.generate("hi")
        await close_ollama_pool()
        return answer

    assert there(LLM.generate("hi")) == SAID
    pool = there(get_ollama_pool())
    assert asyncio.run(here_too()) == SAID
    with pytest.raises(PoolClosed):
        there(pool.generate(model="words", prompt="hi"))
    assert there(LLM.generate("hi")) == SAID
    there(close_ollama_pool())


def test_the_pool_of_a_loop_that_stopped_without_being_closed_can_be_closed():
    stopped = asyncio.new_event_loop()
    pool = stopped.run_until_complete(get_ollama_pool())  # which has connected to nobody yet

    async def elsewhere() -> bool:
        with pytest.raises(OtherLoop):
            await LLM.generate("hi")
        await close_ollama_pool()
        other = await get_ollama_pool()
        await close_ollama_pool()
        return other is not pool

    assert asyncio.run(elsewhere())
    stopped.close()


def until_done(main: Coroutine[object, object, None]) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(main)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("run", [asyncio.run, until_done])
def test_closing_does_not_wait_for_a_loop_that_stops_meanwhile(run: Callable[[Coroutine[object, object, None]], None]):
    made, leave = threading.Event(), asyncio.Event()

    async def never_ends(_: object) -> None:
        leave.set()
        await asyncio.Event().wait()

    wide = ProcessWide(lambda _: object(), never_ends)

    async def lives() -> None:
        wide.get()
        made.set()
        await leave.wait()

    async def closes() -> object:
        await asyncio.wait_for(wide.aclose(), 30)
        return wide.get()

    home = threading.Thread(target=lambda: run(lives()))
    home.start()
    assert made.wait(30)
    assert asyncio.run(closes()) is not None
    home.join()


def test_who_gives_up_closing_ends_it_in_the_other_loop_and_what_fails_there_is_told(
    other_loop: asyncio.AbstractEventLoop,
):
    begun, stopped = threading.Event(), threading.Event()

    async def never_ends(_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def fails(_: object) -> None:
        raise OSError("no descriptor left")

    def made(end: Callable[[object], Coroutine[object, object, None]]) -> ProcessWide[object]:
        async def there() -> ProcessWide[object]:
            wide = ProcessWide(lambda _: object(), end)
            wide.get()
            return wide

        return asyncio.run_coroutine_threadsafe(there(), other_loop).result()

    async def gives_up(wide: ProcessWide[object]) -> None:
        closing_it = asyncio.create_task(wide.aclose())
        assert await asyncio.to_thread(begun.wait, 30)
        closing_it.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing_it

    asyncio.run(gives_up(made(never_ends)))
    assert stopped.wait(30)
    with pytest.raises(OSError, match="descriptor"):
        asyncio.run(made(fails).aclose())
