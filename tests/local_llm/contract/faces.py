"""The two faces of a local model, asked in one way by the contract suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from pydantic import BaseModel

from agents.model import Completion, Question
from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, configure_ollama_pool
from infrastructure.local_llm import AsyncLocalLLM, LocalLLM, OnDelta
from infrastructure.simulator import Simulator

T = TypeVar("T", bound=BaseModel)


class Face(Protocol):
    """A local model as the suite asks it."""

    async def answer(self, question: Question) -> Completion: ...
    async def generate(self, prompt: str, **options: int) -> str: ...
    def stream(self, prompt: str, **options: int) -> AsyncGenerator[str, None]: ...
    async def chat(self, messages: list[dict[str, str]]) -> Completion: ...
    async def structured(self, prompt: str, kind: type[T]) -> T: ...
    def bound(self, *, on_delta: OnDelta) -> Face: ...


class InThread:
    """The synchronous face: each call in a thread, since the simulated server needs this one's loop."""

    def __init__(self, llm: LocalLLM) -> None:
        self.llm = llm

    async def answer(self, question: Question) -> Completion:
        return await asyncio.to_thread(self.llm.answer, question)

    async def generate(self, prompt: str, **options: int) -> str:
        return await asyncio.to_thread(self.llm.generate, prompt, **options)

    async def stream(self, prompt: str, **options: int) -> AsyncGenerator[str, None]:
        pieces = self.llm.stream(prompt, **options)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        finally:
            await asyncio.to_thread(pieces.close)

    async def chat(self, messages: list[dict[str, str]]) -> Completion:
        return await asyncio.to_thread(self.llm.chat, messages)

    async def structured(self, prompt: str, kind: type[T]) -> T:
        return await asyncio.to_thread(self.llm.structured, prompt, kind)

    def bound(self, *, on_delta: OnDelta) -> Face:
        return InThread(self.llm.bound(on_delta=on_delta))


class Awaiting(InThread):
    """The synchronous face by its asynchronous method."""

    async def generate(self, prompt: str, **options: int) -> str:
        return await self.llm.generate_async(prompt, **options)


@asynccontextmanager
async def asynchronous(model: str, *simulators: Simulator) -> AsyncIterator[Face]:
    """`AsyncLocalLLM` over a pool of its caller's."""
    async with OllamaConnectionPool([each.url for each in simulators]) as pool:
        yield AsyncLocalLLM(model, pool=pool)


@asynccontextmanager
async def borrowing(model: str, *simulators: Simulator) -> AsyncIterator[Face]:
    """`LocalLLM` over a pool in this loop."""
    async with OllamaConnectionPool([each.url for each in simulators]) as pool:
        yield InThread(LocalLLM(model, pool=pool, loop=asyncio.get_running_loop()))


def owning(face: Callable[[LocalLLM], Face]) -> Callable[..., object]:
    """`LocalLLM` with a thread and a pool of its own."""

    @asynccontextmanager
    async def opened(model: str, *simulators: Simulator) -> AsyncIterator[Face]:
        configure_ollama_pool(Settings(servers=tuple(ServerSettings(url=each.url) for each in simulators)))
        llm = LocalLLM(model)
        try:
            yield face(llm)
        finally:
            await asyncio.to_thread(llm.close)
            configure_ollama_pool(None)

    return opened


FACES = {
    "async": asynchronous,
    "sync": owning(InThread),
    "sync borrowed": borrowing,
    "sync awaited": owning(Awaiting),
}
