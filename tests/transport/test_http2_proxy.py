"""HTTP/2 as it is met in the field: a real proxy (nghttpx) in front of a server that speaks HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agents.model import Message
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import ServerUnreachable, StreamBroken
from infrastructure.transport.messages import ChatRequest
from tests.transport.proxies import Face, Nghttpx, Proxy, needs
from tests.transport.raw_server import OK, Exchange, raw_server

pytestmark = [pytest.mark.slow, needs(Nghttpx)]
ASK = ChatRequest(model="m", messages=(Message("user", "hi"),))
LINE = b'{"message":{"content":"x"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'
Started = Callable[..., AbstractAsyncContextManager[Proxy]]


@pytest.fixture
def start(tmp_path: Path) -> Started:
    """Starts nghttpx in front of a port."""
    return lambda backend, face=Face.H2C, certificate=None: Nghttpx(tmp_path, face, backend, certificate).running()


async def answers(exchange: Exchange) -> None:
    await exchange.say(OK)
    for _ in range(5):
        await exchange.chunk(LINE)
    await exchange.chunk(DONE)
    await exchange.end()


async def text_of(client: OllamaClient) -> str:
    async with client.chat(ASK) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_a_stream_arrives_through_the_proxy(start: Started) -> None:
    async with raw_server(answers) as backend, start(backend.port) as proxy:
        client = OllamaClient(proxy.settings)
        assert await asyncio.gather(*(text_of(client) for _ in range(20))) == ["xxxxx"] * 20
        assert b"Via: 2 nghttpx" in backend.requests[0].head or b"via: 2 nghttpx" in backend.requests[0].head
        await client.aclose()


async def test_leaving_early_stops_the_backend_and_not_its_neighbour(start: Started) -> None:
    stopped, go_on = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(LINE)
        if exchange.number == 0:
            await go_on.wait()
            await exchange.chunk(DONE)
            await exchange.end()
        else:
            await exchange.client_left()
            stopped.set()

    async with raw_server(script) as backend, start(backend.port) as proxy:
        client = OllamaClient(proxy.settings)
        async with client.chat(ASK) as neighbour:
            assert (await anext(neighbour)).text == "x"
            async with client.chat(ASK) as leaves:
                assert (await anext(leaves)).text == "x"
            await stopped.wait()
            go_on.set()
            assert [chunk.final is not None async for chunk in neighbour] == [True]
        await client.aclose()


async def test_cancelling_before_the_first_byte_stops_the_backend(start: Started) -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await exchange.client_left()
        stopped.set()

    async with raw_server(script) as backend, start(backend.port) as proxy:
        client = OllamaClient(proxy.settings)
        call = asyncio.ensure_future(text_of(client))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await stopped.wait()
        await client.aclose()


async def test_a_backend_that_dies_in_the_middle_breaks_the_stream(start: Started) -> None:
    arrived = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(LINE)
        await arrived.wait()
        exchange.reset()

    async with raw_server(script) as backend, start(backend.port) as proxy:
        client = OllamaClient(proxy.settings)
        async with client.chat(ASK) as chunks:
            assert (await anext(chunks)).text == "x"
            arrived.set()
            with pytest.raises(StreamBroken) as broken:
                await anext(chunks)
        assert broken.value.partial.text == "x"
        await client.aclose()


async def test_tls_with_a_private_authority_speaks_http2_by_alpn(start: Started, certificate: Path) -> None:
    async with raw_server(answers) as backend, start(backend.port, Face.H2, certificate) as proxy:
        client = OllamaClient(proxy.settings)
        assert await asyncio.gather(*(text_of(client) for _ in range(5))) == ["xxxxx"] * 5
        assert all(b"2 nghttpx" in request.head for request in backend.requests)
        await client.aclose()


@pytest.mark.parametrize("http2", [False, True])
async def test_tls_falls_back_to_http1_where_the_server_chooses_it(
    start: Started, certificate: Path, http2: bool
) -> None:
    async with raw_server(answers) as backend, start(backend.port, Face.TLS, certificate) as proxy:
        client = OllamaClient(proxy.settings.model_copy(update={"http2": http2}))
        assert [await text_of(client) for _ in range(2)] == ["xxxxx"] * 2
        assert all(b"1.1 nghttpx" in request.head for request in backend.requests)
        await client.aclose()


@pytest.mark.parametrize("http2", [False, True])
async def test_an_unknown_authority_is_refused_with_the_setting_named(
    start: Started, certificate: Path, http2: bool
) -> None:
    async with raw_server(answers) as backend, start(backend.port, Face.H2, certificate) as proxy:
        client = OllamaClient(proxy.settings.model_copy(update={"http2": http2, "ca_file": None}))
        with pytest.raises(ServerUnreachable) as error:
            await client.version()
        assert "ca_file" in error.value.hint
        await client.aclose()
