"""CPU of the client for a small POST and for a streamed token, over the ways to speak HTTP.

Contenders, each a fresh process a round, in an order of its own each round, over one bare server in another process:

- floor: an asyncio.Protocol that looks for the end of the head, and orjson.
- own HTTP/1.1: `Http1Transport`, called as the client calls it, and orjson.
- Corral's client, and its pool: the whole way, requests and answers as values; over our transport and over httpx. The
  pool also with its core compiled, where it is (`make compiled`); nothing of the client is.
- the peers of `peers`; left out with a note where they are not installed.

The second table is over HTTP/2, where the server is a simulated one.

`python -m benchmarks.transports [ROUNDS]` prints the tables. `--contender NAME URL` is one measurement.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import orjson

from benchmarks.contenders import CHAT, Contender, Small, Stream, lines, small_body, text
from benchmarks.forms import COMPILED, INTERPRETED, environment, forms
from benchmarks.measuring import cpu_seconds, interleaved, ratios, summary
from benchmarks.peers import HTTP2_PEERS, PACKAGES, PEERS
from benchmarks.wire_server import TOKEN_SECONDS, TOKENS

IN_FLIGHT = (1, 16, 64, 256)
REQUESTS = 600
STREAMS = 50
ROUNDS = 3


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
        wire = await sent("/api/generate", small_body())
        answer = await wire.body()
        idle.append(wire)
        return answer

    async def stream() -> int:
        return await (await sent("/api/chat", CHAT)).tokens()

    yield small, stream
    for wire in idle:
        wire.transport.abort()


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
        reply = await wire.ask(ask("/api/generate", small_body()), lambda _: None, fresh=False)
        found = bytearray()
        while piece := await reply.receive(loop.time() + 60):
            found += piece
        return orjson.loads(found)

    async def stream() -> int:
        reply = await wire.ask(ask("/api/chat", CHAT), lambda _: None, fresh=False)
        tokens, held = 0, b""
        while piece := await reply.receive(loop.time() + 60):
            whole, held = lines(held, piece)
            for line in whole:
                orjson.loads(line)
                tokens += 1
        return tokens

    yield small, stream
    await wire.aclose()


def _client(transport: str) -> Contender:
    """Corral's client of one server."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncGenerator[tuple[Small, Stream]]:
        from agents.model import Message  # noqa: PLC0415
        from infrastructure.config.settings import ServerSettings  # noqa: PLC0415
        from infrastructure.transport.client import OllamaClient  # noqa: PLC0415
        from infrastructure.transport.messages import ChatRequest, GenerateRequest  # noqa: PLC0415

        client = OllamaClient(ServerSettings.model_validate({"url": url, "transport": transport}))
        chat = ChatRequest(model="m", messages=(Message("user", "hi"),))

        async def small() -> object:
            async with client.generate(GenerateRequest(model="s", prompt=text())) as chunks:
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
                return await pool.generate(model="s", prompt=text())

            async def stream() -> int:
                messages = [{"role": "user", "content": "hi"}]
                async with pool.stream_chat(model="m", messages=messages) as chunks:
                    return sum([1 async for _ in chunks])

            yield small, stream

    return contender


HTTP1: dict[str, Contender] = {
    "floor": floor,
    "own HTTP/1.1": own,
    "Corral's client": _client("own"),
    "Corral's client over httpx": _client("httpx"),
    "Corral's pool": _pool("own"),
    "Corral's pool over httpx": _pool("httpx"),
    f"Corral's pool, {COMPILED}": _pool("own"),
    **PEERS,
}
HTTP2: dict[str, Contender] = {
    "Corral's client over HTTP/2": _client("own"),
    "Corral's pool over HTTP/2": _pool("own"),
    f"Corral's pool over HTTP/2, {COMPILED}": _pool("own"),
    **HTTP2_PEERS,
}


def _address(name: str, url: str) -> str:
    """Prior knowledge of HTTP/2 is part of an address only for Corral."""
    return url.replace("http://", "h2c://") if name in HTTP2 and name not in HTTP2_PEERS else url


