"""What a general HTTP client does wrong over HTTP/2 when models stream, each shown not to be so here.

The list is of httpx 0.28 with httpcore 1.0.9, reproduced there: no RST_STREAM, a connection used up by early closes, a
GOAWAY that kills what runs, time limits that are the connection's, quiet streams that hold up running ones, no second
connection, limits that are lowered, answers before the request's end, windows that are never given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived, SettingsAcknowledged, StreamEnded
from h2.settings import SettingCodes

from agents.model import Message
from infrastructure.config.settings import PhaseLimits, ServerSettings
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings, script_models
from infrastructure.simulator.records import Outcome
from infrastructure.simulator.settings import Http2Settings
from infrastructure.simulator.toxics import Toxic, ToxicKind
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import Phase, PhaseTimeout, ServerBusy, ServerUnreachable
from infrastructure.transport.http2_windows import CONNECTION_WINDOW
from infrastructure.transport.messages import ChatRequest, Chunk, GenerateRequest
from tests.transport.h2_server import H2Server, ServerConnection, h2_server

WORDS = ModelSpec(name="counted", text="one two three four five six seven eight")
LINE = b'{"message":{"content":"x"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'
CHAT = ChatRequest(model="m", messages=(Message("user", "hi"),))
HELD = GenerateRequest(model="counted", prompt="held")
ENDLESS = GenerateRequest(model="endless", prompt="go on")


@asynccontextmanager
async def over_simulator(
    *, slots: int = 64, http2: Http2Settings | None = None, **pace: float
) -> AsyncIterator[tuple[Simulator, OllamaClient]]:
    """A client over the HTTP/2 face of a simulated server."""
    settings = SimulatorSettings(
        models=(WORDS, *script_models()),
        num_parallel=slots,
        load_seconds=0,
        http2_port=0,
        http2=http2,
        decode_slowdown=0,
        **({"decode_tokens_per_second": 500} | pace),
    )
    async with Simulator(settings) as server:
        client = OllamaClient(ServerSettings(url=server.http2_url))
        yield server, client
        await client.aclose()


def client_of(server: H2Server, **limits: float) -> OllamaClient:
    return OllamaClient(ServerSettings(url=server.url), limits=PhaseLimits(**limits))


def streaming(connection: ServerConnection, event: Event) -> None:
    """Answers every request with the head of a stream and a token."""
    if isinstance(event, StreamEnded):
        connection.headers(event.stream_id or 0)
        connection.data(event.stream_id or 0, LINE)


async def text_of(client: OllamaClient, request: GenerateRequest) -> str:
    async with client.generate(request) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def first(chunks: AsyncIterator[Chunk]) -> str:
    return (await anext(chunks)).text


# ------------------------------------------------------------------------------- 1: RST_STREAM
async def test_1_closing_an_answer_stops_the_server_at_its_next_batch() -> None:
    async with over_simulator() as (server, client):
        async with client.generate(ENDLESS) as chunks:
            assert await first(chunks)
        await server.truth.until(lambda truth: not truth.in_slots() and not truth.running())
        assert server.truth.requests[-1].outcome is Outcome.CANCELLED
        assert server.truth.wasted_tokens() <= 2
        assert server.truth.open_connections == 1


async def test_1_cancelling_a_call_stops_the_server_too() -> None:
    async with over_simulator() as (server, client):
        task = asyncio.create_task(text_of(client, ENDLESS))
        await server.truth.until(lambda truth: any(record.first_token_at for record in truth.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.truth.until(lambda truth: not truth.in_slots() and not truth.running())
        assert server.truth.requests[-1].outcome is Outcome.CANCELLED
        assert server.truth.wasted_tokens() <= 2


# ----------------------------------------------------------------------- 2: early closes in a row
async def test_2_more_early_closes_than_the_limit_of_streams_leave_the_connection_usable() -> None:
    async with over_simulator() as (server, client):
        for _ in range(110):
            async with client.generate(ENDLESS) as chunks:
                await first(chunks)
        assert await text_of(client, GenerateRequest(model="counted", prompt="hi")) == WORDS.text
        assert server.truth.connections == 1


# -------------------------------------------------------------------------------- 3: GOAWAY
async def test_3_a_graceful_goaway_lets_what_runs_finish_and_loses_no_request_in_hand() -> None:
    async with over_simulator() as (server, client):
        server.hold("held")
        running = [asyncio.create_task(text_of(client, HELD)) for _ in range(10)]
        await server.truth.until(lambda truth: sum(each.first_token_at is not None for each in truth.requests) == 10)
        server.go_away()
        in_hand = [
            asyncio.create_task(text_of(client, GenerateRequest(model="counted", prompt="hi"))) for _ in range(10)
        ]
        assert await asyncio.gather(*in_hand) == [WORDS.text] * 10
        server.release("held")
        assert await asyncio.gather(*running) == [WORDS.text] * 10
        assert server.truth.connections == 2
        await server.truth.until(lambda truth: truth.open_connections == 1)


async def test_3_a_goaway_every_few_requests_loses_none() -> None:
    """As nginx does every `keepalive_requests`."""
    async with over_simulator(http2=Http2Settings(goaway_every=5)) as (server, client):
        asked = (text_of(client, GenerateRequest(model="counted", prompt=str(number))) for number in range(60))
        assert await asyncio.gather(*asked) == [WORDS.text] * 60
        assert len([record for record in server.truth.requests if record.outcome is Outcome.DONE]) == 60


# ------------------------------------------------------------------------------- 4: time limits
async def test_4_a_limit_of_one_stream_does_not_end_another() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(CHAT) as patient, client.chat(CHAT, phases=PhaseLimits(between_tokens=0.02)) as hurried:
            assert [await first(patient), await first(hurried)] == ["x", "x"]
            with pytest.raises(PhaseTimeout) as late:
                await first(hurried)
            assert late.value.phase is Phase.BETWEEN_TOKENS
            server.connections[0].data(1, LINE + DONE, end=True)
            assert [await first(patient), await first(patient)] == ["x", ""]
        await client.aclose()


async def test_4_a_limit_of_a_silent_stream_holds_while_another_one_streams() -> None:
    async with h2_server(streaming) as server:
        client = client_of(server)
        async with client.chat(CHAT) as running, client.chat(CHAT, phases=PhaseLimits(between_tokens=0.05)) as silent:
            assert [await first(running), await first(silent)] == ["x", "x"]
            waiting = asyncio.create_task(anext(silent))
            while not waiting.done():
                server.connections[0].data(1, LINE)
                assert await first(running) == "x"
            with pytest.raises(PhaseTimeout):
                await waiting
        await client.aclose()


# ------------------------------------------------------------------------------- 5: quiet streams
async def test_5_thirty_waiting_streams_do_not_hold_up_the_tokens_of_a_running_one() -> None:
    """Each token is sent when the one before was read: were it held until a waiter has its turn, none would come."""

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, StreamEnded) and event.stream_id == 1:
            streaming(connection, event)

    async with h2_server(script) as server, AsyncExitStack() as stack:
        client = client_of(server)
        running = await stack.enter_async_context(client.chat(CHAT))
        assert await first(running) == "x"
        waiters = [asyncio.create_task(client.chat(CHAT).__aenter__()) for _ in range(30)]
        (connection,) = server.connections
        await server.until(lambda: len(connection.streams()) == 31)
        for _ in range(100):
            connection.data(1, LINE)
            assert await first(running) == "x"
        assert not any(waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.wait(waiters)
        await client.aclose()


# ------------------------------------------------------------------- 6: beyond the limit of streams
async def test_6_calls_beyond_the_limit_of_streams_get_a_further_connection_at_once() -> None:
    async with over_simulator(http2=Http2Settings(max_streams=10)) as (server, client):
        server.hold("held")
        asked = [asyncio.create_task(text_of(client, HELD)) for _ in range(25)]
        await server.truth.until(lambda truth: sum(each.first_token_at is not None for each in truth.requests) == 25)
        assert server.truth.connections == 3
        server.release("held")
        assert await asyncio.gather(*asked) == [WORDS.text] * 25


# --------------------------------------------------------- 7: lowered limits, early answers, windows
async def test_7_a_limit_lowered_below_what_is_under_way_ends_nothing_and_is_kept_from_then_on() -> None:
    acknowledged = asyncio.Event()

    def script(connection: ServerConnection, event: Event) -> None:
        streaming(connection, event)
        if isinstance(event, SettingsAcknowledged) and SettingCodes.MAX_CONCURRENT_STREAMS in event.changed_settings:
            acknowledged.set()

    async with h2_server(script) as server, AsyncExitStack() as stack:
        client = client_of(server)
        running = [await stack.enter_async_context(client.chat(CHAT)) for _ in range(5)]
        assert [await first(chunks) for chunks in running] == ["x"] * 5
        (connection,) = server.connections
        acknowledged.clear()
        connection.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        connection.flush()
        await acknowledged.wait()
        further = await stack.enter_async_context(client.chat(CHAT))
        assert await first(further) == "x"
        assert [len(each.streams()) for each in server.connections] == [5, 1]
        for stream in (1, 3, 5, 7, 9):
            connection.data(stream, LINE + DONE, end=True)
        assert [[chunk.text async for chunk in chunks] for chunks in running] == [["x", ""]] * 5
        await stack.pop_all().aclose()
        await client.aclose()


async def test_7_an_answer_before_the_request_is_all_sent_is_delivered() -> None:
    early = Http2Settings(early_status=503)
    async with over_simulator(http2=early) as (server, client):
        prompt = "word " * 100_000  # more than the server's window takes
        with pytest.raises(ServerBusy):
            await text_of(client, GenerateRequest(model="counted", prompt=prompt))
        server.set_http2(Http2Settings())
        assert await text_of(client, GenerateRequest(model="counted", prompt="hi")) == WORDS.text
        assert server.truth.connections == 1


async def test_7_what_arrives_for_abandoned_streams_is_given_back_to_the_connections_window() -> None:
    """More bytes than the connection's window holds go to streams that nobody wants any more."""
    left_alone = b" " * 16000 + b"\n"

    def script(connection: ServerConnection, event: Event) -> None:
        streaming(connection, event)

    async with h2_server(script) as server:
        client = client_of(server)
        sent = 0
        while sent <= CONNECTION_WINDOW + 65535:
            async with client.chat(CHAT) as chunks:
                assert await first(chunks) == "x"
                (connection,) = server.connections
                stream = connection.streams()[-1]
                # On its way when the client leaves: it is never read.
                while room := min(connection.h2.local_flow_control_window(stream), len(left_alone)):
                    connection.data(stream, left_alone[-room:])
                    sent += room
            await server.until(lambda left=connection, stream=stream: stream in left.resets())
        async with client.chat(CHAT) as chunks:
            assert await first(chunks) == "x"
        assert len(server.connections) == 1
        await client.aclose()


# --------------------------------------------------------------------------------- what was refused
async def test_a_refused_stream_is_asked_for_again_and_counted_once() -> None:
    async with over_simulator() as (server, client):
        server.add_toxic(Toxic(kind=ToxicKind.REFUSE, times=2))
        assert await text_of(client, GenerateRequest(model="counted", prompt="hi")) == WORDS.text
        assert len(server.truth.strikes) == 2
        assert len(server.truth.requests) == 1


async def test_a_stream_that_is_refused_again_and_again_is_given_up_by_name() -> None:
    refused: list[int] = []

    def script(connection: ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            refused.append(event.stream_id or 0)
            connection.reset(event.stream_id or 0, ErrorCodes.REFUSED_STREAM)

    async with h2_server(script) as server:
        client = client_of(server)
        with pytest.raises(ServerUnreachable, match="refused the stream"):
            await client.version()
        assert len(refused) == 3
        await client.aclose()
