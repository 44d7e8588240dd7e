"""Real answers through the real parser, however the network cuts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agents.model import Message, ToolCall
from infrastructure.config.settings import ServerSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import PullFailed, StreamBroken
from infrastructure.transport.messages import ChatRequest, Chunk, GenerateRequest
from tests.transport.recordings import Recorded, name_of, recorded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STREAMS = [e for e in recorded() if e.status == 200 and e.path in ("/api/chat", "/api/generate") and e.method == "POST"]


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def client_that_hears(exchange: Recorded, pieces: list[bytes]) -> OllamaClient:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == exchange.path
        return httpx.Response(exchange.status, headers=exchange.headers, stream=Pieces(pieces))

    return OllamaClient(ServerSettings(), transport=httpx.MockTransport(answer))


async def read(client: OllamaClient, path: str) -> list[Chunk]:
    call = (
        client.chat(ChatRequest(model="m", messages=(Message("user", "hi"),)))
        if path == "/api/chat"
        else client.generate(GenerateRequest(model="m", prompt="hi"))
    )
    async with call as chunks:
        return [chunk async for chunk in chunks]


def lines_of(exchange: Recorded) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exchange.body.split(b"\n") if line.strip()]


def spoken(line: dict[str, Any]) -> dict[str, Any]:
    return line["message"] if "message" in line else {"content": line["response"], **line}


def calls_of(line: dict[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(call["function"]["name"], call["function"]["arguments"], call.get("id"))
        for call in spoken(line).get("tool_calls", ())
    )


@pytest.mark.parametrize("cut", ["as recorded", "at once", "in crumbs"])
@pytest.mark.parametrize("exchange", STREAMS, ids=name_of)
async def test_every_recorded_answer_is_read_as_it_was_said(exchange: Recorded, cut: str) -> None:
    step = 1 if len(exchange.body) < 10_000 else 31
    crumbs = [exchange.body[i : i + step] for i in range(0, len(exchange.body), step)]
    pieces = {"as recorded": exchange.chunks, "at once": [exchange.body], "in crumbs": crumbs}[cut]
    lines = lines_of(exchange)
    client = client_that_hears(exchange, pieces)
    if not lines[-1]["done"]:
        with pytest.raises(StreamBroken) as broken:
            await read(client, exchange.path)
        assert broken.value.partial.text == "".join(spoken(line)["content"] for line in lines)
        return
    chunks = await read(client, exchange.path)
    assert [chunk.text for chunk in chunks] == [spoken(line)["content"] for line in lines]
    assert [chunk.thinking for chunk in chunks] == [spoken(line).get("thinking", "") for line in lines]
    assert [chunk.tool_calls for chunk in chunks] == [calls_of(line) for line in lines]
    assert [chunk.final is not None for chunk in chunks] == [line["done"] for line in lines]
    final, last = chunks[-1].final, lines[-1]
    assert final is not None
    assert final.finish == last["done_reason"]
    assert final.metrics.total_ns == last.get("total_duration", 0)
    assert final.metrics.load_ns == last.get("load_duration", 0)
    assert final.metrics.prompt_tokens == last.get("prompt_eval_count", 0)
    assert final.metrics.prompt_ns == last.get("prompt_eval_duration", 0)
    assert final.metrics.completion_tokens == last.get("eval_count", 0)
    assert final.metrics.decode_ns == last.get("eval_duration", 0)


def test_the_recordings_hold_answers_of_every_kind() -> None:
    cases = {exchange.case for exchange in STREAMS}
    assert {"chat stream", "chat tool call", "chat thinking, true", "chat token repeat stream"} <= cases
    assert len(STREAMS) > 80


def by_case(case: str) -> list[Recorded]:
    return [exchange for exchange in recorded() if exchange.case == case]


@pytest.mark.parametrize("exchange", by_case("tags"), ids=name_of)
async def test_recorded_tags_are_read(exchange: Recorded) -> None:
    models = await client_that_hears(exchange, exchange.chunks).tags()
    said = json.loads(exchange.body)["models"]
    assert [model.name for model in models] == [model["name"] for model in said]
    words = next(model for model in models if model.name == "words:latest")
    assert words.family == "llama"
    assert words.quantization == "F16"
    assert words.size > 1_000_000
    assert words.modified_at is not None
    assert words.remote_host is None
    assert words.capabilities == (("completion", "tools") if exchange.version == "0.32.15" else None)


@pytest.mark.parametrize(
    "exchange", by_case("ps, one loaded") + by_case("ps forever") + by_case("ps, nothing loaded"), ids=name_of
)
async def test_recorded_ps_is_read(exchange: Recorded) -> None:
    models = await client_that_hears(exchange, exchange.chunks).ps()
    said = json.loads(exchange.body)["models"]
    assert [(m.name, m.digest, m.size, m.size_vram, m.context_length) for m in models] == [
        (m["name"], m["digest"], m["size"], m["size_vram"], m["context_length"]) for m in said
    ]
    assert all(model.expires_at is not None for model in models)


@pytest.mark.parametrize("exchange", by_case("show"), ids=name_of)
async def test_recorded_show_is_read(exchange: Recorded) -> None:
    info = await client_that_hears(exchange, exchange.chunks).show("words")
    assert info.parameters == {"stop": ("<|im_end|>",), "temperature": 0}
    assert info.capabilities == ("completion", "tools")
    assert info.context_length == 32768
    assert info.cache_token_bytes == 1280  # on 0.24, 4,096 tokens took 3,584 x 1,280 bytes more than 512
    assert info.family == "llama"
    assert "<|im_start|>" in info.template


@pytest.mark.parametrize("exchange", by_case("version"), ids=name_of)
async def test_recorded_version_is_read(exchange: Recorded) -> None:
    assert await client_that_hears(exchange, exchange.chunks).version() == exchange.version


@pytest.mark.parametrize("exchange", by_case("pull unreachable"), ids=name_of)
async def test_a_pull_that_fails_says_so_after_its_progress(exchange: Recorded) -> None:
    seen: list[str] = []
    pull = client_that_hears(exchange, exchange.chunks).pull("nothing")
    seen.append((await anext(pull)).status)
    with pytest.raises(PullFailed, match="connection refused"):
        await anext(pull)
    assert seen == ["pulling manifest"]
