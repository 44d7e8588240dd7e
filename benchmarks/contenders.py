"""What each way to speak to a server is asked in `transports`: a small call and a streamed answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count

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
