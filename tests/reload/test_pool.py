"""Other servers, lanes and limits while calls go on: none fails, each is asked once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest

from infrastructure.config.settings import LaneSettings, PoolSettings, ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.states import Band
from infrastructure.simulator import ModelSpec, Simulator
from infrastructure.transport.errors import CloudModelRefused
from tests.pool.servers import QUICK, WORDS, ask, paced, simulator
from tests.transport.raw_server import OK, Exchange, raw_server

HELD = "wait for me"
LONG = ModelSpec(name="long", text=" ".join(str(number) for number in range(12)))
OTHER = ModelSpec(name="other", text="something else")


def servers_of(*simulators: Simulator, slots: int = 4, **more: object) -> tuple[ServerSettings, ...]:
    return tuple(ServerSettings(url=each.url, name=f"gpu{each.url[-5:]}", slots=slots, **more) for each in simulators)


@asynccontextmanager
async def started(*simulators: Simulator, slots: int = 4) -> AsyncIterator[OllamaConnectionPool]:
    """Simulators, and a pool over the first one."""
    async with AsyncExitStack() as stack:
        for each in simulators:
            await stack.enter_async_context(each)
        first = servers_of(simulators[0], slots=slots)
        yield await stack.enter_async_context(OllamaConnectionPool(first, settings=QUICK))


def labels(pool: OllamaConnectionPool) -> list[str]:
    return [server.label for server in pool.snapshot().servers]


async def is_full(server: Simulator) -> None:
    await server.truth.until(lambda truth: len(truth.in_slots()) == server.settings.num_parallel)


async def until(pool: OllamaConnectionPool, names: Sequence[ServerSettings]) -> None:
    """Wait until these are the pool's servers."""
    async for _ in pool.changes():
        if labels(pool) == [each.label for each in names]:
            return


async def test_two_hundred_calls_in_flight_outlive_servers_that_come_go_and_change():
    three = [simulator([LONG], slots=50) for _ in range(3)]
    async with started(*three, slots=50) as pool:
        first, second, third = servers_of(*three, slots=50)
        for each in three:
            each.hold(HELD)
        calls = [
            asyncio.create_task(pool.chat(model="long", messages=ask(f"{HELD} {number}"), options={"seed": number}))
            for number in range(200)
        ]
        await is_full(three[0])
        pool.reconfigure([first, second], lanes={}, settings=QUICK)
        await is_full(three[1])
        pool.reconfigure([second, third], lanes={"long": LaneSettings(model="long", keep_alive="5m")}, settings=QUICK)
        await is_full(three[2])
        for servers in (
            [second.model_copy(update={"slots": 20}), third, first],
            [third],
            [third, second],
            [third, first.model_copy(update={"name": "renamed", "slots": 60})],
        ):
            pool.reconfigure(servers, lanes={}, settings=QUICK)
            with pytest.raises(ValueError, match="named twice"):
                pool.reconfigure([*servers, third], lanes={}, settings=QUICK)
            await asyncio.sleep(0)
        for each in three:
            each.release(HELD)
        replies = await asyncio.gather(*calls)

        assert {reply.text for reply in replies} == {LONG.text}
        await until(pool, [third, first.model_copy(update={"name": "renamed"})])
        asked = Counter(record.seed for each in three for record in each.truth.requests)
        counts = pool.snapshot().calls
        assert set(asked) == set(range(200))
        assert 200 <= asked.total() <= 200 + counts.hedged  # a late one may ask a second server
        assert (counts.done, counts.failed, counts.moved) == (200, 0, 0)


async def test_a_server_that_is_gone_gets_nothing_new_and_ends_what_it_has():
    two = [paced(slots=4) for _ in range(2)]
    async with started(*two) as pool:
        first, second = servers_of(*two)
        stream = pool.stream_chat(model="words", messages=ask())
        await anext(stream)
        pool.reconfigure([second], lanes={}, settings=QUICK)
        others = await asyncio.gather(*(pool.chat(model="words", messages=ask()) for _ in range(6)))
        assert {reply.server for reply in others} == {second.label}
        assert labels(pool) == [second.label, first.label]
        assert (await stream.whole()).text == WORDS.text
        await until(pool, [second])


async def test_a_server_that_is_named_again_before_it_has_gone_stays():
    two = [paced(slots=4) for _ in range(2)]
    async with started(*two) as pool:
        first, second = servers_of(*two)
        stream = pool.stream_chat(model="words", messages=ask())
        await anext(stream)
        for servers in ([second], [first], [second, first], [first]):
            pool.reconfigure(servers, lanes={}, settings=QUICK)
        assert not pool.snapshot().servers[0].draining
        assert (await pool.chat(model="words", messages=ask())).server == first.label
        assert (await stream.whole()).text == WORDS.text
        await until(pool, [first])


async def test_a_server_that_has_gone_can_come_back():
    two = [simulator(slots=4) for _ in range(2)]
    async with started(*two) as pool:
        first, second = servers_of(*two)
        for _ in range(3):
            pool.reconfigure([second], lanes={}, settings=QUICK)
            assert (await pool.chat(model="words", messages=ask())).server == second.label
            await until(pool, [second])
            pool.reconfigure([first], lanes={}, settings=QUICK)
            assert (await pool.chat(model="words", messages=ask())).server == first.label
            await until(pool, [first])
        await two[1].truth.until(lambda truth: truth.open_connections == 0)


