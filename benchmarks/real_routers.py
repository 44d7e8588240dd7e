"""Ways to share Ollama servers, side by side: the plain ones, a small central queue, and Corral's pool."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from infrastructure.config.settings import LaneSettings, ServerSettings
from infrastructure.connection_pool import Band, Call, OllamaConnectionPool


@dataclass(frozen=True)
class Load:
    """How every contender has its models loaded."""

    window: int = 8192
    """Tokens of one slot."""
    threads: int = 1
    """Of each runner; 0: as many as the server thinks right."""

    @property
    def options(self) -> dict[str, object]:
        return {"num_ctx": self.window} | ({"num_thread": self.threads} if self.threads else {})


@dataclass
class Told:
    """What came of a call."""

    seconds: float = 0
    """From asking to the end."""
    first: float = 0
    """To the first token."""
    prompt_seconds: float = 0
    load_seconds: float = 0
    tokens: int = 0
    times: list[float] = field(default_factory=list)
    """When each piece came."""


class Router(Protocol):
    """Asks some server."""

    async def call(self, model: str, prompt: str, tokens: int, *, prefix: str | None = None, band: str = "") -> Told:
        """The answer's figures."""
        ...


class Plain:
    """Binds each call to a server when it comes; the server queues.

    No call says `keep_alive`: a server marks a model that has to go by setting it to 0, and a call that sets it again
    takes the mark off, so that the calls for other models wait until no such call comes any more, and longer.
    """

    def __init__(self, urls: Sequence[str], load: Load) -> None:
        self.urls = urls
        self.load = load
        self.running: Counter[str] = Counter()
        self._turn = itertools.cycle(urls)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self.http = httpx.AsyncClient(timeout=None, limits=limits)

    def choose(self, model: str) -> str:
        return next(self._turn)

    async def call(self, model: str, prompt: str, tokens: int, *, prefix: str | None = None, band: str = "") -> Told:
        url, begun = self.choose(model), time.perf_counter()
        self.running[url] += 1
        try:
            told = await self.ask(url, model, prompt, tokens, begun)
        finally:
            self.running[url] -= 1
        return told

    async def ask(self, url: str, model: str, prompt: str, tokens: int, begun: float) -> Told:
        body = {
            "model": model,
            "prompt": prompt,
            "options": {**self.load.options, "num_predict": tokens},
        }
        told = Told()
        async with self.http.stream("POST", f"{url}/api/generate", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                told.times.append(time.perf_counter())
                chunk = json.loads(line)
        told.seconds = told.times[-1] - begun
        told.first = told.times[0] - begun
        told.prompt_seconds = chunk.get("prompt_eval_duration", 0) / 1e9
        told.load_seconds = chunk.get("load_duration", 0) / 1e9
        told.tokens = chunk.get("eval_count", 0)
        return told


class RoundRobin(Plain):
    """One after the other."""


class LeastConnections(Plain):
    """The server with the fewest calls."""

    def choose(self, model: str) -> str:
        return min(self.urls, key=lambda url: self.running[url])


class CentralQueue(Plain):
    """Thirty lines: calls wait here; a free slot takes the oldest of the loaded model, an idle server the oldest."""

    def __init__(self, urls: Sequence[str], load: Load, slots: int, loaded: Sequence[str]) -> None:
        super().__init__(urls, load)
        self.slots = slots
        self.loaded = dict(zip(urls, loaded, strict=True))
        self.waiting: list[tuple[str, asyncio.Future[str]]] = []

    async def call(self, model: str, prompt: str, tokens: int, *, prefix: str | None = None, band: str = "") -> Told:
        begun = time.perf_counter()
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append((model, turn))
        self._place()
        url = await turn
        try:
            return await self.ask(url, model, prompt, tokens, begun)
        finally:
            self.running[url] -= 1
            self._place()

    def _place(self) -> None:
        for url in self.urls:
            while self.running[url] < self.slots:
                fits = [entry for entry in self.waiting if entry[0] == self.loaded[url]]
                if not fits and not self.running[url]:
                    fits = self.waiting
                if not fits:
                    break
                model, turn = fits[0]
                self.waiting.remove(fits[0])
                self.loaded[url] = model
                self.running[url] += 1
                turn.set_result(url)


class Corral:
    """The pool."""

    def __init__(self, pool: OllamaConnectionPool) -> None:
        self.pool = pool

    async def call(self, model: str, prompt: str, tokens: int, *, prefix: str | None = None, band: str = "") -> Told:
        told, begun = Told(), time.perf_counter()
        call = Call(band=Band(band or "batch"), prefix=prefix, client="bench")
        stream = self.pool.stream_generate(model=model, prompt=prompt, options={"num_predict": tokens}, call=call)
        async for _ in stream:
            told.times.append(time.perf_counter())
        reply = stream.reply
        assert reply is not None
        told.seconds = told.times[-1] - begun
        told.first = told.times[0] - begun
        told.prompt_seconds = reply.metrics.prompt_ns / 1e9
        told.load_seconds = reply.metrics.load_ns / 1e9
        told.tokens = reply.metrics.completion_tokens
        return told


@asynccontextmanager
async def corral(
    urls: Sequence[str], models: Sequence[str], load: Load, *, slots: int | None = 2, loaded: int | None = 1
) -> AsyncGenerator[Corral]:
    """The pool over these servers, with what it is told of them."""
    threads = load.threads or None
    lanes = {
        model: LaneSettings(model=model, keep_alive="30m", num_thread=threads, num_ctx=load.window) for model in models
    }
    servers = [ServerSettings(url=url, slots=slots, max_loaded_models=loaded) for url in urls]
    async with OllamaConnectionPool(servers, lanes=lanes) as pool:
        yield Corral(pool)
