"""The HTTP/2 face: the same server, and what a proxy's HTTP/2 can do to its clients."""

import asyncio

import pytest
from h2.errors import ErrorCodes
from h2.events import PingAckReceived, RemoteSettingsChanged
from h2.exceptions import TooManyStreamsError

from agents.model import Message
from infrastructure.config.settings import ServerSettings
from infrastructure.simulator import Fault, FaultKind, Http2Settings, ModelSpec, Outcome, Toxic, ToxicKind
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.messages import ChatRequest
from tests.simulator.talk import Sim, chat, loaded, settings, text_of, words
from tests.simulator.talk2 import talk2

GOOD = ModelSpec(name="m", text=words(20))
ENDLESS = ModelSpec(name="endless", pieces=("a", " b"), loop_to=0, tokenizer="bytes")


def both(*models: ModelSpec, http2: Http2Settings | None = None, **more: object) -> Sim:
    return Sim(settings(*models, http2_port=0, http2=http2, **more))


async def test_one_server_is_behind_both_faces():
    async with both(GOOD) as sim, talk2(sim) as talk:
        stream = talk.chat("m", "mine")

        assert text_of(await talk.whole(stream)) == words(20)
        assert talk.status(stream) == "200"
        assert text_of(await chat(sim, "m")) == words(20)
        assert len(sim.truth.loads) == 1
        assert sim.truth.request_of("mine").outcome is Outcome.DONE
        assert await loaded(sim) == ["m:latest"]


async def test_errors_and_whole_answers_are_those_of_the_other_face():
    async with both(GOOD) as sim, talk2(sim) as talk:
        missing, shown = talk.chat("nobody"), talk.post("/api/show", {"model": "m"})

        assert await talk.whole(missing) == [{"error": "model 'nobody' not found"}]
        assert talk.status(missing) == "404"
        assert "modelfile" in (await talk.whole(shown))[0]


async def test_streams_of_one_connection_are_answered_side_by_side():
    async with both(GOOD, num_parallel=3) as sim, talk2(sim) as talk:
        sim.hold("hi")
        streams = [talk.chat("m") for _ in range(3)]
        await sim.truth.until(lambda truth: len(truth.in_slots()) == 3)
        sim.release("hi")
        for stream in streams:
            assert text_of(await talk.whole(stream)) == words(20)
        assert sim.truth.connections == 1


async def test_a_reset_frees_the_slot_of_its_stream_and_of_no_other():
    async with both(ENDLESS, num_parallel=2) as sim, talk2(sim) as talk:
        gone, stays = talk.chat("endless", "gone"), talk.chat("endless", "stays")
        await talk.until(lambda: bool(talk.data(gone) and talk.data(stays)))
        talk.reset(gone)
        await sim.truth.until(lambda truth: truth.request_of("gone").slot_freed_at is not None)

        record = sim.truth.request_of("gone")
        assert record.tokens_after_leaving <= 1
        assert [record.client_id for record in sim.truth.in_slots()] == ["stays"]


async def test_a_lost_connection_frees_the_slots_of_all_its_streams():
    async with both(ENDLESS, num_parallel=2) as sim, talk2(sim) as talk:
        streams = [talk.chat("endless") for _ in range(3)]
        await talk.until(lambda: bool(talk.data(streams[0]) and talk.data(streams[1])))
        talk.transport.abort()
        await sim.truth.until(lambda truth: len(truth.running()) == 0)
        await sim.truth.until(lambda truth: not truth.in_slots())

        assert [record.outcome for record in sim.truth.requests] == [Outcome.CANCELLED] * 3


async def test_corrals_own_client_is_served_and_frees_its_slot_when_it_leaves():
    async with both(GOOD, ENDLESS) as sim:
        client = OllamaClient(ServerSettings(url=sim.http2_url))
        async with client.chat(ChatRequest(model="m", messages=(Message("user", "hi"),))) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == words(20)
        async with client.chat(ChatRequest(model="endless", messages=(Message("user", "hi"),))) as chunks:
            await anext(chunks)
        await sim.truth.until(lambda truth: bool(truth.running()) is False and not truth.in_slots())
        await client.aclose()

        assert sim.truth.requests[-1].outcome is Outcome.CANCELLED
        assert sim.truth.requests[-1].tokens_after_leaving <= 1