async def test_more_slots_are_used_at_once_and_fewer_take_none_from_a_call():
    server = simulator(slots=8)
    async with started(server, slots=1) as pool:
        server.hold(HELD)
        calls = [asyncio.create_task(pool.chat(model="words", messages=ask(f"{HELD} {n}"))) for n in range(6)]
        await server.truth.until(lambda truth: len(truth.in_slots()) == 1)
        pool.reconfigure(servers_of(server, slots=4), lanes={}, settings=QUICK)
        await server.truth.until(lambda truth: len(truth.in_slots()) == 4)
        pool.reconfigure(servers_of(server, slots=2), lanes={}, settings=QUICK)
        lane = pool.snapshot().servers[0].lanes[0]
        assert (lane.busy, lane.free, lane.slots) == (4, 0, 2)
        server.release(HELD)
        assert {reply.text for reply in await asyncio.gather(*calls)} == {WORDS.text}


async def test_another_token_is_sent_with_new_calls_and_the_connection_of_the_old_one_ends_with_its_call():
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/tags":
            await exchange.whole(b'{"models":[{"name":"m:latest","model":"m:latest","size":1,"digest":"d"}]}')
        elif exchange.path == "/api/ps":
            await exchange.whole(b'{"models":[]}')
        else:
            await exchange.say(OK)
            await exchange.chunk(b'{"message":{"role":"assistant","content":"a"},"done":false}\n')
            if b"held" in exchange.body:
                await go_on.wait()
            await exchange.chunk(
                orjson.dumps({"message": {"content": "b"}, "done": True, "done_reason": "stop"}) + b"\n"
            )
            await exchange.end()

    async with raw_server(script) as server:
        one, two = (ServerSettings(url=server.url, token=token, slots=4) for token in ("one", "two"))
        async with OllamaConnectionPool([one], settings=QUICK) as pool:
            held = pool.stream_chat(model="m", messages=ask("held"))
            await anext(held)
            pool.reconfigure([two], lanes={}, settings=QUICK)
            assert (await pool.chat(model="m", messages=ask("new"))).text == "ab"
            go_on.set()
            assert (await held.whole()).text == "ab"
            sent = {
                exchange.head.partition(b"Bearer ")[2].partition(b"\r\n")[0]: exchange.body
                for exchange in server.requests
                if exchange.path == "/api/chat"
            }
            assert (b"held" in sent[b"one"], b"new" in sent[b"two"]) == (True, True)


async def test_a_lane_means_for_each_call_what_it_meant_when_it_began():
    server = simulator([WORDS, OTHER], slots=4)
    async with started(server) as pool:
        servers = servers_of(server)
        pool.reconfigure(servers, lanes={"coder": LaneSettings(model="words")}, settings=QUICK)
        run = pool.with_lanes({"coder": LaneSettings(model="words")})
        server.hold(HELD)
        held = asyncio.create_task(pool.chat(model="coder", messages=ask(HELD), options={"seed": 1}))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        pool.reconfigure(servers, lanes={"coder": LaneSettings(model="other")}, settings=QUICK)
        server.hold("nothing")
        equal = asyncio.create_task(pool.chat(model="coder", messages=ask(HELD), options={"seed": 1}))
        await server.truth.until(lambda truth: len(truth.in_slots()) == 2)
        assert (await run.chat(model="coder", messages=ask())).text == WORDS.text
        pool.reconfigure(servers, lanes={}, settings=QUICK)
        assert (await run.chat(model="coder", messages=ask())).text == WORDS.text
        server.release(HELD)
        assert ((await held).text, (await equal).text) == (WORDS.text, OTHER.text[: len((await equal).text)])


async def test_limits_hold_for_the_next_call():
    server = simulator(slots=1)
    async with started(server, slots=1) as pool:
        servers = servers_of(server, slots=1)
        server.hold(HELD)
        calls = [asyncio.create_task(pool.chat(model="words", messages=ask(f"{HELD} {n}"))) for n in range(4)]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        pool.reconfigure(servers, lanes={}, settings=QUICK.model_copy(update={"queue_length": 3, "num_predict": 2}))
        with pytest.raises(PoolSaturated):
            await pool.chat(model="words", messages=ask())
        assert pool.snapshot().queued[Band.INTERACTIVE] == 3
        server.release(HELD)
        assert [reply.num_predict for reply in await asyncio.gather(*calls)][1:] == [2, 2, 2]


async def test_cloud_models_are_allowed_or_not_as_the_settings_say_now():
    server = simulator([WORDS.model_copy(update={"name": "words:cloud"})], slots=1)
    async with started(server) as pool:
        with pytest.raises(CloudModelRefused):
            await pool.chat(model="words:cloud", messages=ask())
        allowed = PoolSettings(allow_cloud=True)
        pool.reconfigure(servers_of(server), lanes={}, settings=allowed)
        assert (await pool.chat(model="words:cloud", messages=ask())).text


async def test_what_cannot_be_is_refused_whole():
    server = simulator()
    async with started(server) as pool:
        (first,) = servers_of(server)
        with pytest.raises(ValueError, match="named twice"):
            pool.reconfigure([first, first], lanes={"a": LaneSettings(model="other")}, settings=QUICK)
        assert (await pool.chat(model="words", messages=ask())).text == WORDS.text
