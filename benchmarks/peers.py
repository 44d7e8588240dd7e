"""Other people's clients, as their pages say they are used: contenders of `transports`.

The first ones are HTTP clients, whose lines are parsed with orjson as ours are; the others know Ollama themselves.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module

import orjson

from benchmarks.contenders import CHAT, Contender, Small, Stream, count_lines, small_body, text


def httpx_client(package: str, *, http2: bool = False) -> Contender:
    """One AsyncClient of httpx or httpx2, its pool without limits."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
        httpx = import_module(package)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            base_url=url, limits=limits, timeout=60, trust_env=False, http1=not http2, http2=http2
        ) as client:

            async def small() -> object:
                return [
                    orjson.loads(line)
                    for line in (await client.post("/api/generate", json=small_body())).content.splitlines()
                ]

            async def stream() -> int:
                async with client.stream("POST", "/api/chat", json=CHAT) as response:
                    return await count_lines(response.aiter_raw())

            yield small, stream

    return contender


@asynccontextmanager
async def aiohttp_client(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """One session without a limit on connections."""
    aiohttp = import_module("aiohttp")
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def small() -> object:
            async with session.post("/api/generate", json=small_body()) as response:
                return orjson.loads(await response.read())

        async def stream() -> int:
            async with session.post("/api/chat", json=CHAT) as response:
                return await count_lines(response.content.iter_any())

        yield small, stream


@asynccontextmanager
async def ollama_client(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """Ollama's own AsyncClient."""
    client = import_module("ollama").AsyncClient(host=url)

    async def small() -> object:
        return [part async for part in await client.generate(model="s", prompt=text(), stream=True)]

    async def stream() -> int:
        return sum([1 async for _ in await client.chat(model="m", messages=CHAT["messages"], stream=True)])

    yield small, stream


@asynccontextmanager
async def langchain_client(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """OllamaLLM and ChatOllama of langchain-ollama."""
    langchain = import_module("langchain_ollama")
    completion = langchain.OllamaLLM(model="s", base_url=url)
    chat = langchain.ChatOllama(model="m", base_url=url)

    async def small() -> object:
        return await completion.ainvoke(text())

    async def stream() -> int:
        return sum([1 async for _ in chat.astream("hi")])

    yield small, stream


@asynccontextmanager
async def litellm_router(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """LiteLLM's Router over one deployment of each kind."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices when it is imported
    deployments = {"chat": "ollama_chat/m", "complete": "ollama/s"}
    router = import_module("litellm").Router(
        model_list=[
            {"model_name": name, "litellm_params": {"model": model, "api_base": url}}
            for name, model in deployments.items()
        ]
    )

    async def small() -> object:
        chunks = await router.acompletion(model="complete", messages=[{"role": "user", "content": text()}], stream=True)
        return [chunk async for chunk in chunks]

    async def stream() -> int:
        chunks = await router.acompletion(model="chat", messages=CHAT["messages"], stream=True)
        return sum([1 async for _ in chunks])

    yield small, stream


PEERS: dict[str, Contender] = {
    "httpx": httpx_client("httpx"),
    "httpx2": httpx_client("httpx2"),
    "aiohttp": aiohttp_client,
    "ollama.AsyncClient": ollama_client,
    "langchain-ollama": langchain_client,
    "litellm Router": litellm_router,
}
HTTP2_PEERS: dict[str, Contender] = {
    "httpx[http2]": httpx_client("httpx", http2=True),
    "httpx2[http2]": httpx_client("httpx2", http2=True),
}
PACKAGES = {
    "httpx2": "httpx2",
    "httpx2[http2]": "httpx2",
    "aiohttp": "aiohttp",
    "ollama.AsyncClient": "ollama",
    "langchain-ollama": "langchain_ollama",
    "litellm Router": "litellm",
}
"""What has to be installed for a contender, as it is imported."""
