"""What each way to speak to a server is asked in `transports`: a small call and a streamed answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count

import orjson

Small = Callable[[], Awaitable[object]]
Stream = Callable[[], Awaitable[int]]
"""Reads an answer to its end; the number of its pieces."""
Contender = Callable[[str], AbstractAsyncContextManager[tuple[Small, Stream]]]

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
_numbers = count()


def text() -> str:
    """What is asked: each time something else."""
    return f"a text of a few words, number {next(_numbers)}"


def small_body() -> dict[str, object]:
    """Of `/api/generate`; the answer is one line."""
    return {"model": "s", "prompt": text(), "stream": True}


def lines(held: bytes, piece: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines so far, and the rest."""
    *whole, rest = (held + piece).split(b"\n")
    return whole, rest


async def count_lines(pieces: AsyncIterator[bytes]) -> int:
    """Read an answer line by line, as the client of a peer that knows no Ollama would."""
    tokens, held = 0, b""
    async for piece in pieces:
        whole, held = lines(held, piece)
        for line in whole:
            orjson.loads(line)
            tokens += 1
    return tokens
