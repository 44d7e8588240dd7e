"""HTTP/1.1: connections used again and never left behind, answers framed in every way, nothing smuggled."""

from __future__ import annotations

import asyncio
import gc
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from agents.model import Message
from infrastructure.config.settings import PhaseLimits, ServerSettings
from infrastructure.transport import http1_connection
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.connections import base_url, open_wire, speaks_http1
from infrastructure.transport.errors import Phase, PhaseTimeout, ServerUnreachable
from infrastructure.transport.http1 import Http1Transport
from infrastructure.transport.http1_answer import UNREAD_BYTES
from infrastructure.transport.http1_connection import HEAD_BYTES
from infrastructure.transport.http1_wire import Http1Wire
from infrastructure.transport.messages import ChatRequest
from infrastructure.transport.wire import Ask, StaleConnection
from tests.transport.raw_server import OK, Exchange, RawServer, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

LENGTHLESS = b"HTTP/1.1 200 OK\r\n\r\n"


async def fine(exchange: Exchange) -> None:
    await exchange.whole(b"fine")


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    turns = 0
    while not holds():
        turns += 1
        await asyncio.sleep(0)
        assert turns < 1_000_000


@asynccontextmanager
async def transport_to(server: RawServer, idle_seconds: float = 30) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=Http1Transport(idle_seconds=idle_seconds), base_url=server.url, timeout=None
    ) as client:
        yield client


async def answer_to(script_says: bytes, method: str = "GET", *, then_close: bool = False) -> httpx.Response:
    async def script(exchange: Exchange) -> None:
        await exchange.say(script_says)
        if then_close:
            exchange.close()
        else:
            await exchange.client_left()

    async with raw_server(script) as server, transport_to(server) as client:
        return await client.request(method, "/x")


# -- which connection ---------------------------------------------------------------------------------
async def test_a_connection_is_used_again_when_its_answer_is_complete() -> None:
    async with raw_server(fine) as server, transport_to(server) as client:
        for _ in range(5):
            assert (await client.post("/x", content=b"y")).text == "fine"
        assert server.connections == 1


async def test_every_request_under_way_has_its_own_and_the_last_one_used_is_the_next() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def script(exchange: Exchange) -> None:
        if exchange.number < 3:
            await gates[exchange.number].wait()
        await exchange.whole(str(exchange.writer.get_extra_info("peername")[1]).encode())

    async with raw_server(script) as server, transport_to(server) as client:
        tasks = [asyncio.ensure_future(client.get("/x")) for _ in range(3)]
        await server.asked(3)
        ports: list[str] = []
        for gate, exchange in zip(gates, server.requests, strict=True):
            gate.set()
            port = exchange.writer.get_extra_info("peername")[1]
            ports.append(str(port))
            await until(lambda port=str(port): any(task.done() and task.result().text == port for task in tasks))
        assert server.connections == 3
        for _ in range(2):
            assert (await client.get("/x")).text == ports[-1]
        assert server.connections == 3


async def test_hundreds_at_once_are_not_limited() -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await gate.wait()
        await exchange.whole(b"fine")

    async with raw_server(script) as server, transport_to(server) as client:
        tasks = [asyncio.ensure_future(client.get("/x")) for _ in range(300)]
        await server.asked(300)
        gate.set()
        assert {response.text for response in await asyncio.gather(*tasks)} == {"fine"}


async def test_what_was_idle_for_too_long_is_closed_by_itself() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.whole(b"fine")
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server, transport_to(server, idle_seconds=0.02) as client:
        await client.get("/x")
        await left.wait()
        await client.get("/x")
        assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "connections"), [(b"timeout=1, max=100", 3), (b"timeout=60", 1), (b"max=5", 1), (b"timeout=x", 1)]
)
async def test_a_server_that_says_how_long_it_keeps_a_connection_is_believed(said: bytes, connections: int) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\nKeep-Alive: %s\r\nContent-Length: 0\r\n\r\n" % said)

    async with raw_server(script) as server, transport_to(server) as client:
        for _ in range(3):
            await client.get("/x")
        assert server.connections == connections


