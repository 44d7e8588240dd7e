"""Real proxies in front of the simulated server: nginx, Caddy and HAProxy, each by every protocol it is asked in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from infrastructure.config.settings import PhaseLimits
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings, script_models
from infrastructure.simulator.records import Outcome
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.connections import open_wire
from infrastructure.transport.errors import ServerFailed, ServerUnreachable, StreamBroken, may_move
from infrastructure.transport.exchange import Exchange as Asking
from infrastructure.transport.exchange import UnderWay
from infrastructure.transport.messages import Chunk, GenerateRequest
from tests.transport.proxies import Caddy, Face, Haproxy, Nginx, Proxy, Seen, needs
from tests.transport.raw_server import OK, Exchange, raw_server

WORDS = ModelSpec(name="counted", text="one two three four five six seven eight")
HELD = GenerateRequest(model="counted", prompt="held")
SHORT = GenerateRequest(model="counted", prompt="hi")
ENDLESS = GenerateRequest(model="endless", prompt="go on")
STREAMS = 60
Started = Callable[[int], AbstractAsyncContextManager[Proxy]]

pytestmark = pytest.mark.slow


@pytest.fixture(params=[pytest.param(kind, marks=needs(kind), id=kind.program) for kind in (Nginx, Caddy, Haproxy)])
def kind(request: pytest.FixtureRequest) -> type[Proxy]:
    return request.param


@pytest.fixture(params=list(Face), ids=lambda face: face.name)
def face(request: pytest.FixtureRequest) -> Face:
    return request.param


@pytest.fixture
def start(kind: type[Proxy], face: Face, tmp_path: Path, request: pytest.FixtureRequest) -> Started:
    """Starts the proxy in front of a port."""
    certificate: Path | None = request.getfixturevalue("certificate") if face.tls else None
    return lambda backend: kind(tmp_path, face, backend, certificate).running()


@asynccontextmanager
async def in_front_of_simulator(start: Started, *, slots: int = 64) -> AsyncIterator[tuple[Simulator, Proxy]]:
    settings = SimulatorSettings(
        models=(WORDS, *script_models()),
        num_parallel=slots,
        load_seconds=0,
        decode_slowdown=0,
        decode_tokens_per_second=500,
    )
    async with Simulator(settings) as server, start(server.port) as proxy:
        yield server, proxy


@asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[OllamaClient]:
    client = OllamaClient(proxy.settings)
    yield client
    await client.aclose()


async def text_of(client: OllamaClient, request: GenerateRequest) -> str:
    async with client.generate(request) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def first(chunks: AsyncIterator[Chunk]) -> str:
    return (await anext(chunks)).text


async def rest(chunks: AsyncIterator[Chunk]) -> str:
    return "".join([chunk.text async for chunk in chunks])


def seen(server: Simulator) -> list[Seen]:
    return [Seen.by(record) for record in server.truth.requests]


async def test_each_piece_arrives_before_the_next_is_made(start: Started, face: Face) -> None:
    """The server makes a piece only when the one before was read: whatever holds one back, holds up the test.

    Asked without a body: Caddy 2.6 breaks off an answer that is there before it has seen the end of the request.
    """
    read = [asyncio.Event() for _ in range(20)]

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        for number, event in enumerate(read):
            await exchange.chunk(b"%d" % number)
            await event.wait()
        await exchange.end()

    async with raw_server(script) as server, start(server.port) as proxy:
        wire, limits = open_wire(proxy.settings, PhaseLimits()), PhaseLimits()
        async with Asking(wire, "GET", "/api/tags", None, limits, server="", under_way=UnderWay()) as answer:
            for number, event in enumerate(read):
                assert await answer.piece() == b"%d" % number
                event.set()
            assert await answer.piece() is None
        await wire.aclose()
        assert (b"HTTP/2.0" if face.http2 else b"HTTP/1.1") in server.requests[0].head.split(b"\r\n", 1)[1]


async def test_an_answer_that_stops_is_read_up_to_there_and_goes_on(start: Started) -> None:
    async with in_front_of_simulator(start) as (server, proxy), client_of(proxy) as client:
        server.hold("held")
        async with client.generate(HELD) as chunks:
            said = [await first(chunks) for _ in range(4)]
            assert "".join(said) == "one two three four"
            server.release("held")
            assert await rest(chunks) == " five six seven eight"


async def test_leaving_early_frees_the_slot_and_stops_no_neighbour(start: Started) -> None:
    async with in_front_of_simulator(start, slots=2) as (server, proxy), client_of(proxy) as client:
        server.hold("held")
        async with client.generate(HELD) as stays:
            assert await first(stays)
            async with client.generate(ENDLESS) as leaves:
                assert await first(leaves)
            await server.truth.until(lambda truth: len(truth.in_slots()) == 1)
            await server.truth.until(lambda truth: truth.requests[-1].outcome is Outcome.CANCELLED)
            server.release("held")
            assert await rest(stays)


async def test_cancelling_before_the_first_byte_leaves_the_servers_queue(start: Started) -> None:
    async with in_front_of_simulator(start, slots=1) as (server, proxy), client_of(proxy) as client:
        server.hold("held")
        async with client.generate(HELD) as stays:
            assert await first(stays)
            waits = asyncio.create_task(text_of(client, SHORT))
            await server.truth.until(lambda truth: len(truth.requests) == 2)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            await server.truth.until(lambda truth: truth.requests[1].ended_at is not None)
            server.release("held")
            assert await rest(stays)
        assert await text_of(client, SHORT) == WORDS.text


async def test_sixty_streams_at_once(start: Started, face: Face) -> None:
    async with in_front_of_simulator(start) as (server, proxy), client_of(proxy) as client, AsyncExitStack() as stack:
        assert await text_of(client, SHORT) == WORDS.text
        server.hold("held")
        entering = (stack.enter_async_context(client.generate(HELD)) for _ in range(STREAMS))
        running = await asyncio.gather(*entering)
        assert all(await asyncio.gather(*map(first, running)))
        assert len(server.truth.in_slots()) == STREAMS
        server.release("held")
        assert all(await asyncio.gather(*map(rest, running)))
        ports = {each.port for each in seen(server)}
        assert len(ports) == (1 if face.http2 else STREAMS)
        assert {each.protocol for each in seen(server)} == {"HTTP/2.0" if face.http2 else "HTTP/1.1"}


async def test_a_reload_loses_no_call(start: Started) -> None:
    """Calls run, and new ones come, until the new configuration serves; each gets its whole answer.

    None is made twice, but for one whose kept connection a proxy closes before a byte of the answer: at most one for
    each connection that there was.
    """
    changed_over = asyncio.Event()
    async with in_front_of_simulator(start) as (server, proxy), client_of(proxy) as client, AsyncExitStack() as stack:
        server.hold("held")
        running = [await stack.enter_async_context(client.generate(HELD)) for _ in range(10)]
        assert all(await asyncio.gather(*map(first, running)))

        async def keeps_asking() -> int:
            asked = 0
            while not changed_over.is_set():
                assert await text_of(client, SHORT) == WORDS.text
                asked += 1
            return asked

        asking = [asyncio.create_task(keeps_asking()) for _ in range(5)]
        await server.truth.until(lambda truth: len(truth.requests) > 20)
        await proxy.reload()
        newcomers = 0
        if proxy.outlasts_reloads:
            while not any(each.generation == 2 for each in seen(server)):
                newcomers += 1
                async with client_of(proxy) as newcomer:
                    assert await text_of(newcomer, SHORT) == WORDS.text
        else:
            await server.truth.until(lambda truth: any(each.generation == 2 for each in seen(server)))
        changed_over.set()
        calls = sum(await asyncio.gather(*asking))
        server.release("held")
        assert all(await asyncio.gather(*map(rest, running)))
        await server.truth.until(lambda truth: not truth.running())
        told = 10 + calls + newcomers
        outcomes = [record.outcome for record in server.truth.requests]
        assert set(outcomes) <= {Outcome.DONE, Outcome.CANCELLED}
        assert outcomes.count(Outcome.DONE) >= told
        assert len(outcomes) - told <= (len(asking) if proxy.cuts_at_reload else 0)


async def test_a_server_that_dies_behind_it_is_a_typed_error_and_it_serves_again(start: Started) -> None:
    async with in_front_of_simulator(start, slots=1) as (server, proxy), client_of(proxy) as client:
        server.hold("held")
        async with client.generate(HELD) as chunks:
            said = [await first(chunks) for _ in range(4)]
            waits = asyncio.create_task(text_of(client, SHORT))
            await server.truth.until(lambda truth: len(truth.requests) == 2)
            await server.go_down()
            with pytest.raises(StreamBroken) as broken:
                await rest(chunks)
            assert broken.value.partial.text == "".join(said)
            with pytest.raises((ServerFailed, ServerUnreachable)) as before_the_first_byte:
                await waits
            assert may_move(before_the_first_byte.value)
        with pytest.raises((ServerFailed, ServerUnreachable)):
            await text_of(client, SHORT)
        server.release("held")
        await server.come_up()
        assert await text_of(client, SHORT) == WORDS.text


@needs(Nginx)
async def test_an_nginx_that_says_goaway_every_few_requests_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does every thousand by default: a running answer goes on, and every call in hand is answered once."""
    monkeypatch.setattr(Nginx, "requests", 20)

    def start(backend: int) -> AbstractAsyncContextManager[Proxy]:
        return Nginx(tmp_path, Face.H2C, backend, None).running()

    async with in_front_of_simulator(start) as (server, proxy), client_of(proxy) as client:
        server.hold("held")
        async with client.generate(HELD) as stays:
            assert await first(stays)
            for _ in range(10):
                assert await asyncio.gather(*(text_of(client, SHORT) for _ in range(15))) == [WORDS.text] * 15
            server.release("held")
            assert await rest(stays)
        assert len(server.truth.requests) == 151
        assert len({each.port for each in seen(server)}) >= 151 // 20
