"""HTTP/2: many streams on one connection, each stopped alone, none lost when the connection is given up."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, WindowUpdated
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame

from agents.model import Message
from infrastructure.config.settings import PhaseLimits, ServerSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.connections import open_wire
from infrastructure.transport.errors import OllamaError, Phase, PhaseTimeout, ServerUnreachable, StreamBroken
from infrastructure.transport.http2 import Http2Transport
from infrastructure.transport.http2_connection import Http2Connection
from infrastructure.transport.http2_connections import Http2Connections, head
from infrastructure.transport.http2_windows import CONNECTION_WINDOW, STREAM_WINDOW
from infrastructure.transport.messages import ChatRequest
from infrastructure.transport.wire import Ask
from tests.transport.h2_server import H2Server, ServerConnection, answered, h2_server
from tests.transport.raw_server import Exchange, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infrastructure.transport.messages import Chunk

LINE = b'{"message":{"content":"x"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'


POST = [(b":method", b"POST"), (b":authority", b"gpu"), (b":scheme", b"http"), (b":path", b"/api/chat")]


def ask(model: str = "m", text: str = "hi") -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", text),))


def client_of(server: H2Server, **limits: float) -> OllamaClient:
    return OllamaClient(ServerSettings(url=server.url), limits=PhaseLimits(**limits))


async def text_of(client: OllamaClient, request: ChatRequest | None = None) -> str:
    async with client.chat(request or ask()) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def streaming(connection: ServerConnection, event: Event) -> None:
    """Answers every request with the head of a stream."""
    if isinstance(event, StreamEnded):
        connection.headers(event.stream_id or 0)
        connection.data(event.stream_id or 0, LINE)


async def first(chunks: AsyncIterator[Chunk]) -> str:
    return (await anext(chunks)).text


async def test_calls_share_one_connection() -> None:
    async with h2_server(answered) as server:
        client = client_of(server)
        assert await asyncio.gather(*(text_of(client) for _ in range(50))) == ["ok"] * 50
        assert await client.version() == "1"
        assert len(server.connections) == 1
        await client.aclose()


async def test_more_calls_than_the_server_allows_open_another_connection() -> None:
    async with h2_server(streaming, max_streams=2) as server:
        client = client_of(server)
        entered = [client.chat(ask()) for _ in range(5)]
        for call in entered:
            assert await first(await call.__aenter__()) == "x"
        assert [len(connection.streams()) for connection in server.connections] == [2, 2, 1]
        for call in entered:
            await call.__aexit__(None, None, None)
        await client.aclose()


async def test_leaving_early_resets_the_stream_and_nothing_else() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as stays:
            assert await first(stays) == "x"
            async with client.chat(ask()) as leaves:
                assert await first(leaves) == "x"
            (connection,) = server.connections
            await server.until(lambda: connection.resets() == [3])
            connection.data(1, LINE + DONE, end=True)
            assert [chunk.text async for chunk in stays] == ["x", ""]
        assert connection.resets() == [3]
        assert not connection.closed.is_set()
        await client.aclose()
        await connection.closed.wait()


async def test_hundreds_of_early_leaves_do_not_use_up_the_connection() -> None:
    async with h2_server(streaming, max_streams=10) as server:
        client = client_of(server)
        for _ in range(300):
            async with client.chat(ask()) as chunks:
                assert await first(chunks) == "x"
        assert len(server.connections) == 1
        await client.aclose()


@pytest.mark.parametrize("at", ["before the first byte", "between tokens"])
async def test_cancelling_resets_the_stream(at: str) -> None:
    asked = asyncio.Event()

    def script(connection: ServerConnection, event: Event) -> None:
        if at == "between tokens":
            streaming(connection, event)
        if isinstance(event, StreamEnded):
            asked.set()

    async with h2_server(script) as server:
        client = client_of(server)
        task = asyncio.ensure_future(text_of(client))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.connections[0].resets() == [1])
        await client.aclose()


async def test_one_calls_time_limit_leaves_the_others_alone() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as patient:
            assert await first(patient) == "x"
            async with client.chat(ask(), phases=PhaseLimits(between_tokens=0.05)) as hurried:
                assert await first(hurried) == "x"
                with pytest.raises(PhaseTimeout) as error:
                    await first(hurried)
            assert error.value.phase is Phase.BETWEEN_TOKENS
            server.connections[0].data(1, DONE, end=True)
            assert [chunk.final is not None async for chunk in patient] == [True]
        await client.aclose()


async def test_a_stream_nobody_reads_stops_at_its_window_and_delays_no_other() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            connection.headers(event.stream_id or 0)

    def fill(connection: ServerConnection, stream: int) -> int:
        sent = 0
        while room := min(connection.h2.local_flow_control_window(stream), 16384):
            connection.data(stream, b" " * (room - 1) + b"\n")
            sent += room
        return sent

    async with h2_server(script) as server:
        client = client_of(server)
        async with client.chat(ask()) as unread:
            (connection,) = server.connections
            assert fill(connection, 1) == 1 << 20
            async with client.chat(ask()) as other:
                connection.data(3, LINE + DONE, end=True)
                assert await first(other) == "x"
            # Reading gives the window back, so that the stream can go on.
            reading = asyncio.ensure_future(first(unread))
            await server.until(lambda: connection.credit(1) > 0)
            connection.data(1, LINE + DONE, end=True)
            assert await reading == "x"
        await client.aclose()


async def test_an_answer_larger_than_every_window_arrives_whole() -> None:
    lines = 1500
    blank = b" " * 16000 + b"\n"
    left = [blank] * lines

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            connection.headers(1)
        elif not isinstance(event, WindowUpdated):
            return
        while left and connection.streams() and connection.h2.local_flow_control_window(1) >= len(blank):
            connection.data(1, left.pop())
            if not left:
                connection.data(1, LINE + DONE, end=True)

    assert lines * len(blank) > CONNECTION_WINDOW + 65535
    async with h2_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "x"
        await client.aclose()


async def test_a_prompt_larger_than_the_sockets_buffers_is_sent_whole() -> None:
    size = 24 << 20
    async with h2_server(answered, window=1 << 26) as server:
        client = client_of(server)
        assert await text_of(client, ask(text="y" * size)) == "ok"
        assert server.connections[0].body_bytes(1) > size
        await client.aclose()


async def test_a_caller_that_leaves_while_connecting_leaves_the_others_their_connection() -> None:
    async with h2_server(answered, greets=False) as server:
        client = client_of(server)
        leaves, stays = asyncio.ensure_future(text_of(client)), asyncio.ensure_future(text_of(client))
        await server.until(lambda: bool(server.connections))
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        server.connections[0].greet()
        assert await stays == "ok"
        assert len(server.connections) == 1
        await client.aclose()


async def test_a_long_prompt_is_sent_as_the_window_allows() -> None:
    async with h2_server(answered) as server:
        client = client_of(server)
        assert await text_of(client, ask(text="y" * 400_000)) == "ok"
        assert server.connections[0].body_bytes(1) > 400_000
        await client.aclose()


async def test_a_prompt_that_waits_for_the_window_can_be_cancelled() -> None:
    async with h2_server(takes_bodies=False) as server:
        client = client_of(server)
        task = asyncio.ensure_future(text_of(client, ask(text="y" * 400_000)))
        await server.until(lambda: bool(server.connections) and server.connections[0].body_bytes(1) == 65535)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.connections[0].resets() == [1])
        await client.aclose()


async def test_an_answer_before_the_prompt_is_all_sent_is_not_lost() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, DataReceived) and event.stream_id not in answered_streams:
            answered_streams.add(event.stream_id)
            connection.headers(event.stream_id or 0, 503)
            connection.data(event.stream_id or 0, b'{"error":"server busy"}', end=True)

    answered_streams: set[int | None] = set()
    async with h2_server(script, takes_bodies=False) as server:
        client = client_of(server)
        with pytest.raises(OllamaError, match="queue is full"):
            await text_of(client, ask(text="y" * 400_000))
        await server.until(lambda: server.connections[0].resets() == [1])
        await client.aclose()


async def test_a_graceful_goaway_loses_nothing() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as running:
            assert await first(running) == "x"
            old = server.connections[0]
            old.goaway(2**31 - 1)
            old.data(1, LINE)
            assert await first(running) == "x"
            async with client.chat(ask()) as later:
                assert await first(later) == "x"
                assert len(server.connections) == 2
            old.data(1, DONE, end=True)
            assert [chunk.final is not None async for chunk in running] == [True]
        await old.closed.wait()
        assert not server.connections[1].closed.is_set()
        await client.aclose()


@pytest.mark.parametrize("how", ["goaway", "refused"])
async def test_a_request_the_server_did_not_touch_is_sent_again(how: str) -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            if len(seen) == 0:
                seen.append(event.stream_id or 0)
                if how == "goaway":
                    connection.goaway(0)
                else:
                    connection.reset(event.stream_id or 0, ErrorCodes.REFUSED_STREAM)
            else:
                answered(connection, event)

    seen: list[int] = []
    async with h2_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "ok"
        assert sum(len(connection.streams()) for connection in server.connections) == 2
        await client.aclose()


@pytest.mark.parametrize("over", ["own", "httpx"])
async def test_a_request_the_server_may_have_worked_on_is_not_sent_again(over: str) -> None:
    """Only a refusal says that nothing was done (RFC 9113, 8.7): any other reset of one stream is for the caller."""

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded) and event.stream_id == 3:
            connection.reset(3, ErrorCodes.INTERNAL_ERROR)
        else:
            answered(connection, event)

    async with h2_server(script) as server:
        transport = Http2Transport(idle_seconds=30) if over == "httpx" else None
        client = OllamaClient(ServerSettings(url=server.url), transport=transport)
        assert await text_of(client) == "ok"
        with pytest.raises(ServerUnreachable, match="INTERNAL_ERROR"):
            await text_of(client)
        assert [connection.streams() for connection in server.connections] == [[1, 3]]
        assert await text_of(client) == "ok"
        assert [connection.streams() for connection in server.connections] == [[1, 3, 5]]
        await client.aclose()


async def test_a_server_that_always_refuses_is_unreachable() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            connection.reset(event.stream_id or 0, ErrorCodes.REFUSED_STREAM)

    async with h2_server(script) as server:
        client = client_of(server)
        with pytest.raises(ServerUnreachable):
            await text_of(client)
        await client.aclose()


async def test_a_reset_in_the_middle_breaks_the_stream_and_keeps_what_came() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
            server.connections[0].reset(1, ErrorCodes.INTERNAL_ERROR)
            with pytest.raises(StreamBroken, match="INTERNAL_ERROR") as broken:
                await first(chunks)
        assert broken.value.partial.text == "x"
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
        assert len(server.connections) == 1
        await client.aclose()


@pytest.mark.parametrize("over", ["own", "httpx"])
async def test_a_stream_that_another_task_closes_tells_its_reader_at_once(over: str) -> None:
    async with h2_server(streaming) as server:
        transport = Http2Transport(idle_seconds=30) if over == "httpx" else None
        wire = open_wire(ServerSettings(url=server.url), PhaseLimits(), transport)
        never = asyncio.get_running_loop().time() + 3600
        reply = await wire.ask(Ask("GET", "/x", None, 5, 5, never), lambda _: None, fresh=False)
        assert await reply.receive(never) == LINE
        reading = asyncio.ensure_future(reply.receive(never))
        await asyncio.sleep(0)
        await reply.aclose()
        with pytest.raises(httpx.ReadError, match="the answer was closed"):
            await reading
        await server.until(lambda: server.connections[0].resets() == [1])
        await wire.aclose()


async def test_a_connection_that_breaks_breaks_its_streams_and_the_next_call_connects_again() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
            server.connections[0].transport.abort()
            with pytest.raises(StreamBroken):
                await first(chunks)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
        assert len(server.connections) == 2
        await client.aclose()


async def test_what_had_arrived_is_read_though_a_write_finds_the_connection_closed() -> None:
    """After a failed write asyncio reads no more: answers in the socket would be lost, and be asked for again."""
    ours, theirs = socket.socketpair()
    peer = H2Connection(H2Configuration(client_side=False))
    peer.initiate_connection()
    theirs.send(peer.data_to_send())
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Http2Connection(lambda _: None, {}), sock=ours)
    await connection.ready
    head = [(b":method", b"GET"), (b":authority", b"here"), (b":scheme", b"http"), (b":path", b"/")]
    answered_call = asyncio.ensure_future(connection.ask(head, b""))
    await asyncio.sleep(0)
    peer.receive_data(theirs.recv(1 << 16))
    peer.send_headers(1, [(":status", "200")])
    peer.send_data(1, b"whole", end_stream=True)
    theirs.send(peer.data_to_send())
    theirs.close()
    late_call = asyncio.ensure_future(connection.ask(head, b""))

    answer = await answered_call
    assert answer.status == 200
    assert await answer.receive() == b"whole"
    with pytest.raises(httpx.ReadError):
        await late_call


async def test_a_kept_connection_that_dies_before_a_byte_is_replaced_once_without_a_word() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded) and event.stream_id == 3:
            connection.transport.abort()
        else:
            answered(connection, event)

    async with h2_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "ok"
        assert await text_of(client) == "ok"
        assert [len(connection.streams()) for connection in server.connections] == [2, 1]
        await client.aclose()


async def test_the_second_try_goes_on_a_new_connection_though_others_are_idle() -> None:
    """Connections of one age die together, as when a machine has slept: the next one would be dead too."""
    dead: list[ServerConnection] = []

    def script(connection: ServerConnection, event: Event) -> None:
        if connection in dead:
            connection.transport.abort()
        elif isinstance(event, StreamEnded) and not go_on.is_set():
            connection.headers(event.stream_id or 0)
        else:
            answered(connection, event)

    go_on = asyncio.Event()
    async with h2_server(script, max_streams=1) as server:
        client = client_of(server)
        calls = [asyncio.ensure_future(text_of(client)) for _ in range(3)]
        await server.until(lambda: len(server.connections) == 3 and all(each.streams() for each in server.connections))
        go_on.set()
        for connection in server.connections:
            connection.data(1, LINE + DONE, end=True)
        assert await asyncio.gather(*calls) == ["x"] * 3
        dead += server.connections
        assert await text_of(client) == "ok"
        assert len(server.connections) == 4
        await client.aclose()


async def test_a_window_that_the_server_changes_holds_for_what_is_being_sent() -> None:
    """Lowered below what was sent it is negative until the server gives it back; raised it lets the rest go."""
    async with h2_server(answered, takes_bodies=False) as server:
        client = client_of(server)
        call = asyncio.ensure_future(text_of(client, ask(text="y" * 100_000)))
        await server.until(lambda: bool(server.connections) and server.connections[0].body_bytes(1) == 65535)
        (connection,) = server.connections
        connection.h2.increment_flow_control_window(1 << 20)
        acknowledged = connection.acknowledged()
        connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        connection.flush()
        await server.until(lambda: connection.acknowledged() > acknowledged)
        connection.h2.increment_flow_control_window(64535, 1)
        acknowledged = connection.acknowledged()
        connection.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 1 << 15})
        connection.flush()
        await server.until(lambda: connection.acknowledged() > acknowledged)
        assert connection.body_bytes(1) == 65535
        connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        connection.flush()
        assert await call == "ok"
        await client.aclose()


async def test_a_server_that_comes_to_allow_more_streams_gets_them_on_the_connection_it_has() -> None:
    async with h2_server(streaming, max_streams=1) as server, AsyncExitStack() as stack:
        client = client_of(server)
        assert await first(await stack.enter_async_context(client.chat(ask()))) == "x"
        (connection,) = server.connections
        acknowledged = connection.acknowledged()
        connection.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 5})
        connection.flush()
        await server.until(lambda: connection.acknowledged() > acknowledged)
        for _ in range(4):
            assert await first(await stack.enter_async_context(client.chat(ask()))) == "x"
        assert len(server.connections) == 1
        await stack.pop_all().aclose()
        await client.aclose()


async def test_a_server_that_has_answered_and_wants_no_more_of_the_request_has_answered() -> None:
    """RST_STREAM with NO_ERROR behind a whole answer (RFC 9113, 8.1) is no failure, and no reset goes back."""
    reset: set[int | None] = set()

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            answered(connection, event)
        elif isinstance(event, DataReceived) and event.stream_id not in reset and event.stream_id == 1:
            reset.add(event.stream_id)
            connection.headers(1)
            connection.data(1, LINE + DONE, end=True)
            connection.reset(1, ErrorCodes.NO_ERROR)

    async with h2_server(script) as server:
        client = client_of(server)
        assert await text_of(client, ask(text="y" * 400_000)) == "x"
        assert await text_of(client) == "ok"
        assert server.connections[0].resets() == []
        assert len(server.connections) == 1
        await client.aclose()


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    async with h2_server(answered) as server:
        transport = Http2Transport(idle_seconds=0)
        client = OllamaClient(ServerSettings(url=server.url), transport=transport)
        for _ in range(2):
            assert await client.version() == "1"
        await server.connections[0].closed.wait()
        assert len(server.connections) == 2
        await client.aclose()


async def test_a_server_that_allows_no_streams_is_unreachable() -> None:
    async with h2_server(answered, max_streams=0) as server:
        client = client_of(server)
        with pytest.raises(ServerUnreachable, match="takes no streams"):
            await client.version()
        await client.aclose()


async def test_nonsense_on_the_wire_ends_the_connection_with_an_error() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
            server.connections[0].transport.write(b"\xff" * 100)
            with pytest.raises(StreamBroken):
                await first(chunks)
        await client.aclose()


async def test_a_server_that_speaks_only_http1_is_told_apart() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(b"", b"400 Bad Request")

    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url.replace("http", "h2c")))
        with pytest.raises(ServerUnreachable, match="speaks HTTP/1"):
            await client.version()
        await client.aclose()


async def test_a_server_that_greets_nobody_ends_the_connect_phase_for_all_who_wait() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.client_left()

    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url.replace("http", "h2c")), limits=PhaseLimits(connect=0.05))
        found = await asyncio.gather(*(client.version() for _ in range(3)), return_exceptions=True)
        assert [getattr(error, "phase", error) for error in found] == [Phase.CONNECT] * 3
        await client.aclose()


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with h2_server() as server:
        client = client_of(server)
    with pytest.raises(ServerUnreachable):
        await client.version()
    await client.aclose()


async def test_closing_while_connecting_is_an_error_and_no_cancellation() -> None:
    connected = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        connected.set()
        await exchange.client_left()

    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url.replace("http", "h2c")))
        call = asyncio.ensure_future(client.version())
        await connected.wait()
        await client.aclose()
        with pytest.raises(ServerUnreachable):
            await call


async def test_a_caller_with_little_time_left_does_not_shorten_the_connecting_of_others() -> None:
    async with h2_server(answered, greets=False) as server:
        client = client_of(server)
        hurried = asyncio.ensure_future(client.version(seconds=0.02))
        stays = asyncio.ensure_future(text_of(client))
        with pytest.raises(OllamaError):
            await hurried
        server.connections[0].greet()
        assert await stays == "ok"
        assert len(server.connections) == 1
        await client.aclose()


async def test_nobody_connects_once_the_client_is_closed() -> None:
    async with h2_server(answered) as server:
        connections = Http2Connections(idle_seconds=60)
        await connections.aclose()
        with pytest.raises(httpx.ConnectError, match="closed"):
            await connections.opened(httpx.URL(server.url.replace("h2c", "http")), 1.0, 0.0)
        assert not server.connections


async def test_a_status_that_is_none_is_an_error_of_the_server_and_the_stream_is_given_back() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            connection.h2.send_headers(event.stream_id or 0, [(":status", "abc")])
            connection.flush()

    async with h2_server(script) as server:
        client = client_of(server)
        with pytest.raises(OllamaError, match="no status"):
            await text_of(client)
        await server.until(lambda: bool(server.connections[0].resets()))
        await client.aclose()


async def test_closing_the_client_fails_its_streams() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
            await client.aclose()
            with pytest.raises(StreamBroken):
                await first(chunks)
        await server.connections[0].closed.wait()


@pytest.mark.parametrize("reads", [True, False])
async def test_closing_the_client_closes_its_sockets_though_the_server_reads_no_more(reads: bool) -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived) and not reads:
            connection.transport.pause_reading()

    async with h2_server(script, window=1 << 24) as server:
        connections = Http2Connections(idle_seconds=60)
        connection = await connections.opened(httpx.URL(server.url.replace("h2c", "http")), 5.0, 0.0)
        transport = connection._transport
        assert transport is not None
        asking = asyncio.create_task(connection.ask(POST, b"x" * (1 << 24 if not reads else 1)))
        await server.until(lambda: bool(server.connections[0].streams()))
        await connections.aclose()

        assert transport.get_extra_info("socket").fileno() == -1
        with pytest.raises(httpx.ReadError):
            await asking


async def test_a_server_that_sends_more_than_its_window_is_cut_off() -> None:
    """Pieces go past `h2`, so that the bound of what a stream holds is ours to keep."""

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            number = event.stream_id or 0
            connection.headers(number)
            connection.flush()
            for _ in range(STREAM_WINDOW // 16384 + 1):
                connection.transport.write(DataFrame(number, b"x" * 16384).serialize())

    async with h2_server(script) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            await server.connections[0].closed.wait()
            with pytest.raises(StreamBroken, match="more than it may"):
                await first(chunks)
        await client.aclose()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ([(b"content-length", b"900")], DONE),
        ([(b"content-length", b"5")], DONE),
        ([(b"content-length", b"5, 5")], b"12345"),
        ([(b"X-Upper", b"1")], DONE),
        ([(b"connection", b"keep-alive")], DONE),
    ],
)
async def test_a_malformed_answer_ends_its_own_stream_only(head: list[tuple[bytes, bytes]], body: bytes) -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if not isinstance(event, StreamEnded):
            return
        if len(connection.streams()) == 1:
            streaming(connection, event)
            return
        running, number = connection.streams()[0], event.stream_id or 0
        answer = HeadersFrame(number, Encoder().encode([(b":status", b"200"), *head]), flags=["END_HEADERS"])
        # All in one piece: what came before the malformed answer and behind it is not lost.
        connection.transport.write(
            DataFrame(running, LINE).serialize()
            + answer.serialize()
            + DataFrame(number, body, flags=["END_STREAM"]).serialize()
            + DataFrame(running, LINE).serialize()
            + DataFrame(running, DONE, flags=["END_STREAM"]).serialize()
        )

    async with h2_server(script) as server:
        client = client_of(server)
        async with client.chat(ask()) as chunks:
            assert await first(chunks) == "x"
            with pytest.raises((StreamBroken, ServerUnreachable), match="no answer"):
                await text_of(client)
            assert "".join([chunk.text async for chunk in chunks]) == "xx"
        assert len(server.connections) == 1
        await client.aclose()


async def test_what_cannot_be_decompressed_ends_the_connection() -> None:
    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            number = event.stream_id or 0
            connection.transport.write(HeadersFrame(number, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"]).serialize())

    async with h2_server(script) as server:
        client = client_of(server)
        with pytest.raises(ServerUnreachable):
            await text_of(client)
        await server.connections[0].closed.wait()
        await client.aclose()


@pytest.mark.parametrize("told", [False, True])
async def test_a_length_that_is_told_is_held_to(told: bool) -> None:
    """`h2` compares it, so pieces of such an answer do not go past it."""

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded):
            number = event.stream_id or 0
            headers = [(":status", "200")] + ([("content-length", "9999")] if told else [])
            connection.h2.send_headers(number, headers)
            connection.h2.send_data(number, LINE)
            connection.flush()
            connection.transport.write(DataFrame(number, DONE, flags=["END_STREAM"]).serialize())

    async with h2_server(script) as server:
        client = client_of(server)
        if told:
            with pytest.raises((StreamBroken, ServerUnreachable)):
                await text_of(client)
        else:
            assert await text_of(client) == "x"
        await client.aclose()


@pytest.mark.parametrize(
    ("target", "header"),
    [(b"/a b", (b"x", b"y")), (b"", (b"x", b"y")), (b"/", (b"x y", b"z")), (b"/", (b"x", b"y\r\nz: 1"))],
)
def test_what_could_be_taken_for_something_else_is_not_said(target: bytes, header: tuple[bytes, bytes]) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        head("GET", httpx.URL("http://here"), target, [header])


@pytest.mark.parametrize(("method", "host"), [("GET /x", b"here"), ("", b"here"), ("GET", b"a\r\nX-Evil: 1")])
def test_neither_method_nor_host_may_hold_more_than_that(method: str, host: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        head(method, httpx.URL("http://here"), b"/", [(b"Host", host)])


def test_a_secret_is_kept_out_of_the_tables_of_compression() -> None:
    said = head(
        "GET", httpx.URL("http://here"), b"/", [(b"Authorization", b"Bearer t"), (b"X", b"y"), (b"Host", b"there")]
    )
    assert [name for name, _ in said if isinstance(name, bytes)] == [
        b":method",
        b":authority",
        b":scheme",
        b":path",
        b"authorization",
        b"x",
    ]
    assert dict(said)[b":authority"] == b"there"
    assert [getattr(each, "indexable", True) for each in said] == [True, True, True, True, False, True]
