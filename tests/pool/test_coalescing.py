"""Equal questions that are under way at once are asked once, where their answers would be the same."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.connection_pool import Band, Call, OllamaConnectionPool
from infrastructure.pool.coalescing import Flights, is_deterministic
from infrastructure.simulator import Simulator
from infrastructure.transport.errors import ServerFailed
from tests.pool.servers import ask, pool_over, simulator

SURE = {"temperature": 0}


async def asked(pool: OllamaConnectionPool, server: Simulator, options: list[dict[str, float]], **calls: Call) -> int:
    """So many requests came of these equal questions, which were all under way at once."""
    server.hold("hi")
    answers = [asyncio.create_task(pool.chat(model="words", messages=ask(), options=each, **calls)) for each in options]
    await server.truth.until(lambda truth: bool(truth.in_slots()))
    server.release("hi")
    assert {(await answer).text for answer in answers} == {"one two three four five"}
    return len(server.truth.requests)


async def test_equal_questions_with_one_answer_are_asked_once():
    server = simulator(slots=4)
    async with pool_over(server, slots=4) as pool:
        assert await asked(pool, server, [SURE] * 5) == 1
        assert await asked(pool, server, [SURE]) == 2  # the first answer is not kept


async def test_questions_that_may_have_other_answers_are_asked_each():
    server = simulator(slots=4)
    async with pool_over(server, slots=4) as pool:
        assert await asked(pool, server, [{}, {}, SURE, {"seed": 1}, {"seed": 2}]) == 5


async def test_a_more_urgent_question_does_not_wait_for_a_less_urgent_one():
    server = simulator(slots=4)
    async with pool_over(server, slots=4) as pool:
        server.hold("hi")
        calls = [Call(), Call(), Call(band=Band.BATCH)]
        answers = [
            asyncio.create_task(pool.chat(model="words", messages=ask(), options=SURE, call=call)) for call in calls
        ]
        await server.truth.until(lambda truth: len(truth.in_slots()) == 2)
        server.release("hi")
        await asyncio.gather(*answers)
        assert len(server.truth.requests) == 2


async def test_who_asked_first_may_leave_and_the_others_get_the_answer():
    server = simulator()
    async with pool_over(server) as pool:
        server.hold("hi")
        first, second = (asyncio.create_task(pool.chat(model="words", messages=ask(), options=SURE)) for _ in range(2))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        first.cancel()
        await asyncio.wait([first])
        server.release("hi")
        assert first.cancelled()
        assert (await second).text == "one two three four five"
        assert len(server.truth.requests) == 1


async def test_when_nobody_waits_any_more_the_server_stops():
    server = simulator()
    async with pool_over(server) as pool:
        server.hold("hi")
        both = [asyncio.create_task(pool.chat(model="words", messages=ask(), options=SURE)) for _ in range(2)]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        for each in both:
            each.cancel()
        await asyncio.wait(both)
        await server.truth.until(lambda truth: not truth.in_slots())
        assert pool.snapshot().calls.cancelled == 1


async def test_embeddings_are_shared_and_each_caller_has_a_list_of_its_own():
    server = simulator()
    async with pool_over(server) as pool:
        one, two = await asyncio.gather(*(pool.embed(model="embedder", input=["a", "b"]) for _ in range(2)))
        assert one == two
        assert one is not two
        assert len(server.truth.requests) == 1


async def test_an_error_reaches_all_and_is_not_kept():
    flights, asked = Flights(), 0

    async def fail() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise ServerFailed(500)

    for expected in (1, 2):
        outcomes = await asyncio.gather(*(flights.share("q", fail) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ServerFailed] * 3
        assert asked == expected
    assert flights.shared == 4


async def test_a_question_that_all_have_left_does_not_end_the_next_ones_flight():
    flights, asked, may_close, may_end = Flights(), 0, asyncio.Event(), asyncio.Event()

    async def answer() -> int:
        nonlocal asked
        asked += 1
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            await may_close.wait()  # the connection is closed first
            raise
        return asked

    first = asyncio.create_task(flights.share("q", answer))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    second = asyncio.create_task(flights.share("q", answer))
    await asyncio.sleep(0)
    may_close.set()
    await asyncio.wait([first])  # its question is over by now
    third = asyncio.create_task(flights.share("q", answer))
    await asyncio.sleep(0)
    may_end.set()
    assert (await second, await third, asked) == (2, 2, 2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.2}, False),
        ({"temperature": False}, False),
        ({"seed": 7}, True),
        ({"seed": 0}, True),
        ({"seed": -1}, False),
        ({"seed": None}, False),
        ({"seed": True}, False),
        ({"seed": 1.0}, False),
        ({"seed": 4294967295}, False),
    ],
)
def test_a_question_is_deterministic_by_temperature_or_seed(options: dict[str, float], expected: bool):
    assert is_deterministic(options) is expected
