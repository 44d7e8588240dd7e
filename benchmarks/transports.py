"""CPU of the client for a small POST and for a streamed token, over the ways to speak HTTP/1.1.

Contenders, each a fresh process a round, in an order of its own each round, over one bare server in another process:

- floor: an asyncio.Protocol that looks for the end of the head, and orjson.
- own HTTP/1.1: `Http1Transport`, called as the client calls it, and orjson.
- httpx, aiohttp: as their pages say, one client; left out with a note where they are not installed.
- Corral's client, and its pool: the whole way, requests and answers as values; over our transport and over httpx.

`python -m benchmarks.transports` prints the table. `--contender NAME URL` is one measurement.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import orjson

from benchmarks.measuring import cpu_seconds, interleaved, ratios, summary
from benchmarks.wire_server import TOKENS

IN_FLIGHT = (1, 16, 64, 256)
REQUESTS = 1500
STREAMS = 50
ROUNDS = 5
SMALL = {"model": "m", "prompt": "a text of a few words", "stream": True}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

Small = Callable[[], Awaitable[object]]
Stream = Callable[[], Awaitable[int]]
Contender = Callable[[str], AbstractAsyncContextManager[tuple[Small, Stream]]]


class _Bare(asyncio.Protocol):
    """The least there can be: one request at a time, the head skipped, chunks cut by hand."""

    def __init__(self) -> None:
        self.held = b""
        self.waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def more(self) -> None:
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    def send(self, path: str, body: object) -> None:
        data = orjson.dumps(body)
        self.transport.write(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data
        )

    async def head(self) -> bytes:
        while (at := self.held.find(b"\r\n\r\n")) < 0:
            await self.more()
        head, self.held = self.held[:at], self.held[at + 4 :]
        return head

    async def body(self) -> object:
        head = await self.head()
        length = int(head[head.index(b"Content-Length: ") + 16 :].split(b"\r\n", 1)[0])
        while len(self.held) < length:
            await self.more()
        body, self.held = self.held[:length], self.held[length:]
        return orjson.loads(body)

    async def tokens(self) -> int:
        await self.head()
        tokens = 0
        while True:
            *lines, self.held = self.held.split(b"\r\n")
            for line in lines:
                if line.startswith(b"{"):
                    tokens += 1
                    if orjson.loads(line)["done"]:
                        self.transport.abort()
                        return tokens
            await self.more()


@asynccontextmanager
async def floor(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """See `_Bare`."""
    host, _, port = url.removeprefix("http://").partition(":")
    idle: list[_Bare] = []

    async def sent(path: str, body: object) -> _Bare:
        if idle:
            wire = idle.pop()
        else:
            _, wire = await asyncio.get_running_loop().create_connection(_Bare, host, int(port))
        wire.send(path, body)
        return wire

    async def small() -> object:
        wire = await sent("/api/generate", SMALL)
        answer = await wire.body()
        idle.append(wire)
        return answer

    async def stream() -> int:
        return await (await sent("/api/chat", CHAT)).tokens()

    yield small, stream
    for wire in idle:
        wire.transport.abort()


def _lines(held: bytes, piece: bytes) -> tuple[list[bytes], bytes]:
    *lines, rest = (held + piece).split(b"\n")
    return lines, rest


@asynccontextmanager
async def own(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """`Http1Transport` as the client calls it."""
    from infrastructure.transport.http1 import Http1Transport  # noqa: PLC0415
    from infrastructure.transport.http1_wire import Http1Wire  # noqa: PLC0415
    from infrastructure.transport.wire import Ask  # noqa: PLC0415

    wire = Http1Wire(Http1Transport(idle_seconds=30), url, {"Accept": "application/json"})
    loop = asyncio.get_running_loop()

    def ask(path: str, body: object) -> Ask:
        return Ask("POST", path, orjson.dumps(body), 5, 60, loop.time() + 600)

    async def small() -> object:
        reply = await wire.ask(ask("/api/generate", SMALL), lambda _: None, fresh=False)
        found = bytearray()
        while piece := await reply.receive(loop.time() + 60):
            found += piece
        return orjson.loads(found)

    async def stream() -> int:
        reply = await wire.ask(ask("/api/chat", CHAT), lambda _: None, fresh=False)
        tokens, held = 0, b""
        while piece := await reply.receive(loop.time() + 60):
            lines, held = _lines(held, piece)
            for line in lines:
                orjson.loads(line)
                tokens += 1
        return tokens

    yield small, stream
    await wire.aclose()


@asynccontextmanager
async def httpx_client(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """One AsyncClient, its pool without limits."""
    import httpx  # noqa: PLC0415

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client:

        async def small() -> object:
            return orjson.loads((await client.post("/api/generate", json=SMALL)).content)

        async def stream() -> int:
            tokens, held = 0, b""
            async with client.stream("POST", "/api/chat", json=CHAT) as response:
                async for piece in response.aiter_raw():
                    lines, held = _lines(held, piece)
                    for line in lines:
                        orjson.loads(line)
                        tokens += 1
            return tokens

        yield small, stream


@asynccontextmanager
async def aiohttp_client(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
    """One session without a limit on connections."""
    import aiohttp  # type: ignore[import-not-found]  # noqa: PLC0415

    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def small() -> object:
            async with session.post("/api/generate", json=SMALL) as response:
                return orjson.loads(await response.read())

        async def stream() -> int:
            tokens, held = 0, b""
            async with session.post("/api/chat", json=CHAT) as response:
                async for piece in response.content.iter_any():
                    lines, held = _lines(held, piece)
                    for line in lines:
                        orjson.loads(line)
                        tokens += 1
            return tokens

        yield small, stream


def _client(transport: str) -> Contender:
    """Corral's client of one server."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
        from agents.model import Message  # noqa: PLC0415
        from infrastructure.config.settings import ServerSettings  # noqa: PLC0415
        from infrastructure.transport.client import OllamaClient  # noqa: PLC0415
        from infrastructure.transport.messages import ChatRequest, GenerateRequest  # noqa: PLC0415

        client = OllamaClient(ServerSettings.model_validate({"url": url, "transport": transport}))
        request = GenerateRequest(model="m", prompt="a text of a few words")
        chat = ChatRequest(model="m", messages=(Message("user", "hi"),))

        async def small() -> object:
            async with client.generate(request) as chunks:
                return [chunk async for chunk in chunks]

        async def stream() -> int:
            async with client.chat(chat) as chunks:
                return sum([1 async for _ in chunks])

        yield small, stream
        await client.aclose()

    return contender