async def test_an_idle_connection_that_the_server_closes_is_never_used_again() -> None:
    transport = Http1Transport(idle_seconds=30)

    async def script(exchange: Exchange) -> None:
        await exchange.whole(b"fine")
        exchange.close()

    async with raw_server(script) as server, httpx.AsyncClient(transport=transport, base_url=server.url) as client:
        for _ in range(3):
            await client.get("/x")
            await until(lambda: not transport._idle)
        assert server.connections == len(server.requests) == 3


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0\1garbage"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_bytes_that_nobody_asked_for_end_a_connection(extra: bytes, at_once: bool) -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
        if at_once:
            await exchange.say(good + extra)
        else:
            await exchange.say(good)
            asyncio.get_running_loop().call_soon(exchange.writer.write, extra)
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server, transport_to(server) as client:
        assert (await client.get("/x")).text == "fine"
        await left.wait()
        assert (await client.get("/x")).text == "fine"
        assert server.connections == 2


# -- a kept connection that is dead ---------------------------------------------------------------------
async def test_a_kept_connection_that_dies_without_a_word_is_told_apart() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.reset()
        elif exchange.number == 3:
            exchange.close()
        else:
            await exchange.whole(b"fine")

    async with raw_server(script) as server, transport_to(server) as client:
        for _ in range(2):
            await client.get("/x")
            with pytest.raises(StaleConnection):
                await client.get("/x")


async def test_a_kept_connection_that_dies_after_the_first_byte_is_an_error_and_not_asked_again() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.say(b"HTTP/1.")
            exchange.close()
            return
        await exchange.whole(b'{"version":"1"}')

    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url))
        assert await client.version() == "1"
        with pytest.raises(ServerUnreachable):
            await client.version()
        assert len(server.requests) == 2
        await client.aclose()


async def test_the_second_try_goes_on_a_new_connection_though_others_are_idle() -> None:
    gate = asyncio.Event()
    dead = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if dead.is_set() and exchange.writer.get_extra_info("peername") in seen:
            exchange.reset()
            return
        seen.add(exchange.writer.get_extra_info("peername"))
        await gate.wait()
        await exchange.whole(b'{"version":"1"}')

    seen: set[object] = set()
    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url))
        calls = [asyncio.ensure_future(client.version()) for _ in range(3)]
        await server.asked(3)
        gate.set()
        await asyncio.gather(*calls)
        dead.set()
        assert await client.version() == "1"
        assert (len(server.requests), server.connections) == (5, 4)
        await client.aclose()


# -- leaving ------------------------------------------------------------------------------------------
async def test_leaving_early_closes_the_socket_at_once_and_others_go_on() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(b"a")
        if exchange.number:
            await left.wait()
            await exchange.end()
            return
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server, transport_to(server) as client:
        async with client.stream("GET", "/x") as leaves:
            assert await anext(leaves.aiter_raw()) == b"a"
            other = asyncio.ensure_future(client.get("/y"))
            await server.asked(2)
        assert (await other).text == "a"


async def test_closing_waits_for_every_socket_open_left_or_idle() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/idle":
            await exchange.whole(b"fine")
            return
        await exchange.say(OK)
        await exchange.chunk(b"a")
        await exchange.client_left()

    async with raw_server(script) as server:
        transport = Http1Transport(idle_seconds=30)
        client = httpx.AsyncClient(transport=transport, base_url=server.url)
        opened = await client.send(client.build_request("GET", "/x"), stream=True)
        await client.get("/idle")
        async with client.stream("GET", "/x"):
            pass
        await asyncio.gather(transport.aclose(), transport.aclose())
        assert not transport._open
        with pytest.raises(httpx.ReadError):
            await opened.aread()
        await opened.aclose()
        with pytest.raises(httpx.ConnectError):
            await client.get("/x")
        await transport.aclose()


