"""A model that hangs while its server goes on answering is found, and nothing else is taken for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from infrastructure.connection_pool import OllamaConnectionPool, PoolSnapshot
from infrastructure.pool import hung, silence, watchman
from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.figures import LaneFigures
from infrastructure.pool.silence import FACTOR, FLOOR_SECONDS, MEASURED_CALLS, Place, Silences
from infrastructure.simulator import Fault, FaultKind, Simulator, Toxic, ToxicKind
from infrastructure.simulator.records import Outcome, UnloadReason
from infrastructure.transport.errors import StreamBroken
from tests.pool.servers import MODELS, WORDS, ask, paced, pool_over
from tests.pool.test_scheduler import A

TEXT = "one two three four five"
HELD = "please wait"
FAST = {"tokens_per_second": 2000}
PLACE = ("gpu0", A)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silences of a moment are suspicious: the models of these tests answer at once."""
    monkeypatch.setattr(watchman, "ROUND_SECONDS", 0.02)
    monkeypatch.setattr(silence, "FLOOR_SECONDS", 0.2)


async def measured(pool: OllamaConnectionPool, *servers: Simulator) -> None:
    """Each server has answered often enough for something to be known of it."""
    for number in range(len(servers)):
        for other in range(len(servers)):
            pool.drain_server(f"gpu{other}", draining=other != number)
        for _ in range(MEASURED_CALLS):
            await pool.chat(model="words", messages=ask())
    for other in range(len(servers)):
        pool.drain_server(f"gpu{other}", draining=False)


async def until(pool: OllamaConnectionPool, condition: Callable[[PoolSnapshot], bool]) -> None:
    """Wait until the pool looks so."""
    async for snapshot in pool.changes():
        if condition(snapshot):
            return


def breaker(snapshot: PoolSnapshot, server: int = 0) -> BreakerState:
    """Of the model `words`."""
    return next(lane.breaker for lane in snapshot.servers[server].lanes if lane.model == "words:latest")


def hang(server: Simulator, after_chunks: int = 0) -> None:
    server.set_fault("words", Fault(kind=FaultKind.HANG, after_chunks=after_chunks))


@pytest.mark.parametrize("slots", [1, 2])
async def test_a_call_without_a_byte_goes_from_a_hanging_model_to_another_server(slots: int):
    servers = paced(slots=slots, **FAST), paced(slots=slots, **FAST)
    async with pool_over(*servers, slots=slots) as pool:
        await measured(pool, *servers)
        hang(servers[0])
        pool.drain_server("gpu1")
        answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await servers[0].truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)

        assert (await answering).server == "gpu1"
        snapshot = pool.snapshot()
        assert (snapshot.calls.moved, snapshot.calls.tripped) == (1, 1)
        assert breaker(snapshot) is BreakerState.OPEN
        assert breaker(snapshot, 1) is BreakerState.CLOSED
        assert (await pool.chat(model="words", messages=ask())).server == "gpu1"


