"""Ollama's own client over our transport, on a real server; in plain HTTP it speaks HTTP/1.1 only."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import ollama
import pytest

from infrastructure.transport.http1 import Http1Transport

ADDRESS = os.environ.get("CORRAL_TEST_OLLAMA", "")
MESSAGES = [{"role": "user", "content": "hi"}]
ONE_THREAD = {"num_thread": 1}
SHAPE = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
READ = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Show a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ADDRESS, reason="CORRAL_TEST_OLLAMA names no server"),
    pytest.mark.timeout(300),
]


@pytest.fixture
async def client() -> AsyncIterator[ollama.AsyncClient]:
    transport = Http1Transport(idle_seconds=30)
    yield ollama.AsyncClient(host=ADDRESS, transport=transport)
    await transport.aclose()


async def test_text_whole_and_streamed_is_the_same(client: ollama.AsyncClient) -> None:
    whole = await client.chat("words", MESSAGES, options=ONE_THREAD)
    parts = [part async for part in await client.chat("words", MESSAGES, stream=True, options=ONE_THREAD)]
    generated = await client.generate("words", "hi", options=ONE_THREAD)

    assert len(parts) > 5
    assert "".join(part.message.content for part in parts) == whole.message.content == generated.response
    assert parts[-1].eval_count == whole.eval_count > 5


@pytest.mark.models("corral-talk")
async def test_calls_and_shapes(client: ollama.AsyncClient) -> None:
    called = await client.chat("corral-talk", MESSAGES, tools=[READ], options=ONE_THREAD)
    shaped = await client.chat("noise-small", MESSAGES, format=SHAPE, options=ONE_THREAD)

    (call,) = called.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("read_file", {"path": "calc.py"})
    assert isinstance(json.loads(shaped.message.content)["sure"], bool)


async def test_vectors_and_lists(client: ollama.AsyncClient) -> None:
    assert len((await client.embed("embedder", ["a", "b"])).embeddings) == 2
    assert "words:latest" in {model.model for model in (await client.list()).models}
    assert "embedder:latest" in {model.model for model in (await client.ps()).models}
    assert "completion" in (await client.show("words")).capabilities


async def test_errors_are_its_own(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="not found") as error:
        await client.generate("nobody", "hi")
    assert error.value.status_code == 404


async def test_a_stream_that_is_left_frees_the_servers_slot(client: ollama.AsyncClient) -> None:
    parts = await client.generate("endless", "go on", stream=True, options=ONE_THREAD)
    assert (await anext(parts)).response
    await parts.aclose()
    brief = {"num_predict": 2, **ONE_THREAD}
    answer = await asyncio.wait_for(client.generate("endless", "hi", options=brief), 60)

    assert answer.done_reason == "length"
    assert answer.total_duration < 10e9
