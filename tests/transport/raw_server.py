"""An HTTP/1.1 server that says byte for byte what a test tells it, and knows when its client has left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson

Script = Callable[["Exchange"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Exchange:
    """One request, and the means to answer it."""

    head: bytes
    body: bytes
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def json(self) -> dict[str, object]:
        return orjson.loads(self.body)

    @property
    def path(self) -> str:
        return self.head.split(b" ")[1].decode()

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.say(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.say(b"0\r\n\r\n")

    async def whole(self, data: bytes, status: bytes = b"200 OK") -> None:
        await self.say(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)
        )

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()

    async def client_left(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while await self.reader.read(1024):
                continue
        except ConnectionError:
            return


@dataclass
class RawServer:
    port: int = 0
    requests: list[Exchange] = field(default_factory=list)
    connections: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def asked(self, number: int) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < number:
            self._news.clear()
            await self._news.wait()

    def add(self, exchange: Exchange) -> None:
        self.requests.append(exchange)
        self._news.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def raw_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve every request by `script` until the block ends."""
    state = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        try:
            while (exchange := await _request(reader, writer, len(state.requests))) is not None:
                state.add(exchange)
                await script(exchange)
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        await asyncio.sleep(0)  # what was accepted in this turn has its task in the next
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> Exchange | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        size = _size(head)
        return Exchange(head, await reader.readexactly(size) if size else b"", number, reader, writer)
    except asyncio.IncompleteReadError:  # the client has left, perhaps in the middle
        return None


def _size(head: bytes) -> int:
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lengths[-1].split(b":")[1]) if lengths else 0
