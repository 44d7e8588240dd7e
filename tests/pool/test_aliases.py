"""Names of one and the same model share a lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import OllamaConnectionPool, PoolSnapshot
from infrastructure.pool.aliases import Aliases
from infrastructure.pool.lanes import Lane
from infrastructure.simulator import Fault, FaultKind, Simulator
from infrastructure.transport.errors import ModelNotFound, ServerUnreachable
from infrastructure.transport.messages import LocalModel
from tests.pool.servers import ENDLESS, OTHER, WORDS, ask, paced, pool_over, simulator


async def until(pool: OllamaConnectionPool, condition: Callable[[PoolSnapshot], bool]) -> None:
    """Wait until the pool looks so."""
    async for snapshot in pool.changes():
        if condition(snapshot):
            return


LANES = {"wide": LaneSettings(model="copy", num_ctx=8192)}


def held(models: Mapping[str, str]) -> list[LocalModel]:
    return [LocalModel(f"{name}:latest", digest, 1, None, "", "", "", None) for name, digest in models.items()]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"a": "1", "b": "1"}, {}, True),
        ({"a": "1", "b": "2"}, {}, False),
        ({"a": "", "b": ""}, {}, False),
        ({"a": "1", "b": "1"}, {"a": "2", "b": "2"}, True),
        ({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, False),
        ({"a": "1", "b": "1"}, {"a": "1"}, False),
    ],
)
def test_names_are_one_models_where_every_server_that_has_one_has_the_other_with_its_digest(
    one: Mapping[str, str], two: Mapping[str, str], same: bool
):
    aliases = Aliases()
    aliases.see("x", held(one))
    aliases.see("y", held(two))
    lane = Lane("b:latest", (("num_ctx", 8192),))
    assert aliases.lane(lane) == (Lane("a:latest", lane.load) if same else lane)
    assert aliases.one_name("b:latest") == ("a:latest" if same else "b:latest")
    aliases.see("x", held({"b": "1"}))
    assert aliases.lane(lane) is lane


def test_a_server_that_is_gone_has_no_say():
    aliases = Aliases()
    aliases.see("x", held({"a": "1", "b": "1"}))
    aliases.see("y", held({"a": "1", "b": "2"}))
    aliases.forget("y")
    assert aliases.one_name("b:latest") == "a:latest"


def with_copy(server: Simulator, of: str = "words") -> None:
    server.world.models.copy(of, "copy", 0.0)


async def test_a_call_by_another_name_needs_no_load_and_nothing_has_to_go_for_it():
    server = simulator([WORDS, OTHER], max_loaded_models=2)
    async with pool_over(server) as pool:
        with_copy(server)
        for model in ("other", "words", "copy", "words", "copy", "other"):
            assert await pool.chat(model=model, messages=ask())
        assert [load.model for load in server.truth.loads] == ["other:latest", "words:latest"]
        assert not server.truth.unloads
        assert pool.snapshot().loads == 2
        assert {record.model for record in server.truth.requests} == {"other:latest", "words:latest", "copy:latest"}


async def test_calls_by_either_name_share_the_models_slots():
    server = paced([ENDLESS])
    async with pool_over(server) as pool:
        with_copy(server, "endless")
        await pool.models()
        first = asyncio.create_task(pool.chat(model="endless", messages=ask("one")))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        second = asyncio.create_task(pool.chat(model="copy", messages=ask("two"), options={"num_predict": 1}))
        await asyncio.wait([asyncio.create_task(pool.show("endless"))])
        assert len(server.truth.requests) == 1
        first.cancel()
        assert (await second).model == "copy"


async def test_other_load_options_reload_it_under_every_name():
    server = simulator([WORDS])
    async with pool_over(server, lanes=LANES) as pool:
        with_copy(server)
        await pool.models()
        for model in ("words", "wide", "wide"):
            await pool.chat(model=model, messages=ask())
        assert [load.num_ctx for load in server.truth.loads] == [4096, 8192]


async def test_a_model_that_is_loaded_under_another_name_is_not_loaded_ahead():
    server = simulator([WORDS])
    async with pool_over(server) as pool:
        with_copy(server)
        await pool.chat(model="copy", messages=ask())
        await pool.preload(["words", "copy"])
        assert len(server.truth.requests) == 1
        assert not pool.plan(["words", "copy"]).turns


async def test_a_call_that_waits_by_one_name_survives_the_other_name():
    server = paced([ENDLESS])
    async with pool_over(server) as pool:
        with_copy(server, "endless")
        await pool.models()
        async with pool.stream_chat(model="endless", messages=ask("one")) as held:
            await anext(held)
            waiting = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 2}))
            await until(pool, lambda snapshot: bool(snapshot.waiting))
            assert list(pool.snapshot().waiting) == ["copy:latest"]  # the first of the names
            server.world.models.remove("copy")
            await pool.models()
            assert list(pool.snapshot().waiting) in ([], ["endless:latest"])
        assert (await waiting).model == "endless"


async def test_a_call_that_comes_back_to_the_queue_waits_by_a_name_that_is_there():
    first, second = paced([ENDLESS]), paced([ENDLESS])
    async with pool_over(first, second) as pool:
        for server in (first, second):
            with_copy(server, "endless")
        await pool.models()
        for server in (first, second):
            server.set_fault("endless", Fault(kind=FaultKind.HANG, times=1))
        asking = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 2}))
        await until(pool, lambda snapshot: any(each.in_flight for each in snapshot.servers))
        there, elsewhere = (first, second) if pool.snapshot().servers[0].in_flight else (second, first)
        elsewhere.set_fault("endless", None)
        for server in (first, second):
            server.world.models.remove("copy")
        await pool.models()
        pool._dispatcher.lost(there.url, ServerUnreachable("silent"))

        assert (await asking).server == f"gpu{(first, second).index(elsewhere)}"


async def test_a_missing_model_is_called_as_it_was_asked_for_and_its_other_names_are_there():
    server = simulator([WORDS])
    async with pool_over(server) as pool:
        with_copy(server)
        await pool.models()
        server.world.models.remove("words")  # shares the lane of its copy
        with pytest.raises(ModelNotFound) as missing:
            await pool.chat(model="words", messages=ask())
        assert missing.value.model == "words"
        assert (await pool.chat(model="copy", messages=ask())).model == "copy"
