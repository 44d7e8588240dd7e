"""A peer that is gone without a word is found by PING, and a silent model is no such peer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from h2.events import Event, PingAckReceived, PingReceived, StreamEnded

from agents.model import Message
from infrastructure.config.settings import ServerSettings
from infrastructure.simulator import Simulator, SimulatorSettings, script_models
from infrastructure.simulator.settings import Http2Settings
from infrastructure.transport import http2_liveness
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import ServerUnreachable, StreamBroken
from infrastructure.transport.http2_liveness import ANSWER_SECONDS, QUIET_SECONDS, Liveness
from infrastructure.transport.messages import ChatRequest, Chunk, GenerateRequest
from tests.transport.h2_server import ServerConnection, h2_server

LINE = b'{"message":{"content":"x"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'
ASK = ChatRequest(model="m", messages=(Message("user", "hi"),))
SOON = 0.01


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when, self.callback, self.cancelled = when, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Timers by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def pass_to(self, now: float) -> None:
        """Let time pass, timers fire in their order."""
        while due := [timer for timer in self.timers if timer.when <= now and not timer.cancelled]:
            timer = min(due, key=lambda each: each.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback()
        self.now = now


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def liveness(loop: Loop, told: list[str]) -> Liveness:
    return Liveness(loop, lambda: told.append("ping"), lambda: told.append("dead"))  # pyright: ignore[reportArgumentType]


def test_silence_is_asked_about_and_then_believed(loop: Loop, liveness: Liveness, told: list[str]) -> None:
    liveness.watch()
    loop.pass_to(100 + QUIET_SECONDS - 1)
    assert told == []
    loop.pass_to(100 + QUIET_SECONDS)
    assert told == ["ping"]
    loop.pass_to(100 + QUIET_SECONDS + ANSWER_SECONDS)
    assert told == ["ping", "dead"]
    loop.pass_to(1000)
    assert told == ["ping", "dead"]


def test_any_byte_is_an_answer(loop: Loop, liveness: Liveness, told: list[str]) -> None:
    liveness.watch()
    loop.pass_to(100 + QUIET_SECONDS + 1)
    liveness.heard()
    loop.pass_to(100 + 2 * QUIET_SECONDS)
    assert told == ["ping"]
    loop.pass_to(100 + 2 * QUIET_SECONDS + 1)
    assert told == ["ping", "ping"]


def test_a_running_stream_costs_no_ping(loop: Loop, liveness: Liveness, told: list[str]) -> None:
    liveness.watch()
    for second in range(101, 200):
        loop.pass_to(second)
        liveness.heard()
    assert told == []
    assert len(loop.timers) == 1


def test_nothing_is_watched_while_nothing_is_wanted(loop: Loop, liveness: Liveness, told: list[str]) -> None:
    liveness.watch()
    liveness.rest()
    loop.pass_to(1000)
    assert told == []
    liveness.watch()
    loop.pass_to(1000 + QUIET_SECONDS)
    assert told == ["ping"]


async def _rest(chunks: AsyncIterator[Chunk]) -> str:
    return "".join([chunk.text async for chunk in chunks])


@pytest.fixture
def asked_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is asked about at once, and an answer is waited for, however slow the machine."""
    monkeypatch.setattr(http2_liveness, "QUIET_SECONDS", SOON)


@pytest.fixture
def believed_soon(asked_soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And silence is believed at once."""
    monkeypatch.setattr(http2_liveness, "ANSWER_SECONDS", SOON)


@pytest.mark.usefixtures("asked_soon")
async def test_a_dead_peer_fails_its_streams_by_name_and_the_next_call_connects_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_liveness, "ANSWER_SECONDS", 1.0)  # the first byte has to come before it is given up
    mute = Http2Settings(answers_pings=False)
    settings = SimulatorSettings(models=script_models(), time_scale=0.01, http2_port=0, http2=mute)
    async with Simulator(settings) as server:
        server.hold("silence")
        client = OllamaClient(ServerSettings(url=server.http2_url))
        async with client.generate(GenerateRequest(model="endless", prompt="silence")) as chunks:
            seen = (await anext(chunks)).text
            with pytest.raises(StreamBroken, match="answered no PING") as broken:
                await _rest(chunks)
        assert seen
        assert broken.value.partial.text.startswith(seen)
        monkeypatch.setattr(http2_liveness, "ANSWER_SECONDS", ANSWER_SECONDS)
        server.set_http2(Http2Settings())
        server.release("silence")
        async with client.generate(GenerateRequest(model="endless", prompt="again")) as chunks:
            assert (await anext(chunks)).text
        assert server.truth.connections == 2
        await client.aclose()


@pytest.mark.usefixtures("believed_soon")
async def test_a_dead_peer_before_the_first_byte_is_unreachable() -> None:
    mute = Http2Settings(answers_pings=False)
    settings = SimulatorSettings(models=script_models(), load_seconds=3600, http2_port=0, http2=mute)
    async with Simulator(settings) as server:
        client = OllamaClient(ServerSettings(url=server.http2_url))
        with pytest.raises(ServerUnreachable, match="answered no PING"):
            async with client.generate(GenerateRequest(model="endless", prompt="hi")):
                pass
        await client.aclose()


@pytest.mark.usefixtures("asked_soon")
async def test_a_silent_model_whose_server_answers_pings_is_waited_for() -> None:
    pings = 0
    asked_thrice = asyncio.Event()

    def script(connection: ServerConnection, event: Event) -> None:
        nonlocal pings
        if isinstance(event, StreamEnded):
            connection.headers(event.stream_id or 0)
            connection.data(event.stream_id or 0, LINE)
        elif isinstance(event, PingReceived):
            pings += 1
            if pings == 3:
                asked_thrice.set()
        assert not isinstance(event, PingAckReceived)

    async with h2_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url))
        async with client.chat(ASK) as chunks:
            assert (await anext(chunks)).text == "x"
            await asked_thrice.wait()
            server.connections[0].data(1, DONE, end=True)
            assert [chunk.final is not None async for chunk in chunks] == [True]
        await client.aclose()
