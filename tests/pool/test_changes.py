"""What is seen of the pool from outside: the snapshot's figures, the stream of changes, the figures of a reply."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import Band, Call, CallState, CallUpdate, OllamaConnectionPool, PoolSnapshot
from infrastructure.pool import positions
from infrastructure.pool.errors import ModelNowhere
from infrastructure.pool.estimates import Estimates
from infrastructure.pool.lanes import Lane
from infrastructure.pool.observing import CallEnd
from tests.pool.servers import WORDS, ask, pool_over, simulator

LANE = Lane("words:latest")


async def reached(changes, wanted) -> PoolSnapshot:
    """The first snapshot that is as wanted."""
    async for seen in changes:
        if wanted(seen):
            return seen
    raise AssertionError("the changes ended before")


async def test_snapshot_tells_lanes_calls_and_shares() -> None:
    async with pool_over(simulator(), simulator()) as pool:
        stream = pool.stream_chat(model="endless", messages=ask("so long"), call=Call(client="ann"))
        async with stream:
            await anext(stream)
            seen = pool.snapshot()
            (call,) = seen.in_hand
            assert (call.client, call.band, call.model, call.state) == (
                "ann", Band.INTERACTIVE, "endless:latest", CallState.STREAMING,
            )  # fmt: skip
            assert (call.attempt, call.answer_tokens > 0, call.prompt_tokens > 0) == (1, True, True)
            server = next(each for each in seen.servers if each.label == call.server)
            (lane,) = server.lanes
            assert (lane.slots, lane.settled, lane.resident, lane.loading) == (1, True, True, False)
            assert lane.load_seconds > 0
            assert seen.loads == 1
            assert seen.shares[Band.INTERACTIVE].keys() == {"ann"}
        after = pool.snapshot()
        assert (after.in_hand, after.shares, after.oldest_wait_seconds, dict(after.waiting)) == ((), {}, 0, {})


async def test_snapshot_tells_who_waits_for_which_lane() -> None:
    async with pool_over(simulator()) as pool, pool.stream_chat(model="endless", messages=ask()) as stream:
        await anext(stream)
        async with aclosing(pool.changes()) as changes:
            waits = asyncio.create_task(pool.chat(model="endless", messages=ask(), call=Call(client="bob")))
            seen = await reached(changes, lambda each: each.waiting)
            assert seen.waiting == {"endless:latest": 1}
            assert seen.oldest_wait_seconds >= 0
            assert [(each.client, each.state) for each in seen.in_hand] == [
                ("default", CallState.STREAMING), ("bob", CallState.QUEUED),
            ]  # fmt: skip
            waits.cancel()
            seen = await reached(changes, lambda each: not each.waiting)
            assert seen.calls.cancelled == 1


async def test_places_and_slots_are_known_where_the_settings_say_them_and_learned_elsewhere() -> None:
    async with pool_over(simulator(), lanes={"main": LaneSettings(model="words", num_ctx=4096)}) as given:
        await given.chat(model="main", messages=ask())
        (server,) = given.snapshot().servers
        assert (server.places, server.places_given, server.loading, server.leaving) == (None, False, None, ())
        (lane,) = server.lanes
        assert (lane.lane, lane.slots, lane.settled) == ("words:latest (num_ctx=4096)", 1, True)
    async with simulator(slots=2) as one, OllamaConnectionPool([one.url]) as learns:
        await learns.chat(model="words", messages=ask())
        (lane,) = learns.snapshot().servers[0].lanes
        assert (lane.slots, lane.settled) == (1, False)


async def test_changes_begin_with_what_there_is_and_end_with_the_closed_pool() -> None:
    async with pool_over(simulator()) as pool:
        changes = pool.changes()
        first = await anext(changes)
        assert (first.calls.done, first.closed) == (0, False)
        await pool.chat(model="words", messages=ask())
        assert (await reached(changes, lambda each: each.calls.done)).in_hand == ()
        rest = asyncio.create_task(anext(changes, None))
        await pool.aclose()
        last = await rest
        while last is not None and not last.closed:
            last = await anext(changes, None)
        assert last is not None
        assert last.closed
        assert await anext(changes, None) is None
        assert [each.closed async for each in pool.changes()] == [True]


async def test_one_who_stops_looking_is_forgotten() -> None:
    async with pool_over(simulator()) as pool:
        async with aclosing(pool.changes()) as changes:
            await anext(changes)
        assert not pool._dispatcher.changes._bells


async def test_reply_tells_its_phases_and_what_was_cached() -> None:
    spec = WORDS.model_copy(update={"load_seconds": 0.05, "prefill_tokens_per_second": 5000})
    async with pool_over(simulator([spec], time_scale=1, decode_tokens_per_second=500)) as pool:
        text = " ".join(f"word{number}" for number in range(400))
        first = await _reply(pool, text)
        second = await _reply(pool, text)
    assert first.load_seconds > 0
    assert first.prompt_seconds > second.prompt_seconds
    assert first.decode_seconds > 0
    assert first.cached_tokens == 0
    assert 0 < second.cached_tokens <= second.metrics.prompt_tokens


async def _reply(pool: OllamaConnectionPool, text: str):
    return await pool.chat(model="words", messages=ask(text))


@pytest.mark.parametrize(
    ("tokens", "seconds", "cached"),
    [(1000, 1.0, 0), (1000, 0.9, 0), (1000, 0.5, 500), (1000, 0.0, 1000), (20, 0.0, 0), (2000, 1.0, 1000)],
)
def test_what_cannot_have_been_evaluated_was_cached(tokens: int, seconds: float, cached: int) -> None:
    estimates = Estimates()
    assert estimates.cached("gpu", LANE, tokens, seconds) == 0
    estimates.of(LANE).evaluated("gpu", 1000, 1.0)
    assert estimates.cached("gpu", LANE, tokens, seconds) == cached


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.ends: list[CallEnd] = []

    def ended(self, end: CallEnd) -> None:
        self.ends.append(end)


async def test_observer_is_told_of_every_call_that_ends_however_it_does() -> None:
    listener = Listener()
    async with pool_over(simulator()) as pool:
        pool.observe(listener)
        await pool.chat(model="words", messages=ask(), call=Call(band=Band.BATCH))
        await pool.generate(model="words", prompt="hi")
        await pool.embed(model="embedder", input="hi")
        with pytest.raises(ModelNowhere):
            await pool.generate(model="missing", prompt="hi")
        async with pool.stream_chat(model="endless", messages=ask()) as stream:
            await anext(stream)
    assert [(end.operation, end.model, end.state, end.server) for end in listener.ends] == [
        ("chat", "words:latest", CallState.DONE, "gpu0"),
        ("text_completion", "words:latest", CallState.DONE, "gpu0"),
        ("embeddings", "embedder:latest", CallState.DONE, "gpu0"),
        ("text_completion", "missing:latest", CallState.FAILED, None),
        ("chat", "endless:latest", CallState.CANCELLED, "gpu0"),
    ]
    done, nowhere = listener.ends[0], listener.ends[3]
    assert done.band is Band.BATCH
    assert done.reply is not None
    assert done.reply.text
    assert (nowhere.reply, nowhere.queued_seconds) == (None, nowhere.seconds)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_watcher_that_fails_when_told_its_place_takes_nothing_from_those_behind(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(positions, "POSITION_SECONDS", 0.01)
    server, told = simulator(), asyncio.Event()

    def first_watches(update: CallUpdate) -> None:
        if update.position == 0 and asyncio.current_task() is None:  # by the timer
            raise error("a watcher's own")

    def second_watches(update: CallUpdate) -> None:
        if update.position == 1 and asyncio.current_task() is None:
            told.set()

    async with pool_over(server) as pool:
        server.hold("held")
        held = asyncio.create_task(pool.chat(model="words", messages=ask("held")))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        first = asyncio.create_task(pool.chat(model="words", messages=ask("first"), watch=first_watches))
        second = asyncio.create_task(pool.chat(model="words", messages=ask("second"), watch=second_watches))
        await asyncio.wait_for(told.wait(), 10)
        server.release("held")
        await asyncio.gather(held, first, second)
    assert "told its place" in caplog.text