def _pool(transport: str) -> Contender:
    """Corral's pool over one server."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
        from infrastructure.config.settings import ServerSettings  # noqa: PLC0415
        from infrastructure.connection_pool import OllamaConnectionPool  # noqa: PLC0415

        server = ServerSettings.model_validate({"url": url, "transport": transport, "slots": 256})
        async with OllamaConnectionPool([server]) as pool:

            async def small() -> object:
                return await pool.generate(model="m", prompt="a text of a few words")

            async def stream() -> int:
                messages = [{"role": "user", "content": "hi"}]
                async with pool.stream_chat(model="m", messages=messages) as chunks:
                    return sum([1 async for _ in chunks])

            yield small, stream

    return contender


CONTENDERS: dict[str, Contender] = {
    "floor": floor,
    "own HTTP/1.1": own,
    "httpx": httpx_client,
    "aiohttp": aiohttp_client,
    "Corral's client": _client("own"),
    "Corral's client over httpx": _client("httpx"),
    "Corral's pool": _pool("own"),
    "Corral's pool over httpx": _pool("httpx"),
}
_NEEDS = {"aiohttp": "aiohttp"}


async def measure(name: str, url: str) -> dict[str, float]:
    """Microseconds of CPU for each case, after a warm-up of it."""
    figures: dict[str, float] = {}
    async with CONTENDERS[name](url) as (small, stream):
        for in_flight in IN_FLIGHT:

            async def several(share: int) -> None:
                for _ in range(share):
                    await small()

            await asyncio.gather(*(several(2) for _ in range(in_flight)))
            share = -(-REQUESTS // in_flight)
            gc.collect()
            before = cpu_seconds()
            await asyncio.gather(*(several(share) for _ in range(in_flight)))
            figures[str(in_flight)] = 1e6 * (cpu_seconds() - before) / (share * in_flight)
        gc.collect()
        before = cpu_seconds()
        tokens = sum(await asyncio.gather(*(stream() for _ in range(STREAMS))))
        assert tokens == STREAMS * (TOKENS + 1), tokens
        figures["token"] = 1e6 * (cpu_seconds() - before) / tokens
    return figures


def main(rounds: int = ROUNDS) -> str:
    """The table."""
    names = [name for name in CONTENDERS if importlib.util.find_spec(_NEEDS.get(name, "json")) is not None]
    left_out = [name for name in CONTENDERS if name not in names]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.wire_server"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()

        def run(name: str) -> dict[str, float]:
            command = [sys.executable, "-m", "benchmarks.transports", "--contender", name, url]
            found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            return found

        figures = interleaved({name: (lambda name=name: run(name)) for name in names}, rounds)
    finally:
        server.terminate()
        server.wait()
    cases = [*map(str, IN_FLIGHT), "token"]
    base = {case: [figure[case] for figure in figures["floor"]] for case in cases}
    lines = [
        "| contender | "
        + " | ".join([*(f"{number} in flight" for number in IN_FLIGHT), f"a token of {STREAMS} streams"])
        + " |",
        "|---" * (len(cases) + 1) + "|",
    ]
    for name, found in figures.items():
        cells: list[str] = []
        for case in cases:
            values = [figure[case] for figure in found]
            cells.append(f"{summary(values)}, {summary(ratios(values, base[case])).split()[0]}×")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [f"\n{name}: not installed, left out" for name in left_out]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contender"]:
        print(json.dumps(asyncio.run(measure(sys.argv[2], sys.argv[3]))))
    else:
        print(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
