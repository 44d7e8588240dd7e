"""Models that stay in memory between calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.pool import renewing
from infrastructure.pool.calls import Call
from infrastructure.pool.lanes import Lane
from infrastructure.pool.renewing import expires_soon, may_be_kept
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.server_state import Move
from infrastructure.simulator import Simulator, Truth
from infrastructure.transport.messages import LoadedModel
from tests.pool.servers import QUICK, ask, pool_over, simulator

WORDS, OTHER = Lane("words:latest"), Lane("other:latest")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
LANES = {"wide": LaneSettings(model="words", num_ctx=8192), "short": LaneSettings(model="other", keep_alive="40s")}


def is_renewal(truth: Truth, model: str) -> int:
    """How often the model was asked for without a question, after its first call."""
    return sum(record.slot is None for record in truth.of(model) if record.route == "/api/generate")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(renewing, "ROUND_SECONDS", 0.01)


def gpu(keep_alive: float = 30) -> Simulator:
    return simulator(keep_alive_seconds=keep_alive)


# ------------------------------------------------------------------------------------------ decisions
@pytest.mark.parametrize(("left", "soon"), [(-1, False), (0, False), (1, True), (59, True), (61, False), (9e9, False)])
def test_a_model_with_less_than_a_minute_to_live_expires_soon(left: float, soon: bool):
    model = LoadedModel("words:latest", "d", 1, 1, 4096, NOW + timedelta(seconds=left))
    assert expires_soon(model, NOW.timestamp()) == soon
    assert not expires_soon(replace(model, expires_at=None), NOW.timestamp())


def up(*loaded: Lane) -> Scheduler:
    scheduler = Scheduler({"x": 1}, queue_length=10, places={"x": 1})
    names = [WORDS.model, OTHER.model]
    scheduler.roster.up("x", models=names, loaded=[lane.model for lane in loaded], now=0)
    for lane in loaded:
        scheduler.servers["x"].answered(lane)
    return scheduler


def test_an_idle_lane_may_be_kept_unless_a_call_waits_for_its_server_to_load_something_else():
    scheduler = up(WORDS)
    server = scheduler.servers["x"]
    assert may_be_kept(server, WORDS, scheduler.queue)
    scheduler.enqueue(WORDS, Call(), now=0, expires_at=9)
    assert may_be_kept(server, WORDS, scheduler.queue)
    scheduler.enqueue(OTHER, Call(), now=0, expires_at=9, excluded=frozenset({"x"}))
    assert may_be_kept(server, WORDS, scheduler.queue)
    scheduler.enqueue(OTHER, Call(), now=0, expires_at=9)
    assert not may_be_kept(server, WORDS, scheduler.queue)


def test_a_lane_that_is_busy_or_on_its_way_out_or_on_a_server_that_drains_is_left_alone():
    scheduler = up(WORDS)
    server = scheduler.servers["x"]
    server.move = Move(OTHER, frozenset({WORDS.model}))
    assert not may_be_kept(server, WORDS, scheduler.queue)
    server.move, server.draining = None, True
    assert not may_be_kept(server, WORDS, scheduler.queue)
    server.draining = False
    scheduler.enqueue(WORDS, Call(), now=0, expires_at=9)
    assert len(scheduler.place(0)) == 1
    assert not may_be_kept(server, WORDS, scheduler.queue)


# ------------------------------------------------------------------------------------------ over servers
async def test_a_lane_with_a_recent_call_is_renewed_again_and_again_without_a_load():
    server = gpu()
    async with pool_over(server, lanes=LANES) as pool:
        await pool.chat(model="wide", messages=ask())
        await server.truth.until(lambda truth: is_renewal(truth, "words:latest") >= 3)
        assert [load.num_ctx for load in server.truth.loads] == [8192]
        assert pool.snapshot().calls.done == 1


async def test_a_model_with_long_to_live_is_let_be_and_so_is_one_whose_lane_says_how_long(
    monkeypatch: pytest.MonkeyPatch,
):
    rounds = asyncio.Event()
    told = renewing.expires_soon

    def counted(model: LoadedModel, wall: float) -> bool:
        rounds.set()
        return told(model, wall)

    monkeypatch.setattr(renewing, "expires_soon", counted)
    server = gpu(keep_alive=300)
    async with pool_over(server, lanes=LANES) as pool:
        await pool.chat(model="short", messages=ask())
        await pool.chat(model="wide", messages=ask())
        await rounds.wait()
    assert is_renewal(server.truth, "words:latest") == is_renewal(server.truth, "other:latest") == 0


async def test_what_the_settings_pin_stays_without_any_call():
    server = gpu()
    settings = QUICK.model_copy(update={"preload": ("words",)})
    async with pool_over(server, settings=settings) as pool:
        await pool.preload(["words"])
        await server.truth.until(lambda truth: is_renewal(truth, "words:latest") >= 3)
        assert len(server.truth.loads) == 1


async def test_nothing_runs_when_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(renewing, "WANTED_SECONDS", 0.0)
    server = gpu()
    async with pool_over(server) as pool:
        await pool.chat(model="words", messages=ask())
        pool._renewing.stop()
        pool._renewing._round()
        assert pool._renewing._timer is None
    assert is_renewal(server.truth, "words:latest") == 0


async def test_a_model_that_is_no_longer_there_is_not_loaded_for_it():
    server = gpu()
    async with pool_over(server) as pool:
        await pool.chat(model="words", messages=ask())
        await server.truth.until(lambda truth: is_renewal(truth, "words:latest") >= 1)
        server.world.scheduler.expire(
            next(model for model in server.world.models if model.name.key.endswith("words:latest"))
        )
        await server.truth.until(lambda truth: bool(truth.unloads))
        while "words:latest" in [each.model for each in pool.snapshot().servers[0].loaded]:
            await pool.models()
    assert len(server.truth.loads) == 1
