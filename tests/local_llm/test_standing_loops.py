"""Synchronous calls over a pool whose loop does not run, or runs no more."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future

import pytest

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.connection_pool import CallState, CallUpdate, OllamaConnectionPool
from infrastructure.local_llm import LocalLLM
from infrastructure.pool import loop_thread
from infrastructure.pool.crossing import Standstill
from infrastructure.pool.errors import LoopEnded
from infrastructure.pool.loop_thread import BorrowedLoop, LoopThread, iterate
from infrastructure.simulator import Simulator

SAID = "one two three four five"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def pool(server: Simulator, loop: asyncio.AbstractEventLoop) -> Iterator[OllamaConnectionPool]:
    """In that loop, which runs only while somebody runs it."""
    pool = OllamaConnectionPool([server.url])
    assert loop.run_until_complete(pool.generate(model="words", prompt="hi")) == SAID
    yield pool
    loop.run_until_complete(pool.aclose())


ASKED = [
    lambda pool, loop: LocalLLM("words", pool=pool, loop=loop).generate("hi"),
    lambda pool, loop: list(LocalLLM("words", pool=pool, loop=loop).stream("hi")),
    lambda pool, loop: asyncio.run(LocalLLM("words", pool=pool, loop=loop).generate_async("hi")),
    lambda pool, loop: ChatOllamaPool(model="words", pool=pool, loop=loop).invoke("hi"),
    lambda pool, loop: list(ChatOllamaPool(model="words", pool=pool, loop=loop).stream("hi")),
]


@pytest.mark.parametrize("asked", ASKED)
def test_a_call_over_a_loop_that_stands_still_is_an_error_and_goes_on_nowhere(
    asked: Callable[[OllamaConnectionPool, asyncio.AbstractEventLoop], object],
    pool: OllamaConnectionPool,
    loop: asyncio.AbstractEventLoop,
    server: Simulator,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(loop_thread, "LOOK_SECONDS", 0.01)
    with pytest.raises(LoopEnded) as caught:
        asked(pool, loop)
    assert "keep that loop running" in caught.value.hint
    loop.run_until_complete(asyncio.sleep(0))
    assert len(server.truth.requests) == 1


@pytest.mark.parametrize("asked", ASKED)
def test_a_call_over_a_loop_that_is_closed_is_an_error_at_once(
    asked: Callable[[OllamaConnectionPool, asyncio.AbstractEventLoop], object],
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(loop_thread, "LOOK_SECONDS", 1000)
    loop.close()
    with pytest.raises(LoopEnded):  # and no coroutine is left that nobody awaited: warnings are errors
        asked(OllamaConnectionPool(), loop)


def test_a_call_waits_for_a_loop_that_is_about_to_run(pool: OllamaConnectionPool, loop: asyncio.AbstractEventLoop):
    there = BorrowedLoop(pool, loop)
    future = there.submit(lambda pool: pool.generate(model="words", prompt="hi"))
    runner = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wrap_future(future, loop=loop)))
    runner.start()
    assert there.wait(future) == SAID
    runner.join()


def test_a_loop_stands_still_when_it_is_met_so_twice_in_a_row(loop: asyncio.AbstractEventLoop):
    standstill = Standstill(loop)
    standstill.look()

    async def runs() -> None:
        standstill.look()

    loop.run_until_complete(runs())
    standstill.look()
    with pytest.raises(LoopEnded):
        standstill.look()


@pytest.mark.parametrize("asked", [lambda llm: llm.generate("hi"), lambda llm: list(llm.stream("hi"))])
def test_a_call_whose_loop_ends_under_it_is_an_error(server: Simulator, asked: Callable[[LocalLLM], object]):
    errors: list[BaseException] = []

    def blocks(llm: LocalLLM) -> None:
        with pytest.raises(LoopEnded) as caught:
            asked(llm)
        errors.append(caught.value)

    async def main() -> threading.Thread:
        streaming = asyncio.Event()

        def watch(update: CallUpdate) -> None:
            if update.state is CallState.STREAMING:
                streaming.set()

        async with OllamaConnectionPool([server.url]) as pool:
            llm = LocalLLM("endless", pool=pool, loop=asyncio.get_running_loop(), options={"num_predict": 10**6})
            thread = threading.Thread(target=blocks, args=(llm.bound(watch=watch),))
            thread.start()
            await streaming.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:  # as `asyncio.run` does at its end
                task.cancel()
            return thread

    asyncio.run(main()).join()
    assert len(errors) == 1


def test_a_time_limit_of_the_work_itself_is_no_reason_to_go_on_waiting():
    async def late(_: object) -> None:
        raise TimeoutError("its own")

    async def ended(_: object) -> None:
        """Nothing is open."""

    there = LoopThread(object, ended)
    with pytest.raises(TimeoutError, match="its own"):
        there.wait(there.submit(late))
    there.close()


class _LateQueue(queue._PySimpleQueue):
    """Whose first wait ends without anything only when all has come, as where the interpreter's lock is taken."""

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        if block and not getattr(self, "late", False):
            self.late = True
            while self.qsize() < 3:
                threading.Event().wait(0.001)
            threading.Event().wait(0.05)  # the work ends behind what it has put
            raise queue.Empty
        return super().get(block, timeout)


def test_what_comes_in_the_moment_in_which_a_wait_ends_is_not_lost(monkeypatch: pytest.MonkeyPatch):
    async def pieces(_: object) -> AsyncGenerator[str, None]:
        yield "one"
        yield "two"

    async def ended(_: object) -> None:
        """Nothing is open."""

    monkeypatch.setattr(queue, "SimpleQueue", _LateQueue)
    there = LoopThread(object, ended)
    assert list(iterate(there, pieces)) == ["one", "two"]
    there.close()


def test_an_answer_that_comes_in_the_moment_in_which_a_wait_ends_is_the_answer():
    class Late(Future[str]):
        def result(self, timeout: float | None = None) -> str:
            if timeout is not None and not self.done():
                self.set_result("the answer")
                raise TimeoutError
            return super().result(timeout)

    async def ended(_: object) -> None:
        """Nothing is open."""

    async def nothing(_: object) -> None:
        """It has begun."""

    there = LoopThread(object, ended)
    there.wait(there.submit(nothing))
    assert there.wait(Late()) == "the answer"
    there.close()
