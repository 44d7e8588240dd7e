"""A client that costs next to nothing, so that two cores measure the server: HTTP/1.1 over asyncio's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

LINE_BYTES = 1 << 22


class Connection:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader, self._writer, self._head = reader, writer, head

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """A request with its whole answer, which must say its length."""
        status, length = await self._begin(method, path, body)
        assert length is not None, f"{path} does not say its length"
        return status, await self._reader.readexactly(length)

    async def lines(self, method: str, path: str, body: bytes = b"") -> AsyncGenerator[bytes]:
        """The lines of a stream, those of its chunks included, to its end or the connection's."""
        status, _ = await self._begin(method, path, body, "Accept: text/event-stream\r\n")
        assert status == 200, status
        while (line := await self._reader.readline()) and line != b"0\r\n":
            yield line
        if line:
            await self._reader.readline()  # the blank one behind the last chunk

    async def _begin(self, method: str, path: str, body: bytes, more: str = "") -> tuple[int, int | None]:
        sized = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{sized}{more}\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lengths = [int(line[15:]) for line in head if line.lower().startswith("content-length:")]
        return int(head[0].split()[1]), lengths[0] if lengths else None


@asynccontextmanager
async def connected(address: str, headers: Mapping[str, str] | None = None) -> AsyncGenerator[Connection]:
    """A connection to `http://host:port`."""
    place = address.removeprefix("http://")
    host, _, port = place.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=LINE_BYTES)
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": place, **(headers or {})}.items())
    try:
        yield Connection(reader, writer, head)
    finally:
        writer.close()
