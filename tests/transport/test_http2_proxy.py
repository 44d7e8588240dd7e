"""HTTP/2 as it is met in the field: a real proxy (nghttpx) in front of a server that speaks HTTP/1.1."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from agents.model import Message
from infrastructure.config.settings import ServerSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import ServerUnreachable, StreamBroken
from infrastructure.transport.messages import ChatRequest
from tests.transport.raw_server import OK, Exchange, raw_server

NGHTTPX = shutil.which("nghttpx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGHTTPX is None, reason="nghttpx is not installed (Debian: nghttp2-proxy)"),
]
ASK = ChatRequest(model="m", messages=(Message("user", "hi"),))
LINE = b'{"message":{"content":"x"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'
Proxy = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    """Starts nghttpx in front of a port; yields the port it listens on."""

    @asynccontextmanager
    async def start(backend: int, *options: str, tls: bool = False, h1_only: bool = False) -> AsyncIterator[int]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        files = [str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")] if tls else []
        process = await asyncio.create_subprocess_exec(
            str(NGHTTPX),
            f"--frontend=127.0.0.1,{port}" + ("" if tls else ";no-tls"),
            f"--backend=127.0.0.1,{backend}",
            "--workers=1",
            "--errorlog-file=/dev/null",
            "--conf=/dev/null",
            *(["--npn-list=http/1.1"] if h1_only else []),
            *options,
            *files,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _listening(port)
            yield port
        finally:
            process.kill()
            await process.wait()

    return start


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)  # nothing tells us when another program has bound its port
            continue
        writer.close()
        return


async def answers(exchange: Exchange) -> None:
    await exchange.say(OK)
    for _ in range(5):
        await exchange.chunk(LINE)
    await exchange.chunk(DONE)
    await exchange.end()


async def text_of(client: OllamaClient) -> str:
    async with client.chat(ASK) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_a_stream_arrives_through_the_proxy(proxy: Proxy) -> None:
    async with raw_server(answers) as backend, proxy(backend.port) as port:
        client = OllamaClient(ServerSettings(url=f"h2c://127.0.0.1:{port}"))
        assert await asyncio.gather(*(text_of(client) for _ in range(20))) == ["xxxxx"] * 20
        assert b"Via: 2 nghttpx" in backend.requests[0].head or b"via: 2 nghttpx" in backend.requests[0].head
        await client.aclose()


async def test_leaving_early_stops_the_backend_and_not_its_neighbour(proxy: Proxy) -> None:
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

    async with raw_server(script) as backend, proxy(backend.port) as port:
        client = OllamaClient(ServerSettings(url=f"h2c://127.0.0.1:{port}"))
        async with client.chat(ASK) as neighbour:
            assert (await anext(neighbour)).text == "x"
            async with client.chat(ASK) as leaves:
                assert (await anext(leaves)).text == "x"
            await stopped.wait()
            go_on.set()
            assert [chunk.final is not None async for chunk in neighbour] == [True]
        await client.aclose()


async def test_cancelling_before_the_first_byte_stops_the_backend(proxy: Proxy) -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await exchange.client_left()
        stopped.set()

    async with raw_server(script) as backend, proxy(backend.port) as port:
        client = OllamaClient(ServerSettings(url=f"h2c://127.0.0.1:{port}"))
        call = asyncio.ensure_future(text_of(client))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await stopped.wait()
        await client.aclose()


async def test_a_backend_that_dies_in_the_middle_breaks_the_stream(proxy: Proxy) -> None:
    arrived = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(LINE)
        await arrived.wait()
        exchange.reset()

    async with raw_server(script) as backend, proxy(backend.port) as port:
        client = OllamaClient(ServerSettings(url=f"h2c://127.0.0.1:{port}"))
        async with client.chat(ASK) as chunks:
            assert (await anext(chunks)).text == "x"
            arrived.set()
            with pytest.raises(StreamBroken) as broken:
                await anext(chunks)
        assert broken.value.partial.text == "x"
        await client.aclose()


async def test_tls_with_a_private_authority_speaks_http2_by_alpn(proxy: Proxy, certificate: Path) -> None:
    async with raw_server(answers) as backend, proxy(backend.port, tls=True) as port:
        settings = ServerSettings(url=f"https://localhost:{port}", http2=True, ca_file=certificate)
        client = OllamaClient(settings)
        assert await asyncio.gather(*(text_of(client) for _ in range(5))) == ["xxxxx"] * 5
        assert all(b"2 nghttpx" in request.head for request in backend.requests)
        await client.aclose()


@pytest.mark.parametrize("http2", [False, True])
async def test_tls_falls_back_to_http1_where_the_server_chooses_it(
    proxy: Proxy, certificate: Path, http2: bool
) -> None:
    async with raw_server(answers) as backend, proxy(backend.port, tls=True, h1_only=True) as port:
        settings = ServerSettings(url=f"https://localhost:{port}", http2=http2, ca_file=certificate)
        client = OllamaClient(settings)
        assert [await text_of(client) for _ in range(2)] == ["xxxxx"] * 2
        assert all(b"1.1 nghttpx" in request.head for request in backend.requests)
        await client.aclose()


@pytest.mark.parametrize("http2", [False, True])
async def test_an_unknown_authority_is_refused_with_the_setting_named(
    proxy: Proxy, certificate: Path, http2: bool
) -> None:
    assert certificate.name == "cert.pem"
    async with raw_server(answers) as backend, proxy(backend.port, tls=True) as port:
        client = OllamaClient(ServerSettings(url=f"https://localhost:{port}", http2=http2))
        with pytest.raises(ServerUnreachable) as error:
            await client.version()
        assert "ca_file" in error.value.hint
        await client.aclose()
