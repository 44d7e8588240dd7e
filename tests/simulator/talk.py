"""A bare client for the simulator: what is sent and when the connection ends is in the test's hands."""

import asyncio
import json
from dataclasses import dataclass, field

from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings

HI = [{"role": "user", "content": "hi"}]


def words(count: int) -> str:
    """Text of so many words, no two neighbours alike (the server's repeat guard would end it)."""
    return " ".join(("alpha", "bravo")[number % 2] for number in range(count))


def settings(*models: ModelSpec, **more: object) -> SimulatorSettings:
    """A fast server: no load time, a token each 0.2 ms."""
    fast = {"load_seconds": 0.0, "decode_tokens_per_second": 5000.0, "prefill_tokens_per_second": 1e6}
    return SimulatorSettings(models=models, **{**fast, **more})


@dataclass
class Talk:
    """One connection with one request on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def head(self) -> int:
        self.status = int((await self.reader.readline()).split(b" ")[1])
        while line := (await self.reader.readline()).decode().rstrip("\r\n"):
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value
        return self.status

    async def line(self) -> dict | None:
        """The next object of a stream; None at its end."""
        if not self.status:
            await self.head()
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return json.loads(data) if size else None

    async def lines(self) -> list[dict]:
        """The rest of the stream, or the only object of an answer that is none."""
        if not self.status:
            await self.head()
        if "content-length" in self.headers:
            return [json.loads(await self.reader.readexactly(int(self.headers["content-length"])))]
        out = []
        while (line := await self.line()) is not None:
            out.append(line)
        return out

    def leave(self) -> None:
        self.writer.close()


class Sim(Simulator):
    """A simulator that hangs up every connection of the test at its end."""

    def __init__(self, settings: SimulatorSettings) -> None:
        super().__init__(settings)
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        self.writers.append(writer)
        return Talk(reader, writer)

    async def __aexit__(self, *error: object) -> None:
        for writer in self.writers:
            writer.close()
        await super().__aexit__(*error)
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


async def begin(simulator: Sim, path: str, body: dict, name: str | None = None) -> Talk:
    """Send a request; `name` goes along as its X-Request-Id."""
    talk = await simulator.connect()
    data = json.dumps(body).encode()
    extra = f"X-Request-Id: {name}\r\n" if name else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Length: {len(data)}\r\n\r\n"
    talk.writer.write(head.encode() + data)
    return talk


async def begin_chat(simulator: Sim, model: str, name: str | None = None, **more: object) -> Talk:
    return await begin(simulator, "/api/chat", {"model": model, "messages": HI, **more}, name)


async def chat(simulator: Sim, model: str, name: str | None = None, **more: object) -> list[dict]:
    """All objects of a streamed chat."""
    talk = await begin_chat(simulator, model, name, **more)
    return await talk.lines()


async def ask(simulator: Sim, path: str, **body: object) -> tuple[int, dict]:
    """Status and object of an answer that is not streamed."""
    talk = await begin(simulator, path, body)
    lines = await talk.lines()
    return talk.status, lines[-1]


async def get(simulator: Sim, path: str) -> dict:
    talk = await simulator.connect()
    talk.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return (await talk.lines())[0]


def text_of(lines: list[dict]) -> str:
    return "".join(line["message"]["content"] for line in lines)


async def loaded(simulator: Sim) -> list[str]:
    """Names of the loaded models, the one that stays longest first."""
    return [model["name"] for model in (await get(simulator, "/api/ps"))["models"]]
