"""What a connection may cost before anybody knows who it is: bytes, time, and a place."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from backend.connections import (
    FILES,
    HEAD_BYTES,
    MOST_CONNECTIONS,
    Limits,
    allow_files,
    connections_for,
    open_files,
)
from backend.server import AsyncServerCore, listen
from backend.stopping import STREAMS
from tests.backend.site import STREAM, Site

LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKS = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
NEVER, AT_ONCE = 3600.0, 0.01


@dataclass
class Wire:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_for_ever(self, data: bytes) -> None:
        while True:
            await self.send(data)
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def refusal(self) -> tuple[int, str]:
        """The answer, which is the last one: its status and what the problem is called."""
        status, headers, body = await self.answer()
        assert headers["connection"] == "close"
        assert headers["content-type"] == "application/problem+json"
        assert headers["x-content-type-options"] == "nosniff"
        await self.end()
        return status, json.loads(body)["type"].removeprefix("about:corral/")

    async def end(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:  # it closed while we still sent
            return b""


@dataclass
class Served:
    port: int
    core: AsyncServerCore
    wires: list[Wire] = field(default_factory=list["Wire"])

    async def wire(self, first: bytes = b"") -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.wires.append(wire)
        await wire.send(first)
        return wire

    async def idle(self, number: int) -> list[Wire]:
        """Connections that say nothing, and that the server knows."""
        wires = [await self.wire(LIVE + b"\r\n") for _ in range(number)]
        for wire in wires:
            assert (await wire.answer())[0] == 200
        return wires


@asynccontextmanager
async def serving(site: Site, limits: Limits) -> AsyncGenerator[Served]:
    listener = listen("127.0.0.1", 0)
    core = AsyncServerCore(
        lambda: nullcontext(site.application),
        site.application.settings.serve,
        listener=listener,
        owns_runs=False,
        limits=limits,
    )
    async with core:
        main = asyncio.ensure_future(core.run_main_loop())
        served = Served(listener.getsockname()[1], core)
        try:
            yield served
        finally:
            for wire in served.wires:
                wire.writer.close()
            await core.handle_shutdown()
            await main


@pytest.fixture
async def patient(site: Site) -> AsyncIterator[Served]:
    """A server that waits for ever for up to three connections."""
    async with serving(site, Limits(3, NEVER)) as served:
        yield served


@pytest.mark.parametrize("piece", [HEAD_BYTES, 4_000])
@pytest.mark.parametrize(
    "begun",
    [
        b"GET /",
        LIVE + b"X: ",
        LIVE + b"X",
        b"\r\n" * 9,
        # behind a body that is whole but for its trailers, and between its pieces
        CHUNKS.replace(b"/nowhere", b"/signin") + b"1\r\na\r\n0\r\nX: ",
        CHUNKS + b"1;",
    ],
    ids=["path", "header", "name", "lines", "trailer", "chunk"],
)
async def test_who_sends_headers_without_end_is_cut_off(patient: Served, begun: bytes, piece: int) -> None:
    """Also in pieces, and also where an answer is under way or was given: then there is none to this."""
    wire = await patient.wire(begun)
    filler = b"\r\n" * (piece // 2) if begun.startswith(b"\r\n") else b"a" * piece
    with pytest.raises(ConnectionError):
        await wire.send_for_ever(filler)


async def test_too_many_headers_are_refused_as_every_request_is(patient: Served) -> None:
    wire = await patient.wire(LIVE + b"X: " + b"a" * HEAD_BYTES)
    assert await wire.refusal() == (431, "HeadersTooLarge")


async def test_headers_up_to_the_limit_and_any_body_behind_them_are_read(site: Site, patient: Served) -> None:
    headers = LIVE + b"X: "
    wire = await patient.wire(headers + b"a" * (HEAD_BYTES - len(headers) - 5) + b"\r\n\r\n")
    assert (await wire.answer())[0] == 200
    body = b"{}" + b" " * 5 * HEAD_BYTES
    head = f"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {site.token}\r\n"
    whole = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    await wire.send(whole)
    assert (await wire.answer())[0] == 201
    for start in range(0, len(whole), 7_000):  # again, on the same connection
        await wire.send(whole[start : start + 7_000])
    assert (await wire.answer())[0] == 201


@pytest.mark.parametrize(
    "said",
    [
        b"",
        LIVE,
        b"\r\n",
        LIVE + b"\r\n" + LIVE,
        # refused before its body, which never comes
        b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "half", "line", "half of a second", "no body"],
)
async def test_who_says_nothing_whole_is_not_waited_for(site: Site, said: bytes) -> None:
    async with serving(site, Limits(3, AT_ONCE)) as served:
        await (await served.wire(said)).end()


async def test_what_is_being_answered_is_waited_for(site: Site) -> None:
    async with serving(site, Limits(3, AT_ONCE)) as served:
        headers = {"Authorization": f"Bearer {site.token}", **STREAM}
        async with (
            httpx.AsyncClient(base_url=served.core.address, headers=headers, trust_env=False) as client,
            client.stream("GET", "/api/v1/pool") as answer,
        ):
            lines = answer.aiter_lines()
            await anext(lines)
            await (await served.wire()).end()  # the patience with who came later and said nothing is over
            assert "event: pool" in [await anext(lines) for _ in range(3)]


async def test_a_websocket_is_waited_for_and_counts_as_a_connection(site: Site) -> None:
    session = (await site.client.post("/api/v1/sessions", json={})).json()["session"]
    headers = {"Authorization": f"Bearer {site.token}"}
    async with serving(site, Limits(2, AT_ONCE)) as served:
        address = f"{served.core.address.replace('http', 'ws')}/api/v1/sessions/{session}/ws"
        async with (
            connect(address, additional_headers=headers, proxy=None) as socket,
            AsyncExitStack() as later,
        ):
            await (await served.wire()).end()  # the patience with who came later and said nothing is over
            await later.enter_async_context(connect(address, additional_headers=headers, proxy=None))
            await socket.send("no command")
            while json.loads(await socket.recv())["type"] != "refused":
                pass
            assert await (await served.wire(LIVE + b"\r\n")).refusal() == (503, "Crowded")
        with pytest.raises(InvalidStatus, match="404"):
            async with connect(address.replace(session, "nobody"), additional_headers=headers, proxy=None):
                pass


async def test_connections_that_say_nothing_make_room_oldest_first(patient: Served) -> None:
    first, second, third = await patient.idle(3)
    (fourth,) = await patient.idle(1)
    assert await first.end() == b""
    (fifth,) = await patient.idle(1)
    assert await second.end() == b""
    for wire in (third, fourth, fifth):
        await wire.send(LIVE + b"\r\n")
        assert (await wire.answer())[0] == 200


async def test_who_comes_when_all_are_being_answered_is_refused(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.token}", **STREAM}
    async with serving(site, Limits(2, NEVER)) as served, AsyncExitStack() as stack:
        client = httpx.AsyncClient(base_url=served.core.address, headers=headers, trust_env=False)
        await stack.enter_async_context(client)
        streams = [client.stream("GET", "/api/v1/pool") for _ in range(2)]
        for stream in streams:
            assert (await stack.enter_async_context(stream)).status_code == 200
        assert await (await served.wire(LIVE + b"\r\n")).refusal() == (503, "Crowded")


def test_connections_leave_files_for_the_rest() -> None:
    assert [connections_for(files) for files in (64, 128, 256, 1024, FILES, 1_000_000)] == [
        16,
        64,
        192,
        768,
        2000,
        2000,
    ]
    assert MOST_CONNECTIONS >= 2 * STREAMS


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [((256, 8192), FILES), ((256, 1024), 1024), ((9000, 9000), 9000), ((256, -1), FILES), ((-1, -1), FILES)],
)
def test_as_many_files_are_allowed_as_may_be(
    monkeypatch: pytest.MonkeyPatch, limit: tuple[int, int], allowed: int
) -> None:
    held = [limit]

    def getrlimit(_: int) -> tuple[int, int]:
        return held[-1]

    def setrlimit(_: int, given: tuple[int, int]) -> None:
        held.append(given)

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    allow_files()
    assert (open_files(), held[-1][1]) == (allowed, limit[1])