async def test_a_call_without_a_byte_waits_on_at_a_hanging_model_that_no_other_server_has(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(hung, "PUT_OUT_AFTER", 1000.0)
    server, other = paced(**FAST), paced((MODELS[1],), **FAST)
    async with pool_over(server, other, slots=1) as pool:
        for _ in range(MEASURED_CALLS):
            await pool.chat(model="words", messages=ask())
        hang(server)
        answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await until(pool, lambda snapshot: snapshot.calls.tripped == 1)
        assert breaker(pool.snapshot()) is BreakerState.OPEN
        assert pool.snapshot().calls.moved == 0
        assert server.truth.in_slots()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering


async def test_a_stream_from_a_model_that_hangs_ends_with_what_had_come():
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        hang(server, after_chunks=3)
        got = ""
        stream = pool.stream_chat(model="words", messages=ask())
        for _ in range(3):
            got += (await anext(stream)).text
        with pytest.raises(StreamBroken) as broken:
            await anext(stream)

        assert broken.value.partial.text == got == "one two three"
        assert broken.value.server == "gpu0"
        assert pool.snapshot().calls.failed == 1
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_a_stream_from_a_server_that_swallows_everything_ends_with_what_had_come(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(hung, "LIST_SECONDS", 0.1)
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        hang(server, after_chunks=2)
        stream = pool.stream_chat(model="words", messages=ask())
        got = [(await anext(stream)).text for _ in range(2)]
        server.add_toxic(Toxic(kind=ToxicKind.TIMEOUT))
        with pytest.raises(StreamBroken) as broken:
            await anext(stream)

        assert broken.value.partial.text == "".join(got) == "one two"


async def test_a_hanging_model_is_used_again_when_it_answers_a_probe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hung, "PUT_OUT_AFTER", 1000.0)
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        hang(server, after_chunks=3)
        with pytest.raises(StreamBroken):
            await pool.chat(model="words", messages=ask())
        assert breaker(pool.snapshot()) is BreakerState.OPEN
        waiting = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await until(pool, lambda snapshot: bool(snapshot.waiting))
        server.set_fault("words", None)

        assert (await waiting).text == TEXT
        assert breaker(pool.snapshot()) is BreakerState.CLOSED


@pytest.mark.parametrize("waiting", [1, 3])
async def test_a_model_whose_server_lost_its_slot_is_put_out_and_answers(waiting: int):
    server = paced(loses_slots_every=1)
    async with pool_over(server) as pool:
        await measured(pool, server)
        async with pool.stream_chat(model="words", messages=ask()) as stream:
            await anext(stream)
        answers = await asyncio.gather(*(pool.chat(model="words", messages=ask(str(at))) for at in range(waiting)))
        assert [answer.text for answer in answers] == [TEXT] * waiting
        assert [unload.reason for unload in server.truth.unloads] == [UnloadReason.ASKED]
        snapshot = pool.snapshot()
        assert (snapshot.calls.tripped, snapshot.calls.failed) == (1, 0)
        assert breaker(snapshot) is BreakerState.CLOSED


async def test_a_model_that_hangs_on_is_put_out_once():
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        async with pool.stream_chat(model="words", messages=ask()) as stream:
            await anext(stream)
        hang(server)
        answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await server.truth.until(lambda truth: len(truth.unloads) == 1)
        await until(pool, lambda snapshot: snapshot.calls.tripped == 2)  # it was sent again, and hangs again
        await asyncio.sleep(2 * silence.FLOOR_SECONDS)  # nothing tells that something does not come
        assert len(server.truth.unloads) == 1
        assert not answering.done()  # its own limits stand
        answering.cancel()
        server.set_fault("words", None)
        assert (await pool.chat(model="words", messages=ask())).text == TEXT


async def test_a_model_that_is_silent_though_no_stream_was_left_is_not_put_out():
    """Another program's calls may be why ours wait, and behind them it has its place."""
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        hang(server)
        answering = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await until(pool, lambda snapshot: snapshot.calls.tripped == 1)
        await asyncio.sleep(3 * silence.FLOOR_SECONDS)  # nothing tells that something does not come
        assert server.truth.unloads == []
        assert server.truth.in_slots()
        assert pool.snapshot().calls.moved == 0
        answering.cancel()


async def test_a_model_that_answers_a_probe_beside_a_silent_stream_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(silence, "FLOOR_SECONDS", 1.0)  # a probe has half of it, and the machine may be busy
    server = paced(slots=2, **FAST)
    async with pool_over(server, slots=2) as pool:
        await measured(pool, server)
        server.hold(HELD)
        reading = asyncio.create_task(pool.chat(model="words", messages=ask(HELD)))
        before = len(server.truth.requests)

        def probed(truth: Any) -> bool:
            return sum(record.outcome is Outcome.DONE for record in truth.requests[before:]) >= 2

        await server.truth.until(probed)
        server.release(HELD)
        assert (await reading).text == TEXT
        assert pool.snapshot().calls.tripped == 0


async def test_a_model_that_is_being_loaded_may_be_silent(monkeypatch: pytest.MonkeyPatch):
    slow = WORDS.model_copy(update={"name": "slow", "load_seconds": 1.0})
    server = paced((*MODELS, slow), **FAST)
    async with pool_over(server) as pool:
        for _ in range(MEASURED_CALLS):
            await pool.chat(model="slow", messages=ask())
        await server.restart()
        watched = pool._dispatcher.watchman._hung
        watched._silences = Silences(100)  # nobody remembers how long a load takes
        listed = watched._listed
        found: list[bool | None] = []

        async def noted(place: Place) -> bool | None:
            found.append(await listed(place))
            return found[-1]

        monkeypatch.setattr(watched, "_listed", noted)
        assert (await pool.chat(model="slow", messages=ask())).text == TEXT
        assert False in found
        assert pool.snapshot().calls.tripped == 0


async def test_a_caller_that_does_not_read_shows_nothing_about_the_server():
    server = paced(**FAST)
    async with pool_over(server) as pool:
        await measured(pool, server)
        watched = pool._dispatcher.watchman._hung
        async with pool.stream_chat(model="words", messages=ask()) as stream:
            assert (await anext(stream)).text == "one"
            (berth,) = pool._dispatcher.scheduler.servers[server.url].berths.values()
            for minutes in range(5):
                berth.heard = False
                watched.go_round(pool._dispatcher.clock() + 60 * minutes)
            assert not watched._judging
            assert "".join([chunk.text async for chunk in stream]) == TEXT.removeprefix("one")


# ------------------------------------------------------------------------------------------------ the limit
def run(prompt_tokens: int = 0, *, first_byte_at: float | None = None, **ask_says: bool) -> Any:
    said = {"embeds": False, "holds_back": False} | ask_says
    return SimpleNamespace(
        ticket=SimpleNamespace(lane=A, prompt_tokens=prompt_tokens, first_byte_at=first_byte_at),
        errand=SimpleNamespace(ask=SimpleNamespace(**said), options={}),
    )


KNOWN = LaneFigures(calls=MEASURED_CALLS, decode_tokens_per_second=10, uncached_tokens_per_second=300)


@pytest.fixture
def silences(monkeypatch: pytest.MonkeyPatch) -> Silences:
    monkeypatch.setattr(silence, "FLOOR_SECONDS", FLOOR_SECONDS)
    silences = Silences(4096)
    silences.note(PLACE, 0.0, 1.0, heard=True)
    return silences


def test_without_measurements_there_is_no_limit(silences: Silences):
    assert silences.limit(("gpu1", A), [run()], KNOWN, 1) is None
    assert silences.limit(PLACE, [run()], KNOWN._replace(calls=MEASURED_CALLS - 1), 1) is None
    assert silences.limit(PLACE, [run()], KNOWN._replace(decode_tokens_per_second=0), 1) is None
    assert silences.limit(PLACE, [run(embeds=True)], KNOWN, 1) is None


def test_the_limit_grows_with_the_longest_silence_that_ended_well(silences: Silences):
    assert silences.limit(PLACE, [run()], KNOWN, 1) == FLOOR_SECONDS
    assert silences.note(PLACE, 1.0, 91.0, heard=False) == 90
    assert silences.note(PLACE, 1.0, 101.0, heard=True) == 0
    assert silences.limit(PLACE, [run()], KNOWN, 101) == FACTOR * 100
    assert silences.limit(PLACE, [run()], KNOWN, 101 + 3600) == FACTOR * 50


def test_the_limit_grows_with_the_prompts_that_are_waited_for(silences: Silences):
    limit = silences.limit(PLACE, [run(6000), run(6000), run(6000, first_byte_at=1)], KNOWN, 1)
    assert limit == pytest.approx(FACTOR * 12000 / 300 + FACTOR * 1)
    never_uncached = KNOWN._replace(uncached_tokens_per_second=0)
    assert silences.limit(PLACE, [run(6000)], never_uncached, 1) == pytest.approx(6000 / 10 + FACTOR * 1)


def test_an_answer_that_the_server_may_hold_back_is_waited_for(silences: Silences):
    assert silences.limit(PLACE, [run(holds_back=True)], KNOWN, 1) == pytest.approx(FACTOR * (4096 / 10 + 1))


def test_a_silence_counts_from_the_last_byte_or_from_the_oldest_call(silences: Silences):
    assert silences.note(PLACE, 50.0, 60.0, heard=False) == 10
    silences.note(PLACE, 50.0, 70.0, heard=True)
    assert silences.note(PLACE, 50.0, 75.0, heard=False) == 5
    silences.acquit(PLACE, 80.0)
    assert silences.note(PLACE, 50.0, 85.0, heard=False) == 5
