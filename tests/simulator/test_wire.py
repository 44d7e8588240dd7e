"""The bare wire: what no client library shows."""

import asyncio
import json
import os
import signal

import pytest

from infrastructure.simulator import ModelSpec, Outcome, Simulator, SimulatorSettings, run_simulator
from tests.simulator.talk import HI, Sim, begin_chat, chat, settings, words

MODEL = ModelSpec(name="m", text=words(5))


async def exchange(sim: Sim, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes; return what comes until the server has closed, or has been silent after an answer."""
    talk = await sim.connect()
    talk.writer.write(data)
    if end:
        talk.writer.write_eof()
        return await talk.reader.read()
    return await talk.reader.readuntil(b"\r\n\r\n")


async def test_two_requests_on_one_connection_are_answered_in_order():
    async with Sim(settings(MODEL)) as sim:
        one = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        two = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
        received = await exchange(sim, one + two, end=True)

        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.index(b'"simulated":true') < received.index(b'"cloud"')


async def test_a_connection_stays_open_for_the_next_request():
    async with Sim(settings(MODEL)) as sim:
        talk = await begin_chat(sim, "m")
        await talk.lines()
        talk.status, talk.headers = 0, {}
        body = json.dumps({"model": "m", "messages": HI, "stream": False}).encode()
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        talk.writer.write(head + body)

        assert (await talk.lines())[0]["done"] is True
        assert sim.truth.connections == 1


@pytest.mark.parametrize(
    ("request_", "start"),
    [
        (b"BAD\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close"),
        (b"GET /api/version HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request: missing required Host header\r\n"),
        (b"GET /api/version HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n"),
        (b"GET /api/../api/tags?q=1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"HTTP/1.1 307 Temporary Redirect\r\n"),
        (b"DELETE /api/tags/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
        (b"GET /api/tags HTTP/1.1\r\nHost: a.local\r\nOrigin: null\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n"),
        (b"GET /api/tags HTTP/1.1\r\nHost: 8.8.8.8\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n"),
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 501 Not Implemented\r\n"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
    ],
)
async def test_odd_requests(request_: bytes, start: bytes):
    async with Sim(settings(MODEL)) as sim:
        assert (await exchange(sim, request_)).startswith(start)


@pytest.mark.parametrize("deep", [300, 100_000])
async def test_what_is_nested_too_deep_is_refused_and_the_connection_stays(deep: int):
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false,"format":%s}'
    body %= b"[" * deep + b"]" * deep
    async with Sim(settings(MODEL)) as sim:
        talk = await sim.connect()
        talk.writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        talk.writer.write(body + b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await talk.head() in (400, 500)
        assert "error" in (await talk.lines())[0]
        assert await talk.head() == 200


async def test_a_client_that_waits_is_told_to_go_on():
    async with Sim(settings(MODEL)) as sim:
        head = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"

        assert await exchange(sim, head) == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_half_closed_connection_cancels_its_request_and_gets_nothing():
    slow = MODEL.model_copy(update={"load_seconds": 600.0})
    async with Sim(settings(slow)) as sim:
        talk = await begin_chat(sim, "m", "half")
        await sim.truth.until(lambda truth: bool(truth.running()))
        talk.writer.write_eof()
        await sim.truth.until(lambda truth: truth.request_of("half").outcome is Outcome.CANCELLED)

        assert sim.truth.open_connections == 1
        assert not talk.reader.at_eof()


async def test_each_token_is_an_http_chunk_of_its_own():
    async with Sim(settings(MODEL)) as sim:
        talk = await begin_chat(sim, "m")
        await talk.head()
        lines = await talk.lines()

        assert talk.headers["transfer-encoding"] == "chunked"
        assert len(lines) == 6
        assert "date" in talk.headers


async def test_the_same_settings_give_the_same_bytes_but_for_times():
    async def run() -> list[dict]:
        async with Sim(settings(ModelSpec(name="m", brain="random"), seed=5)) as sim:
            lines = await chat(sim, "m")
            return [line["message"] for line in lines]

    assert await run() == await run()


async def test_a_stopped_simulator_can_be_stopped_again_and_says_that_it_is_not_running():
    simulator = Simulator(SimulatorSettings())
    with pytest.raises(RuntimeError, match="not started"):
        _ = simulator.truth
    async with simulator:
        assert simulator.url.startswith("http://127.0.0.1:")
    await simulator.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.port


async def test_an_address_in_use_is_an_error():
    async with Sim(settings(MODEL)) as sim:
        with pytest.raises(OSError, match="address"):
            await Simulator(settings(MODEL, port=sim.port)).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run_simulator_ends_on_a_signal(number: signal.Signals):
    started: asyncio.Future[Simulator] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_simulator(settings(MODEL), ready=started.set_result))
    simulator = await started
    os.kill(os.getpid(), number)
    await task

    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.port
