"""Servers that are added, drained and removed while calls go on; that vanish without a word, and come back."""

from __future__ import annotations

import asyncio
from asyncio import Event, TaskGroup

import pytest

from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool import watchman
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable, PoolSaturated, QueueTimeout, UnknownServer
from infrastructure.pool.states import Health
from infrastructure.simulator import Fault, FaultKind, Toxic, ToxicKind
from infrastructure.transport.errors import OllamaError, ServerFailed, ServerUnreachable
from tests.pool.servers import ENDLESS, OTHER, QUICK, WORDS, ask, faulty, paced, pool_over, simulator
from tests.transport.raw_server import OK, Exchange, raw_server

_IMPATIENT = QUICK.model_copy(update={"phases": QUICK.phases.model_copy(update={"queue": 0.01})})


async def test_a_server_that_is_added_gets_calls():
    first, second = paced(slots=1), paced(slots=1)
    async with pool_over(first) as pool, second:
        held = pool.stream_chat(model="endless", messages=ask())
        await anext(held)
        waiting = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 3}))
        pool.add_server(second.url)
        assert (await waiting).server == second.url.removeprefix("http://")
        with pytest.raises(ValueError, match="already"):
            pool.add_server(second.url)
        await held.aclose()


async def test_a_server_that_is_removed_finishes_what_it_has_and_gets_nothing_new():
    first, second = paced(slots=2), paced(slots=2)
    async with pool_over(first, second, slots=2) as pool:
        stream = pool.stream_chat(model="words", messages=ask())
        await anext(stream)
        (busy,) = [server.label for server in pool.snapshot().servers if server.in_flight]
        removing = asyncio.create_task(pool.remove_server(busy))
        await asyncio.sleep(0)
        others = await asyncio.gather(*(pool.chat(model="words", messages=ask()) for _ in range(4)))
        assert busy not in {reply.server for reply in others}
        assert not removing.done()
        assert (await stream.whole()).text == "one two three four five"
        await removing
        assert busy not in [server.label for server in pool.snapshot().servers]
        with pytest.raises(UnknownServer):
            await pool.remove_server(busy)


async def test_without_any_server_left_calls_are_refused():
    async with pool_over(simulator()) as pool:
        await pool.remove_server("gpu0")
        with pytest.raises(NoServerAvailable):
            await pool.chat(model="words", messages=ask())


async def test_a_drained_server_is_used_again_when_it_may():
    async with pool_over(simulator(), simulator()) as pool:
        pool.drain_server("gpu0")
        assert {(await pool.chat(model="words", messages=ask())).server for _ in range(3)} == {"gpu1"}
        pool.drain_server("gpu0", draining=False)
        pool.drain_server("gpu1")
        assert (await pool.chat(model="words", messages=ask())).server == "gpu0"


@pytest.mark.parametrize("other", [False, True])
async def test_calls_wait_for_a_drained_server_that_alone_has_their_model(other: bool):
    servers = [paced(slots=1), *([paced((OTHER,), slots=1)] if other else [])]
    async with pool_over(*servers) as pool, TaskGroup() as group:
        async with pool.stream_chat(model="endless", messages=ask()) as held:
            await anext(held)
            before = group.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 2}))
            await _waiting(pool, 1)
            pool.drain_server("gpu0")
            after = group.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 2}))
            await _waiting(pool, 2)
        url = servers[0].url
        await servers[0].go_down()  # it is started anew
        await pool._dispatcher.inventory.look(url)
        assert pool.snapshot().servers[0].health is Health.DOWN
        await servers[0].come_up()
        await pool._dispatcher.inventory.look(url)
        assert sum(pool.snapshot().waiting.values()) == 2
        pool.drain_server("gpu0", draining=False)

    assert {before.result().server, after.result().server} == {"gpu0"}


async def test_a_model_that_a_drained_server_lacks_is_missing_at_once():
    async with pool_over(simulator((WORDS,)), simulator((OTHER,))) as pool:
        await pool.models()
        pool.drain_server("gpu0")
        with pytest.raises(ModelNowhere):
            await pool.chat(model="nowhere", messages=ask())


async def test_a_call_that_failed_elsewhere_does_not_wait_for_a_drained_server():
    async with pool_over(simulator(), simulator([faulty(FaultKind.ERROR)])) as pool:
        await pool.models()
        pool.drain_server("gpu0")
        with pytest.raises(ServerFailed):
            await pool.chat(model="words", messages=ask())


async def test_a_call_that_waited_for_a_drained_server_in_vain_is_told_so():
    async with pool_over(simulator(), simulator((OTHER,)), settings=_IMPATIENT) as pool:
        await pool.models()
        pool.drain_server("gpu0")
        with pytest.raises(QueueTimeout, match="only gpu0 may serve it, which gets no new calls") as refused:
            await pool.chat(model="words", messages=ask())
        assert refused.value.drained == ("gpu0",)


