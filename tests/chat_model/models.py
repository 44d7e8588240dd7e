"""Chat models over simulated servers, and values that they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel
from typing_extensions import TypedDict

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.simulator import ModelSpec, Simulator
from tests.pool.servers import MODELS, pool_over, simulator


class Pair(BaseModel):
    left: int
    right: str


class PairDict(TypedDict):
    """A pair."""

    left: int
    right: str


@asynccontextmanager
async def asking(*specs: ModelSpec, server: Simulator | None = None, **fields: Any) -> AsyncIterator[ChatOllamaPool]:
    """The first of these models, over a pool of the test's own loop."""
    async with pool_over(server or simulator(specs or MODELS)) as pool:
        yield ChatOllamaPool(**{"model": specs[0].name if specs else "words", "pool": pool, **fields})


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole
