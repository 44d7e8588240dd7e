"""Models that are loaded before the first call wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from infrastructure.config.settings import LaneSettings, ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.errors import PoolClosed
from infrastructure.simulator import LoadOutcome, ModelSpec, Simulator
from infrastructure.transport.client import OllamaClient
from tests.pool.servers import OTHER, QUICK, WORDS, ask, simulator

EMBEDDER = ModelSpec(name="embedder", brain="embedder", template="plain", pooling=True)
HUGE = ModelSpec(name="huge", text="much", load_seconds=3600)
LIAR = ModelSpec(name="liar", pooling=True)
"""It says that it can complete text, and refuses to be loaded for that."""
LANES = {"wide": LaneSettings(model="words", num_ctx=8192, keep_alive="30m")}


def server(*models: ModelSpec, places: int = 3) -> Simulator:
    return simulator(models or (WORDS, OTHER, EMBEDDER), max_loaded_models=places)


def slow(*models: ModelSpec, places: int = 3) -> Simulator:
    """A server on which `huge` takes an hour to load, and other models no time."""
    return simulator([HUGE, *models], max_loaded_models=places, time_scale=1, load_seconds=0)


@asynccontextmanager
async def pool_of(*servers: Simulator, places: int | None = None) -> AsyncIterator[OllamaConnectionPool]:
    async with AsyncExitStack() as stack:
        for each in servers:
            await stack.enter_async_context(each)
        settings = [
            ServerSettings(url=each.url, name=f"gpu{number}", slots=1, max_loaded_models=places)
            for number, each in enumerate(servers)
        ]
        yield await stack.enter_async_context(OllamaConnectionPool(settings, settings=QUICK, lanes=LANES))


def loads(*servers: Simulator) -> list[str]:
    return sorted(load.model for each in servers for load in each.truth.loads)


async def load_begins(server: Simulator, model: str) -> None:
    await server.truth.until(lambda truth: bool(truth.running(model)))


async def test_a_lane_is_loaded_with_its_own_options_and_its_calls_load_nothing():
    gpu = server()
    async with pool_of(gpu) as pool:
        await pool.preload(["wide"])
        assert [(load.model, load.num_ctx) for load in gpu.truth.loads] == [("words:latest", 8192)]
        await pool.chat(model="wide", messages=ask())
        assert len(gpu.truth.loads) == 1
        (shown,) = pool.snapshot().servers
        assert shown.in_flight == 0
        assert pool.snapshot().loads == 1


async def test_each_model_is_loaded_once_over_all_servers_that_have_it():
    one, two = server(), server()
    async with pool_of(one, two, places=1) as pool:
        await pool.preload(["words", "other", "words:latest"])
        assert loads(one, two) == ["other:latest", "words:latest"]
        assert len(one.truth.loads) == len(two.truth.loads) == 1
        await pool.preload(["words", "other"])
        assert loads(one, two) == ["other:latest", "words:latest"]


async def test_where_nobody_knows_what_fits_an_empty_server_takes_them_all():
    gpu = server()
    async with pool_of(gpu) as pool:
        await pool.preload(["words", "other", "embedder"])
        assert loads(gpu) == ["embedder:latest", "other:latest", "words:latest"]
        assert not gpu.truth.unloads


async def test_nothing_has_to_go_for_it(caplog: pytest.LogCaptureFixture):
    gpu = server(places=1)
    async with pool_of(gpu) as pool:
        client = OllamaClient(ServerSettings(url=gpu.url))
        await client.load("other")
        await client.aclose()
        await pool.preload(["words", "nowhere"])
        assert loads(gpu) == ["other:latest"]
        assert "words is not loaded ahead: no room beside" in caplog.text
        assert "nowhere is not loaded ahead: no server" in caplog.text
        assert "(`ollama pull nowhere`)" in caplog.text


async def test_lanes_without_a_place_of_their_own_are_told_once(caplog: pytest.LogCaptureFixture):
    gpu = server(places=1)
    async with pool_of(gpu, places=1) as pool:
        await pool.preload(["words", "other"])
        assert loads(gpu) == ["words:latest"]
        plan = pool.plan(["words", "other"])
        assert (plan.homes, plan.turns) == ({"words": "gpu0"}, {"other": ("words",)})
        assert sum("they take turns" in message for message in caplog.messages) == 1


async def test_what_a_load_has_shown_not_to_fit_is_told(caplog: pytest.LogCaptureFixture):
    gpu = server(places=1)
    async with pool_of(gpu) as pool:
        await pool.preload(["words", "other"])
        assert any("they take turns" in message for message in caplog.messages)


async def test_a_load_gives_way_at_once_to_a_call_that_needs_its_server():
    gpu = slow(WORDS)
    async with pool_of(gpu) as pool:
        ahead = pool.preload(["huge"])
        await load_begins(gpu, "huge:latest")
        assert await pool.generate(model="words", prompt="hi") == "one two three four five"
        await ahead
        assert [(load.model, load.outcome) for load in gpu.truth.loads] == [
            ("huge:latest", LoadOutcome.ABORTED),
            ("words:latest", LoadOutcome.READY),
        ]
        snapshot = pool.snapshot()
        assert not snapshot.in_hand
        assert snapshot.servers[0].in_flight == 0


async def test_calls_of_its_own_lane_wait_for_the_load():
    large = ModelSpec(name="large", text="much", load_seconds=0.2)
    gpu = simulator([large], time_scale=1)
    async with pool_of(gpu) as pool:
        ahead = pool.preload(["large"])
        await load_begins(gpu, "large:latest")
        assert await pool.generate(model="large", prompt="hi") == "much"
        await ahead
        assert [load.outcome for load in gpu.truth.loads] == [LoadOutcome.READY]


async def test_a_load_that_fails_is_told_and_harms_nothing(caplog: pytest.LogCaptureFixture):
    gpu = server(LIAR, WORDS)
    async with pool_of(gpu) as pool:
        await pool.preload(["liar", "words"])
        assert "liar:latest is not loaded ahead on gpu0" in caplog.text
        assert loads(gpu) == ["words:latest"]
        assert pool.snapshot().servers[0].in_flight == 0
        assert await pool.generate(model="words", prompt="hi") == "one two three four five"


async def test_a_server_that_is_down_is_told(caplog: pytest.LogCaptureFixture):
    async with OllamaConnectionPool(["http://127.0.0.1:1"], settings=QUICK) as pool:
        await pool.preload(["words"])
    assert "words is not loaded ahead: no server" in caplog.text


@pytest.mark.parametrize("end", ["cancel", "drain", "close"])
async def test_a_load_ends_with_the_pool_or_when_it_is_cancelled(end: str):
    gpu = slow()
    async with pool_of(gpu) as pool:
        ahead = pool.preload(["huge"])
        await load_begins(gpu, "huge:latest")
        if end == "cancel":
            ahead.cancel()
        elif end == "drain":
            await pool.drain()
        else:
            await pool.aclose()
        await asyncio.wait([ahead])
        await gpu.truth.until(lambda truth: [load.outcome for load in truth.loads] == [LoadOutcome.ABORTED])
        assert pool.snapshot().servers[0].in_flight == 0
        assert not pool.snapshot().in_hand
        if end == "close":
            with pytest.raises(PoolClosed):
                pool.preload(["huge"])


async def test_a_load_that_waits_its_turn_is_given_up_with_the_pool():
    gpu = slow()
    async with pool_of(gpu, places=2) as pool:
        ahead = pool.preload(["huge", "huge:latest"])
        await load_begins(gpu, "huge:latest")
        await pool.aclose()
        await asyncio.wait([ahead])
        assert len(gpu.truth.requests) == 1
