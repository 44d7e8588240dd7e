"""A wire-tap in front of a real server: bytes pass as they are, both ways, and are read afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Exchange:
    """A request and what came back. `answer` is the body without its chunks' sizes, as far as it came."""

    method: str
    path: str
    body: Mapping[str, object]
    status: int
    answer: bytes

    @property
    def last(self) -> dict[str, object]:
        """The last line of a stream, or the whole document."""
        return json.loads(self.answer.strip().rsplit(b"\n", 1)[-1])


@dataclass
class _Line:
    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass
class Tap:
    """What has passed, by connection."""

    url: str = ""
    lines: list[_Line] = field(default_factory=list)

    def exchanges(self, path: str) -> list[Exchange]:
        """The complete requests to a path, in the order of their connections."""
        return [each for line in self.lines for each in _exchanges(line) if each.path == path]


@asynccontextmanager
async def tapped(url: str) -> AsyncIterator[Tap]:
    """A tap in front of a server; its own address is `url`."""
    tap, where = Tap(), urlsplit(url)

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
        try:
            while data := await source.read(1 << 16):
                kept += data
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return  # who left is what the other side is told by the close
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line()
        tap.lines.append(line)
        back, forth = await asyncio.open_connection(where.hostname, where.port)
        await asyncio.gather(pass_on(reader, forth, line.asked), pass_on(back, writer, line.answered))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        tap.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield tap


def _exchanges(line: _Line) -> Iterator[Exchange]:
    answers = list(_messages(bytes(line.answered)))
    for (start, body), (status, answer) in zip(_messages(bytes(line.asked)), answers, strict=False):
        method, path, _ = start.split(" ", 2)
        yield Exchange(method, path, json.loads(body or b"{}"), int(status.split(" ")[1]), answer)


def _messages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each message's first line and body."""
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
        if fields.get("transfer-encoding") == "chunked":
            body, data = _unchunked(data)
        else:
            length = int(fields.get("content-length", "0"))
            body, data = data[:length], data[length:]
        yield first, body


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    body = bytearray()
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body += data[:length]
        data = data[length + 2 :]
        if not length:
            break
    return bytes(body), data