async def test_closing_finishes_when_cancelled() -> None:
    async with raw_server(fine) as server:
        transport = Http1Transport(idle_seconds=30)
        await httpx.AsyncClient(transport=transport, base_url=server.url).get("/x")
        closing = asyncio.ensure_future(transport.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not transport._open


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_loop_that_ends_behind_a_closed_client_leaves_no_socket(kind: str, host: str) -> None:
    async def whole_life() -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.say(OK)
            await exchange.chunk(b'{"message":{"content":"a"}}\n')
            await exchange.client_left()

        async with raw_server(script) as server:
            client = OllamaClient(ServerSettings(url=server.url.replace("127.0.0.1", host)))
            async with client.chat(ChatRequest(model="m", messages=(Message("user", "hi"),))) as chunks:
                await anext(chunks)
            await client.aclose()

    with asyncio.Runner(loop_factory=pytest.importorskip(kind).new_event_loop) as runner:
        runner.run(whole_life())
    gc.collect()  # an unclosed transport would warn here, and warnings are errors


async def test_closing_while_connecting_ends_the_attempt() -> None:
    transport = Http1Transport(idle_seconds=30, ssl_context=ssl.create_default_context())
    async with raw_server(fine) as silent, httpx.AsyncClient(transport=transport) as client:
        asking = asyncio.ensure_future(client.get(silent.url.replace("http", "https")))
        await until(lambda: silent.connections > 0)
        await transport.aclose()
        with pytest.raises(httpx.ConnectError):
            await asking


async def test_cancelling_while_connecting_leaves_nothing_behind() -> None:
    async with raw_server(fine) as server, transport_to(server) as client:
        for turns in range(12):
            asking = asyncio.ensure_future(client.get("/x"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
        assert (await client.get("/x")).text == "fine"


async def test_connecting_has_its_own_time_limit() -> None:
    async with raw_server(fine) as silent:  # it waits for a request, and the client for its part of the handshake
        server = ServerSettings(url=silent.url.replace("http", "https"))
        client = OllamaClient(server, limits=PhaseLimits(connect=0.05))
        with pytest.raises(PhaseTimeout) as raised:
            await client.version()
        assert raised.value.phase is Phase.CONNECT
        await client.aclose()


# -- TLS --------------------------------------------------------------------------------------------------
async def test_over_tls_connections_are_kept_left_and_closed_too(certificate: Path) -> None:
    left, spoken = asyncio.Event(), set[str]()

    async def script(exchange: Exchange) -> None:
        spoken.add(exchange.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        if exchange.path == "/api/version":
            await exchange.whole(b'{"version":"1"}')
            return
        await exchange.say(OK)
        await exchange.chunk(b'{"message":{"content":"a"}}\n')
        await exchange.client_left()
        left.set()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.set_alpn_protocols(["http/1.1"])
    async with raw_server(script, context) as server:
        url = f"https://localhost:{server.port}"
        for http2 in (False, True):  # where HTTP/2 is wanted and not spoken, this transport steps in
            client = OllamaClient(ServerSettings(url=url, ca_file=certificate, http2=http2))
            before = len(server.requests)
            for _ in range(3):
                assert await client.version() == "1"
            async with client.chat(ChatRequest(model="m", messages=(Message("user", "hi"),))) as chunks:
                assert (await anext(chunks)).text == "a"
            await left.wait()
            left.clear()
            await client.aclose()
            asked = [request for request in server.requests[before:] if request.path != "*"]  # HTTP/2's greeting
            assert len({request.writer for request in asked}) == 1
        assert spoken == {"http/1.1"}

        stranger = OllamaClient(ServerSettings(url=url))
        with pytest.raises(ServerUnreachable) as raised:
            await stranger.version()
        assert "ca_file" in raised.value.hint
        await stranger.aclose()


async def test_whoever_is_told_and_fails_leaves_no_connection_behind() -> None:
    def fails(_: Phase) -> None:
        raise RuntimeError("told")

    async with raw_server(fine) as server:
        transport = Http1Transport(idle_seconds=30)
        wire = Http1Wire(transport, server.url, {})
        with pytest.raises(RuntimeError, match="told"):
            await wire.ask(Ask("GET", "/x", None, 5, 5, asyncio.get_running_loop().time() + 60), fails, fresh=False)
        await until(lambda: not transport._open)


async def test_one_stale_connection_speaks_for_all_idle_ones() -> None:
    gate, dying = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if dying.is_set():
            exchange.reset()
            return
        await gate.wait()
        await exchange.whole(b"fine")

    async with raw_server(script) as server, transport_to(server) as client:
        asking = [asyncio.ensure_future(client.get("/x")) for _ in range(3)]
        await server.asked(3)
        gate.set()
        await asyncio.gather(*asking)
        dying.set()
        with pytest.raises(StaleConnection):
            await client.get("/x")
        dying.clear()
        await client.get("/x")
        assert server.connections == 4


# -- framing --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n1\r\nb\r\n0\r\nT: r\r\n\r\n", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 204 OK\r\nA: b\r\n\r\n", b""),
    ],
)
async def test_answers_that_say_their_end(said: bytes, body: bytes) -> None:
    response = await answer_to(said)
    assert response.content == body
    assert "x" not in response.headers


async def test_interim_answers_in_pieces_are_passed_over() -> None:
    async def script(exchange: Exchange) -> None:
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab":
            await exchange.say(bytes([byte]))

    async with raw_server(script) as server, transport_to(server) as client:
        for _ in range(2):
            assert (await client.post("/x", content=b"y")).text == "ab"
        assert server.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert (await answer_to(LENGTHLESS + b"ab", then_close=True)).content == b"ab"
    assert (await answer_to(b"HTTP/1.0 200 OK\r\n\r\nab", then_close=True)).content == b"ab"


async def test_an_answer_to_head_has_no_body() -> None:
    response = await answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD")
    assert response.headers["content-length"] == "7"
    assert not response.content


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
async def test_an_answer_that_is_cut_off_is_an_error(said: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await answer_to(said, then_close=True)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyyyyyyy\r\n" * (HEAD_BYTES // 16) + b"Content-Length: 1\r\n\r\na",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES // 16),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: " + b"y" * (8 * HEAD_BYTES),
    ],
)
async def test_what_is_no_http_is_an_error(said: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await answer_to(said)


# -- both ways at once ----------------------------------------------------------------------------------
async def test_an_answer_nobody_reads_stops_the_server_and_goes_on_when_read() -> None:
    size = 32 << 20

    async def script(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            await exchange.say(bytes(1 << 16))

    async with raw_server(script) as server, transport_to(server) as client:
        async with client.stream("GET", "/x") as response:
            (connection,) = client._transport._open  # type: ignore[attr-defined]
            await until(lambda: not connection._transport.is_reading())
            assert UNREAD_BYTES < connection._answer.unread <= UNREAD_BYTES + (1 << 18)
            assert sum([len(piece) async for piece in response.aiter_raw()]) == size
        assert (await client.get("/x")).status_code == 200
        assert server.connections == 1


async def test_a_large_request_is_sent_whole() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(str(len(exchange.body)).encode())

    async with raw_server(script) as server, transport_to(server) as client:
        for _ in range(2):
            assert (await client.post("/x", content=bytes(24 << 20))).text == str(24 << 20)
        assert server.connections == 1


async def test_a_small_request_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    made = http1_connection.Http1Connection.connection_made

    def spying(self: http1_connection.Http1Connection, transport: asyncio.Transport) -> None:
        write = transport.write
        monkeypatch.setattr(transport, "write", lambda data: (writes.append(bytes(data)), write(data))[1])
        made(self, transport)

    monkeypatch.setattr(http1_connection.Http1Connection, "connection_made", spying)
    async with raw_server(fine) as server, transport_to(server) as client:
        await client.post("/x", content=b"body")
    assert [data[-8:] for data in writes] == [b"\r\n\r\nbody"]


async def test_an_answer_before_the_request_is_sent_is_delivered_and_its_connection_closed() -> None:
    done, gone = asyncio.Event(), asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await done.wait()
        with suppress(ConnectionError):
            while await reader.read(1 << 16):  # until the client has closed
                continue
        writer.close()
        gone.set()

    async with await asyncio.start_server(early, "127.0.0.1", 0) as server:
        transport = Http1Transport(idle_seconds=30)
        async with httpx.AsyncClient(transport=transport) as client:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            response = await client.post(url, content=bytes(64 << 20))
            assert (response.status_code, response.text) == (413, "big")
            assert not transport._idle
            done.set()
        await gone.wait()


# -- what is sent -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\0b"), ("X\r\nY", "b"), ("X Y", "b"), ("", "b")],
)
async def test_a_header_that_would_end_its_line_is_refused(name: str, value: str) -> None:
    async with raw_server(fine) as server, transport_to(server) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/x", headers=[(name.encode(), value.encode())])
        assert not server.connections


async def test_a_token_that_would_end_its_line_is_refused() -> None:
    async with raw_server(fine) as server:
        client = OllamaClient(ServerSettings.model_validate({"url": server.url, "token": "a\r\nX: b"}))
        with pytest.raises(ServerUnreachable):
            await client.version()
        assert not server.connections
        await client.aclose()


async def test_a_body_in_pieces_is_sent_whole_with_its_length() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async with raw_server(fine) as server, transport_to(server) as client:
        await client.post("/x", content=pieces())
        assert server.requests[0].body == b"abcd"
        assert b"transfer-encoding" not in server.requests[0].head.lower()


async def test_the_trace_of_httpx_is_told() -> None:
    told: list[str] = []

    async def trace(event: str, info: Mapping[str, object]) -> None:
        told.append(event)

    async with raw_server(fine) as server, transport_to(server) as client:
        for _ in range(2):
            await client.get("/x", extensions={"trace": trace})
    sending = "http11.send_request_headers.started"
    assert told == ["connection.connect_tcp.started", sending, sending]


async def test_another_origin_is_refused() -> None:
    async with raw_server(fine) as server, raw_server(fine) as other, transport_to(server) as client:
        await client.get("/x")
        await client.get("/x", headers={"Connection": "close"})
        with pytest.raises(httpx.UnsupportedProtocol):
            await asyncio.gather(client.get(other.url), client.get(other.url))


@pytest.mark.parametrize("settings", [{}, {"token": "t"}, {"username": "u", "password": "p\u00e4"}])
async def test_both_transports_send_the_same(settings: dict[str, str]) -> None:
    async def heads(transport: str) -> list[tuple[bytes, list[bytes], bytes]]:
        async with raw_server(fine) as server:
            given = {"url": f"{server.url}/prefix", "transport": transport, **settings}
            wire = open_wire(ServerSettings.model_validate(given), PhaseLimits())
            for method, body in (("POST", b"{}"), ("GET", None)):
                ends_at = asyncio.get_running_loop().time() + 60
                reply = await wire.ask(Ask(method, "/api/x", body, 5, 5, ends_at), lambda _: None, fresh=False)
                assert await reply.receive(ends_at) == b"fine"
                await reply.aclose()
            await wire.aclose()
            port = str(server.port).encode()
            return [
                (first.replace(port, b""), sorted(line.lower().replace(port, b"") for line in lines), request.body)
                for request in server.requests
                for first, *lines in [request.head.split(b"\r\n")]
            ]

    assert await heads("own") == await heads("httpx")


@pytest.mark.parametrize(
    ("url", "proxies", "own"),
    [
        ("http://gpu2.lan", {}, True),
        ("https://gpu2.lan", {}, True),
        ("http://gpu2.lan", {"HTTP_PROXY": "http://proxy.invalid:1"}, False),
        ("http://gpu2.lan", {"HTTPS_PROXY": "http://proxy.invalid:1"}, True),
        ("https://gpu2.lan", {"ALL_PROXY": "http://proxy.invalid:1"}, False),
        ("http://gpu2.lan", {"HTTP_PROXY": "http://proxy.invalid:1", "NO_PROXY": "gpu2.lan"}, True),
        ("http://127.0.0.1", {"HTTP_PROXY": "http://proxy.invalid:1"}, True),
        ("h2c://gpu2.lan", {}, False),
    ],
)
def test_a_proxy_of_the_environment_is_left_to_httpx(
    monkeypatch: pytest.MonkeyPatch, url: str, proxies: dict[str, str], own: bool
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    assert speaks_http1(ServerSettings(url=url)) is own
    assert not speaks_http1(ServerSettings(url=url, transport="httpx"))


def test_an_address_of_version_6_keeps_its_brackets_in_host() -> None:
    assert httpx.URL(base_url(ServerSettings(url="http://[::1]:5"))).netloc == b"[::1]:5"