async def test_streams_opened_before_the_limit_is_known_are_refused_beyond_it():
    async with both(ENDLESS, http2=Http2Settings(max_streams=1)) as sim, talk2(sim) as talk:
        first, second = talk.chat("endless"), talk.chat("endless")
        await talk.until(lambda: talk.reset_code(second) is not None)

        assert talk.reset_code(second) == ErrorCodes.REFUSED_STREAM
        await talk.until(lambda: bool(talk.data(first)))


async def test_windows_of_a_few_bytes_lose_nothing_either_way():
    async with both(GOOD, http2=Http2Settings(window=8)) as sim, talk2(sim, window=7) as talk:
        await talk.until(lambda: any(isinstance(event, RemoteSettingsChanged) for event in talk.events))
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        stream = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(
            stream, [(":method", "POST"), (":path", "/api/chat"), (":scheme", "http"), (":authority", "localhost")]
        )
        while body:
            await talk.until(lambda: talk.h2.local_flow_control_window(stream) > 0)
            size = talk.h2.local_flow_control_window(stream)
            talk.h2.send_data(stream, body[:size], end_stream=size >= len(body))
            talk.flush()
            body = body[size:]

        assert text_of(await talk.whole(stream)) == words(20)


async def test_a_client_that_gives_no_credit_stops_its_model_and_no_other():
    pieces = ("a" * 1000, "b" * 1000)
    big = ModelSpec(name="big", pieces=pieces, loop_to=0, tokenizer="bytes")
    async with both(big, GOOD, time_scale=0.0) as sim, talk2(sim, credits=False) as talk:
        stream = talk.chat("big", options={"num_predict": 5000})
        await talk.until(lambda: len(talk.data(stream)) == 65535)
        assert text_of(await chat(sim, "m")) == words(20)

        assert sim.truth.requests[0].tokens_made < 300


# ---------------------------------------------------------------------------------------- what goes wrong


async def test_a_graceful_goaway_names_the_last_stream_and_lets_it_end():
    async with both(GOOD, num_parallel=2, http2=Http2Settings(goaway_every=2)) as sim, talk2(sim) as talk:
        sim.hold("hi")
        first, second = talk.chat("m"), talk.chat("m")
        await talk.until(lambda: bool(talk.goaways))
        late = talk.chat("m", "late")
        sim.release("hi")

        assert talk.goaways == [(second, ErrorCodes.NO_ERROR)]
        assert text_of(await talk.whole(first)) == text_of(await talk.whole(second)) == words(20)
        await talk.until(lambda: talk.closed)
        assert talk.of(late) == []
        assert len(sim.truth.requests) == 2


async def test_an_abrupt_goaway_breaks_off_what_is_under_way():
    async with both(ENDLESS) as sim, talk2(sim) as talk:
        stream = talk.chat("endless", "broken")
        await talk.until(lambda: bool(talk.data(stream)))
        sim.go_away(abrupt=True)
        await talk.until(lambda: talk.closed)

        assert talk.goaways == [(stream, ErrorCodes.INTERNAL_ERROR)]
        assert not talk.ended(stream)
        await sim.truth.until(lambda truth: truth.request_of("broken").outcome is Outcome.CANCELLED)


async def test_a_goaway_without_streams_closes_the_connection():
    async with both(GOOD) as sim, talk2(sim) as talk:
        await talk.whole(talk.chat("m"))
        sim.go_away()
        await talk.until(lambda: talk.closed)
        assert talk.goaways == [(1, ErrorCodes.NO_ERROR)]