async def test_calls_that_wait_for_a_drained_server_do_not_stop_those_of_others():
    settings = QUICK.model_copy(update={"queue_length": 2})
    async with pool_over(simulator((WORDS,)), simulator((OTHER,)), settings=settings) as pool, TaskGroup() as group:
        await pool.models()
        pool.drain_server("gpu0")
        parked = [group.create_task(pool.chat(model="words", messages=ask())) for _ in range(2)]
        await _waiting(pool, 2)
        assert (await pool.chat(model="other", messages=ask())).server == "gpu1"
        with pytest.raises(PoolSaturated):
            await pool.chat(model="words", messages=ask())
        pool.drain_server("gpu0", draining=False)

    assert {each.result().server for each in parked} == {"gpu0"}


async def test_a_pool_that_drains_refuses_what_only_a_drained_server_could_serve():
    async with pool_over(simulator((WORDS,)), paced((ENDLESS,))) as pool:
        await pool.models()
        pool.drain_server("gpu0")
        parked = asyncio.create_task(pool.chat(model="words", messages=ask()))
        await _waiting(pool, 1)
        held = pool.stream_chat(model="endless", messages=ask())
        await anext(held)
        later = asyncio.create_task(pool.chat(model="endless", messages=ask()))
        await _waiting(pool, 2)
        draining = asyncio.create_task(pool.drain())
        with pytest.raises(NoServerAvailable, match="gpu0: drained"):
            await parked
        pool.drain_server("gpu1")
        with pytest.raises(NoServerAvailable, match="gpu1: drained"):
            await later
        assert not draining.done()
        await held.aclose()
        await draining


async def test_what_waits_for_a_server_that_is_removed_is_refused_at_once():
    async with pool_over(paced(slots=1), simulator((OTHER,))) as pool:
        async with pool.stream_chat(model="endless", messages=ask()) as held:
            await anext(held)
            waiting = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 2}))
            await _waiting(pool, 1)
            removing = asyncio.create_task(pool.remove_server("gpu0"))
            with pytest.raises(ModelNowhere, match="Models there: other:latest"):
                await waiting
            assert not removing.done()
        await removing


async def test_no_call_waits_for_a_server_that_is_being_removed():
    async with pool_over(paced(slots=1)) as pool:
        async with pool.stream_chat(model="endless", messages=ask()) as held:
            await anext(held)
            removing = asyncio.create_task(pool.remove_server("gpu0"))
            await asyncio.sleep(0)  # it begins
            with pytest.raises(NoServerAvailable, match="gpu0: being removed"):
                await pool.chat(model="words", messages=ask())
            pool.drain_server("gpu0")
            with pytest.raises(NoServerAvailable, match="gpu0: being removed"):
                await pool.chat(model="words", messages=ask())
            assert not removing.done()
        await removing


async def test_a_server_whose_removal_was_given_up_is_one_that_is_drained():
    async with pool_over(paced(slots=1)) as pool:
        async with pool.stream_chat(model="endless", messages=ask()) as held:
            await anext(held)
            removing = asyncio.create_task(pool.remove_server("gpu0"))
            await asyncio.sleep(0)  # it begins
            removing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await removing
            waiting = asyncio.create_task(pool.chat(model="words", messages=ask()))
            await _waiting(pool, 1)
        assert not waiting.done()
        pool.drain_server("gpu0", draining=False)

        assert (await waiting).server == "gpu0"


async def test_a_model_that_the_only_server_lacks_is_missing_also_while_that_is_drained():
    async with pool_over(simulator((WORDS,))) as pool:
        await pool.models()
        pool.drain_server("gpu0")
        with pytest.raises(ModelNowhere, match="Models there: words:latest"):
            await pool.chat(model="nowhere", messages=ask())


async def _waiting(pool: OllamaConnectionPool, count: int) -> None:
    async for snapshot in pool.changes():
        if sum(snapshot.waiting.values()) == count:
            return


async def test_calls_leave_a_server_that_takes_them_and_says_nothing_any_more():
    first, second = simulator(slots=4), simulator(slots=4)
    async with pool_over(first, second, slots=4) as pool:
        await pool.chat(model="words", messages=ask())  # one of them has it loaded, the other not
        (dark,) = [
            each for each in (first, second) if each.truth.requests and any(r.tokens_made for r in each.truth.requests)
        ]
        dark.add_toxic(Toxic(kind=ToxicKind.TIMEOUT))
        replies = await asyncio.gather(*(pool.chat(model="words", messages=ask()) for _ in range(4)))

        assert {reply.text for reply in replies} == {"one two three four five"}
        assert pool.snapshot().calls.moved >= 1
        label = f"gpu{(first, second).index(dark)}"
        assert [server.health for server in pool.snapshot().servers if server.label == label] == [Health.DOWN]


async def test_a_server_that_is_back_is_found_without_a_call():
    only = paced()
    async with pool_over(only) as pool:
        assert (await pool.chat(model="words", messages=ask())).text
        await only.go_down()
        with pytest.raises(OllamaError):
            await pool.chat(model="words", messages=ask())
        assert only.truth.open_connections == 0
        await only.come_up()
        await only.truth.until(lambda truth: truth.open_connections > 0)


