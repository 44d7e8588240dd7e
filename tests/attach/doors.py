"""A door that says what the test tells it to, at most one request a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, object] | None


Say = Callable[[Asked], Awaitable[bytes]]
"""What is answered, byte for byte; nothing at all cuts the connection."""


@dataclass
class Door:
    address: str
    asked: list[Asked] = field(default_factory=list)


def answer(status: int, document: object = None, kind: str = "application/json") -> bytes:
    body = b"" if document is None else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def problem(status: int, error_class: str, detail: str = "so it is", hint: str = "do that") -> bytes:
    told = {"type": f"about:corral/{error_class}", "title": "Said", "status": status, "detail": detail, "hint": hint}
    return answer(status, told, "application/problem+json")


def always(said: bytes) -> Say:
    async def say(asked: Asked) -> bytes:
        return said

    return say


@asynccontextmanager
async def door(say: Say) -> AsyncIterator[Door]:
    opened = Door("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, path, headers, json.loads(body) if body else None)
        opened.asked.append(asked)
        if said := await say(asked):
            writer.write(said)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        opened.address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield opened