def _form(name: str) -> str:
    """The form of Corral's core in which a contender runs."""
    return COMPILED if name.endswith(COMPILED) else INTERPRETED


async def measure(name: str, url: str) -> dict[str, float]:
    """Microseconds of CPU for each case, after a warm-up of it."""
    figures: dict[str, float] = {}
    async with (HTTP1 | HTTP2)[name](_address(name, url)) as (small, stream):
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
        pieces = await asyncio.gather(*(stream() for _ in range(STREAMS)))
        assert min(pieces) >= TOKENS, pieces
        figures["token"] = 1e6 * (cpu_seconds() - before) / STREAMS / (TOKENS + 1)
    return figures


async def serve_http2() -> None:
    """A simulated server that does what the bare one does, over HTTP/2; its address on stdout."""
    from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings  # noqa: PLC0415

    settings = SimulatorSettings(
        models=(
            ModelSpec(name="m", text=" one two" * (TOKENS // 2)),
            ModelSpec(name="s", text=" word"),
        ),
        num_parallel=max(*IN_FLIGHT, STREAMS),
        load_seconds=0,
        prefill_tokens_per_second=1e9,
        decode_tokens_per_second=1 / TOKEN_SECONDS,
        decode_slowdown=0,
        http2_port=0,
    )
    async with Simulator(settings) as simulator:
        print(simulator.http2_url.replace("h2c", "http"), flush=True)
        await simulator.run_forever()


def _figures(contenders: Mapping[str, Contender], rounds: int, *server: str) -> dict[str, list[dict[str, float]]]:
    """Of those that are installed, over this server."""
    names = [
        name
        for name in contenders
        if importlib.util.find_spec(PACKAGES.get(name, "json")) is not None and _form(name) in forms()
    ]
    with subprocess.Popen([sys.executable, "-m", *server], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()

            def run(name: str) -> dict[str, float]:
                command = [sys.executable, "-m", "benchmarks.transports", "--contender", name, url]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(_form(name)))
                found: dict[str, float] = json.loads(done.stdout)
                return found

            return interleaved({name: (lambda name=name: run(name)) for name in names}, rounds)
        finally:
            process.terminate()


def _table(contenders: Mapping[str, Contender], figures: Mapping[str, list[dict[str, float]]]) -> Iterator[str]:
    """The first contender is what the others are compared with."""
    cases = [*map(str, IN_FLIGHT), "token"]
    base = {case: [figure[case] for figure in figures[next(iter(contenders))]] for case in cases}
    heads = [*(f"{number} in flight" for number in IN_FLIGHT), f"a token of {STREAMS} streams"]
    yield "| contender | " + " | ".join(heads) + " |"
    yield "|---" * (len(cases) + 1) + "|"
    for name, found in figures.items():
        cells: list[str] = []
        for case in cases:
            values = [figure[case] for figure in found]
            cells.append(f"{summary(values)}, {summary(ratios(values, base[case])).split()[0]}×")
        yield f"| {name} | " + " | ".join(cells) + " |"
    for name in contenders:
        if name not in figures:
            how = f"pip install {PACKAGES[name].replace('_', '-')}" if name in PACKAGES else "make compiled"
            yield f"\n{name}: not installed, left out (`{how}`)"


def main(rounds: int = ROUNDS) -> str:
    """Both tables."""
    first = _figures(HTTP1, rounds, "benchmarks.wire_server")
    second = _figures(HTTP2, rounds, "benchmarks.transports", "--serve-http2")
    return "\n".join([*_table(HTTP1, first), "\nHTTP/2\n", *_table(HTTP2, second)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-http2"]:
        asyncio.run(serve_http2())
        sys.exit()
    if sys.argv[1:2] == ["--contender"]:
        print(json.dumps(asyncio.run(measure(sys.argv[2], sys.argv[3]))))
    else:
        print(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