async def test_a_model_that_keeps_failing_on_one_server_is_served_by_the_other():
    async with pool_over(simulator([faulty(FaultKind.CRASH)]), simulator()) as pool:
        for _ in range(12):
            assert (await pool.chat(model="words", messages=ask())).server == "gpu1"
        moved = pool.snapshot().calls.moved
        for _ in range(5):
            await pool.chat(model="words", messages=ask())
        assert pool.snapshot().calls.moved == moved


async def test_a_server_is_not_called_down_for_an_answer_that_this_loop_was_too_late_to_read(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(watchman, "PROBE_SECONDS", 0.01)
    servers = simulator(), simulator()
    async with pool_over(*servers) as pool:
        await pool.chat(model="words", messages=ask())
        dispatcher = pool._dispatcher
        name = next(iter(dispatcher.servers))
        servers[0].add_toxic(Toxic(kind=ToxicKind.TIMEOUT))
        looks_out = dispatcher.watchman

        looks_out._due = dispatcher.clock() - 1  # its round should have begun a second ago
        await looks_out._probe(name)
        assert dispatcher.scheduler.servers[name].health is Health.UP
        looks_out._due = dispatcher.clock() + 1
        await looks_out._probe(name)
        assert dispatcher.scheduler.servers[name].health is Health.DOWN


@pytest.mark.parametrize(
    ("status", "body", "health"),
    [
        (b"200 OK", b'{"version":"0.32.15"}', Health.UP),
        (b"200 OK", b"{}", Health.UP),
        (b"403 Forbidden", b"", Health.UP),
        (b"404 Not Found", b"404 page not found", Health.UP),
        (b"429 Too Many Requests", b"", Health.UP),
        (b"500 Internal Server Error", b"{}", Health.UP),
        (b"503 Service Unavailable", b'{"error":"server busy"}', Health.UP),
        (b"502 Bad Gateway", b"", Health.DOWN),
        (b"503 Service Unavailable", b"no healthy upstream", Health.DOWN),
        (b"504 Gateway Timeout", b"", Health.DOWN),
    ],
)
async def test_what_a_silent_server_says_itself_is_a_sign_of_life(status: bytes, body: bytes, health: Health):
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/version":
            await exchange.whole(body, status)
        else:
            await exchange.whole(b'{"models":[{"name":"words:latest","model":"words:latest","size":1}]}')

    async with raw_server(script) as server, OllamaConnectionPool([server.url]) as pool:
        await pool.models()
        looks_out = pool._dispatcher.watchman
        looks_out._due = pool._dispatcher.clock() + 1  # so that this loop is not late
        await looks_out._probe(server.url)
        assert pool.snapshot().servers[0].health is health


async def test_a_call_leaves_each_silent_server_only_once():
    loaded, asked = Event(), asyncio.Queue[int]()

    async def script(exchange: Exchange) -> None:
        if exchange.path != "/api/chat":
            await exchange.whole(b'{"models":[{"name":"words:latest","model":"words:latest","size":1}]}')
            return
        asked.put_nowait(exchange.writer.get_extra_info("sockname")[1])
        await loaded.wait()
        await exchange.say(OK)
        await exchange.chunk(b'{"message":{"content":"well"},"done":true}\n')
        await exchange.end()

    async with raw_server(script) as one, raw_server(script) as two, OllamaConnectionPool([one.url, two.url]) as pool:
        dispatcher = pool._dispatcher
        await pool.models()
        slow = asyncio.create_task(pool.chat(model="words", messages=ask()))
        for _ in range(2):
            silent = f"http://127.0.0.1:{await asked.get()}"
            dispatcher.lost(silent, ServerUnreachable("silent"))
            await dispatcher.inventory.look(silent)
        last = f"http://127.0.0.1:{await asked.get()}"
        dispatcher.lost(last, ServerUnreachable("silent"))
        assert pool.snapshot().calls.moved == 2
        loaded.set()

        assert (await slow).server == last.removeprefix("http://")


async def test_a_call_may_go_back_to_a_server_that_was_silent_and_answers_again():
    first, second = paced(slots=1), paced(slots=1)
    async with pool_over(first, second, slots=1) as pool:
        first.set_fault("endless", Fault(kind=FaultKind.HANG, times=1))
        pool.drain_server("gpu1")
        waiting = asyncio.create_task(pool.chat(model="endless", messages=ask(), options={"num_predict": 3}))
        await first.truth.until(lambda truth: bool(truth.in_slots()))
        pool.drain_server("gpu1", draining=False)
        async with pool.stream_chat(model="endless", messages=ask()) as other:
            await anext(other)  # the other server is busy with it until the end
            pool._dispatcher.lost(first.url, ServerUnreachable("silent"))
            await pool._dispatcher.inventory.look(first.url)

            assert (await waiting).server == "gpu0"
        assert pool.snapshot().calls.moved == 1
