"""Ollama's own client over our transports: what it asks is answered, and leaving stops the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import ollama
import pytest

from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings, default_models, script_models
from infrastructure.simulator.records import Outcome
from infrastructure.transport.http1 import Http1Transport
from infrastructure.transport.http2 import Http2Transport

WORDS = ModelSpec(name="counted", text="one two three four five six seven eight")
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def client_over(protocol: str) -> AsyncIterator[tuple[Simulator, ollama.AsyncClient]]:
    settings = SimulatorSettings(
        models=(WORDS, *script_models(), *(each for each in default_models() if each.name == "echo")),
        num_parallel=32,
        load_seconds=0,
        decode_tokens_per_second=500,
        http2_port=0,
    )
    async with Simulator(settings) as server:
        if protocol == "HTTP/2":
            host, transport = server.http2_url.replace("h2c", "http"), Http2Transport(idle_seconds=30)
        else:
            host, transport = server.url, Http1Transport(idle_seconds=30)
        yield server, ollama.AsyncClient(host=host, transport=transport)
        await transport.aclose()


async def test_what_it_asks_is_answered_on_few_connections(protocol: str) -> None:
    async with client_over(protocol) as (server, client):
        assert (await client.generate("counted", "hi")).response == WORDS.text
        said = [part.message.content async for part in await client.chat("counted", MESSAGES, stream=True)]
        assert len(said) > 2
        assert "".join(said) == WORDS.text
        assert len((await client.embed("embedder", ["a", "b"])).embeddings) == 2
        assert "counted:latest" in {model.model for model in (await client.list()).models}
        assert server.truth.connections == 1
        answers = await asyncio.gather(*(client.generate("counted", "hi") for _ in range(30)))
        assert {answer.response for answer in answers} == {WORDS.text}
        assert server.truth.connections == (1 if protocol == "HTTP/2" else 30)


async def test_its_errors_are_its_own(protocol: str) -> None:
    async with client_over(protocol) as (_, client):
        with pytest.raises(ollama.ResponseError, match="not found") as error:
            await client.generate("nobody", "hi")
        assert error.value.status_code == 404


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_stream_that_is_left_stops_the_server(protocol: str, how: str) -> None:
    async with client_over(protocol) as (server, client):
        parts = await client.generate("endless", "go on", stream=True)
        assert (await anext(parts)).response
        if how == "closed":
            await parts.aclose()
        else:
            going_on = asyncio.Event()
            reading = asyncio.ensure_future(_read(parts, going_on))
            await going_on.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await server.truth.until(lambda truth: truth.requests[0].outcome is Outcome.CANCELLED)
        await server.truth.until(lambda truth: not truth.in_slots())
        assert (await client.generate("counted", "hi")).response == WORDS.text


async def _read(parts: AsyncIterator[ollama.GenerateResponse], going_on: asyncio.Event) -> None:
    async for _ in parts:
        going_on.set()