async def test_a_refused_stream_has_reached_no_model():
    async with both(GOOD) as sim, talk2(sim) as talk:
        sim.add_toxic(Toxic(kind=ToxicKind.REFUSE, times=1))
        refused = talk.chat("m")
        await talk.until(lambda: talk.reset_code(refused) is not None)

        assert talk.reset_code(refused) == ErrorCodes.REFUSED_STREAM
        assert sim.truth.requests == []
        assert text_of(await talk.whole(talk.chat("m"))) == words(20)


async def test_a_stream_is_reset_in_its_middle_and_the_connection_lives_on():
    async with both(GOOD) as sim, talk2(sim) as talk:
        sim.add_toxic(Toxic(kind=ToxicKind.RESET, bytes=500, times=1))
        cut = talk.chat("m")
        await talk.until(lambda: talk.reset_code(cut) is not None)

        assert talk.reset_code(cut) == ErrorCodes.INTERNAL_ERROR
        assert len(talk.data(cut)) == 500
        assert text_of(await talk.whole(talk.chat("m"))) == words(20)
        assert not sim.truth.running()


async def test_a_model_that_drops_takes_the_whole_connection_along():
    async with both(GOOD) as sim, talk2(sim) as talk:
        sim.set_fault("m", Fault(kind=FaultKind.DROP, after_chunks=2))
        talk.chat("m")
        await talk.until(lambda: talk.closed)


async def test_fewer_streams_are_allowed_while_it_runs():
    async with both(ENDLESS, num_parallel=3) as sim, talk2(sim) as talk:
        streams = [talk.chat("endless") for _ in range(3)]
        await talk.until(lambda: all(talk.data(stream) for stream in streams))
        before = len(talk.events)
        sim.set_http2(Http2Settings(max_streams=2))
        await talk.until(lambda: any(isinstance(event, RemoteSettingsChanged) for event in talk.events[before:]))

        with pytest.raises(TooManyStreamsError):
            talk.chat("endless")
        assert len(sim.truth.in_slots()) == 3, "those that are open go on"


async def test_an_answer_may_come_before_the_request_is_whole():
    async with both(GOOD, http2=Http2Settings(early_status=413)) as sim, talk2(sim) as talk:
        stream = talk.post("/api/chat", {"model": "m"}, end=False)
        await talk.until(lambda: talk.reset_code(stream) is not None)

        assert talk.status(stream) == "413"
        assert talk.lines(stream) == [{"error": "answered early"}]
        assert talk.reset_code(stream) == ErrorCodes.NO_ERROR
        assert sim.truth.requests == []


@pytest.mark.parametrize("answers", [True, False])
async def test_a_ping_is_answered_or_not(answers: bool):
    async with both(GOOD, http2=Http2Settings(answers_pings=answers)) as sim, talk2(sim) as talk:
        talk.h2.ping(b"are you?")
        talk.flush()
        await talk.whole(talk.chat("m"))

        assert any(isinstance(event, PingAckReceived) for event in talk.events) is answers


async def test_toxics_of_the_bytes_hit_streams_as_well():
    async with both(GOOD) as sim, talk2(sim) as talk:
        sim.add_toxic(Toxic(kind=ToxicKind.SLICER, bytes=5))
        sim.add_toxic(Toxic(kind=ToxicKind.LATENCY, seconds=0.02))
        asked = asyncio.get_running_loop().time()

        assert text_of(await talk.whole(talk.chat("m"))) == words(20)
        assert asyncio.get_running_loop().time() - asked >= 0.02


async def test_what_is_no_http2_is_hung_up_on():
    async with both(GOOD) as sim:
        port = int(sim.http2_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1" not in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_restart_keeps_both_ports():
    async with both(GOOD) as sim:
        before = sim.url, sim.http2_url
        await sim.restart()
        assert (sim.url, sim.http2_url) == before
        async with talk2(sim) as talk:
            assert text_of(await talk.whole(talk.chat("m"))) == words(20)


async def test_there_is_no_such_face_unless_it_is_asked_for():
    async with Sim(settings(GOOD)) as sim:
        with pytest.raises(RuntimeError, match="HTTP/2"):
            _ = sim.http2_url
