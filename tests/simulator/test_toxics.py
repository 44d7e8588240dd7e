"""Toxics: each on the real socket; when bytes go by a clock that the test moves."""

import asyncio
import heapq
import random
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from infrastructure.simulator import Fault, FaultKind, ModelSpec, Outcome, Toxic, ToxicKind
from infrastructure.simulator.toxics import CONTENT, WIRE, Toxics
from infrastructure.simulator.wire import Pace, Wire
from tests.simulator.talk import HI, Sim, ask, begin_chat, chat, get, loaded, settings, text_of, words

GOOD = ModelSpec(name="m", text=words(20))
OTHER = ModelSpec(name="n", text=words(20))
CUT = (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError)
GET = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Timers:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, int, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        heapq.heappush(self.due, (when, len(self.due), callback))
        return asyncio.TimerHandle(when, callback, (), asyncio.get_running_loop())

    def run(self) -> None:
        while self.due:
            self.now, _, callback = heapq.heappop(self.due)
            callback()


class Sent:
    """What came out of a wire, and when."""

    def __init__(self, *toxics: Toxic) -> None:
        self.timers = Timers()
        self.pieces: list[tuple[float, bytes]] = []
        self.full: list[bool] = []
        self.broken: bool | None = None
        pace = Pace({toxic.kind: toxic for toxic in toxics}, random.Random(1))
        self.wire = Wire(self.timers, pace, self.break_off, self.full.append)

    def break_off(self, reset: bool) -> None:
        self.broken = reset

    def put(self, *pieces: bytes) -> "Sent":
        for piece in pieces:
            self.wire.put(piece, lambda data: self.pieces.append((round(self.timers.now, 6), data)))
        return self

    def end(self) -> "Sent":
        self.wire.end(lambda: self.pieces.append((round(self.timers.now, 6), b"end")))
        self.timers.run()
        return self


# ------------------------------------------------------------------------------------------ when bytes go


async def test_latency_shifts_everything_and_keeps_its_order():
    sent = Sent(Toxic(kind=ToxicKind.LATENCY, seconds=2)).put(b"one")
    sent.timers.now = 1.0

    assert sent.put(b"two").end().pieces == [(2.0, b"one"), (3.0, b"two"), (3.0, b"end")]


async def test_jitter_shifts_each_piece_by_another_time_and_never_past_the_one_before():
    sent = Sent(Toxic(kind=ToxicKind.JITTER, seconds=1)).put(*(b"%d" % number for number in range(9))).end()
    times = [at for at, _ in sent.pieces]

    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= 1
    assert [data for _, data in sent.pieces[:-1]] == [b"%d" % number for number in range(9)]


async def test_bandwidth_makes_bytes_take_their_time():
    sent = Sent(Toxic(kind=ToxicKind.BANDWIDTH, bytes=100)).put(b"x" * 50, b"y" * 100).end()

    assert [at for at, _ in sent.pieces] == [0.5, 1.5, 1.5]


async def test_a_slicer_cuts_and_waits_between_slices():
    sent = Sent(Toxic(kind=ToxicKind.SLICER, bytes=2, seconds=1)).put(b"abcde").end()

    assert sent.pieces == [(0.0, b"ab"), (1.0, b"cd"), (2.0, b"e"), (2.0, b"end")]


async def test_toxics_of_several_kinds_add_up():
    slicer, slow = Toxic(kind=ToxicKind.SLICER, bytes=2), Toxic(kind=ToxicKind.BANDWIDTH, bytes=2)
    sent = Sent(slicer, slow, Toxic(kind=ToxicKind.LATENCY, seconds=5)).put(b"abc").end()

    assert sent.pieces == [(6.0, b"ab"), (6.5, b"c"), (6.5, b"end")]


async def test_only_the_end_is_late_when_the_close_is_slow():
    sent = Sent(Toxic(kind=ToxicKind.SLOW_CLOSE, seconds=3)).put(b"all").end()

    assert sent.pieces == [(0.0, b"all"), (3.0, b"end")]


@pytest.mark.parametrize(("kind", "reset"), [(ToxicKind.LIMIT, False), (ToxicKind.RESET, True)])
async def test_not_a_byte_more_than_the_limit(kind: ToxicKind, reset: bool):
    sent = Sent(Toxic(kind=kind, bytes=4)).put(b"abc", b"def", b"ghi").end()

    assert [data for _, data in sent.pieces] == [b"abc", b"d"]
    assert sent.broken is reset


async def test_a_sender_pauses_while_too_much_is_under_way():
    sent = Sent(Toxic(kind=ToxicKind.BANDWIDTH, bytes=100_000)).put(b"x" * 50_000, b"x" * 50_000)
    assert sent.full == [True]

    sent.end()
    assert sent.full == [True, False]


# --------------------------------------------------------------------------------------------- whom they hit


def hits(toxics: Toxics, path: str = "/", count: int = 100) -> int:
    return sum(bool(toxics.strike(path, reused=False)) for _ in range(count))


def test_a_share_is_hit_and_the_same_one_by_the_same_seed():
    def pattern(seed: int) -> list[bool]:
        toxics = Toxics(seed)
        toxics.add(Toxic(kind=ToxicKind.BUSY, share=0.3), "some")
        return [bool(toxics.strike("/", reused=False)) for _ in range(200)]

    assert 40 <= sum(pattern(1)) <= 80
    assert pattern(1) == pattern(1) != pattern(2)


def test_so_many_are_hit_on_the_path_and_none_once_it_is_removed():
    toxics = Toxics(0)
    toxics.add(Toxic(kind=ToxicKind.BUSY, path="/api/chat", times=3), "busy")
    assert (hits(toxics, "/api/version"), hits(toxics, "/api/chat")) == (0, 3)

    toxics.add(Toxic(kind=ToxicKind.BUSY), "busy")
    assert hits(toxics) == 100
    toxics.remove("busy")
    assert hits(toxics) == 0
    with pytest.raises(LookupError):
        toxics.remove("busy")


def test_a_fault_of_a_model_has_a_share_as_well():
    async def statuses() -> list[int]:
        fault = Fault(kind=FaultKind.BUSY, share=0.5)
        async with Sim(settings(GOOD.model_copy(update={"fault": fault}), seed=3)) as sim:
            return [(await ask(sim, "/api/chat", model="m", messages=HI, stream=False))[0] for _ in range(20)]

    first, second = asyncio.run(statuses()), asyncio.run(statuses())
    assert set(first) == {200, 503}
    assert first == second


def test_every_kind_is_done_by_somebody_and_says_what_it_needs():
    decided_at_once = {ToxicKind.TIMEOUT, ToxicKind.STALE, ToxicKind.REFUSE, ToxicKind.BUSY}
    assert set(ToxicKind) - WIRE - set(CONTENT) == decided_at_once
    for kind in (ToxicKind.LATENCY, ToxicKind.BANDWIDTH):
        with pytest.raises(ValidationError, match="needs"):
            Toxic(kind=kind)


# ----------------------------------------------------------------------------------------------- on the socket


async def answer_to(sim: Sim, request: bytes = GET) -> bytes:
    """All that a new connection brings until it is closed."""
    talk = await sim.connect()
    talk.writer.write(request)
    return await talk.reader.read()


@pytest.mark.parametrize("path", ["/api/version", "/api/chat"])
@pytest.mark.parametrize("kind", [ToxicKind.LATENCY, ToxicKind.SLOW_CLOSE])
async def test_what_is_late_comes_whole(kind: ToxicKind, path: str):
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=kind, path=path, seconds=0.02))
        asked = asyncio.get_running_loop().time()
        if path == "/api/chat":
            assert text_of(await chat(sim, "m")) == words(20)
            assert asyncio.get_running_loop().time() - asked >= 0.02
        else:
            assert (await get(sim, path))["version"] == "0.32.15"


async def test_sliced_and_slow_bytes_are_the_same_bytes():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.SLICER, bytes=3))
        sim.add_toxic(Toxic(kind=ToxicKind.BANDWIDTH, bytes=1_000_000))
        sim.add_toxic(Toxic(kind=ToxicKind.JITTER, seconds=0.001))

        assert text_of(await chat(sim, "m")) == words(20)
        assert [strike.kind for strike in sim.truth.strikes] == ["slicer", "bandwidth", "jitter"]


async def test_a_stream_that_nobody_takes_from_a_slow_wire_stops_the_model():
    endless = ModelSpec(name="m", pieces=("a" * 1000, "b" * 1000), loop_to=0, tokenizer="bytes")
    async with Sim(settings(endless, time_scale=0.0)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.BANDWIDTH, bytes=100_000))
        talk = await begin_chat(sim, "m", options={"num_predict": 3000})
        await talk.line()
        await get_past(sim, "/api/ps")

        assert 50 < sim.truth.requests[0].tokens_made < 200
        talk.leave()


async def get_past(sim: Sim, path: str) -> dict:
    sim.clear_toxics()
    return await get(sim, path)


async def test_limited_data_ends_in_the_middle_in_order():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.LIMIT, bytes=40))
        assert len(await answer_to(sim)) == 40


async def test_a_reset_comes_at_once_or_after_its_bytes():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.RESET, times=1))
        with pytest.raises(ConnectionResetError):
            await answer_to(sim)

        sim.add_toxic(Toxic(kind=ToxicKind.RESET, bytes=700))
        talk = await begin_chat(sim, "m", "cut")
        with pytest.raises(CUT):
            await talk.lines()
        await sim.truth.until(lambda truth: truth.open_connections == 0)
        assert not sim.truth.running()


async def test_a_request_that_is_taken_and_never_answered_reaches_no_model():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.TIMEOUT, path="/api/chat"))
        talk = await begin_chat(sim, "m")
        await sim.truth.until(lambda truth: bool(truth.strikes))

        assert (await get(sim, "/api/version"))["version"] == "0.32.15"
        assert sim.truth.requests == []
        talk.leave()


async def test_busy_hits_any_route():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.BUSY, times=1))
        talk = await sim.connect()
        talk.writer.write(GET * 2)

        assert await talk.head() == 503
        assert "maximum pending requests" in (await talk.lines())[0]["error"]
        assert await talk.head() == 200


async def test_an_error_is_a_line_in_a_stream_and_a_status_elsewhere():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.ERROR, after_chunks=2, message="boom"))

        assert [line.get("error") for line in await chat(sim, "m")] == [None, None, "boom"]
        assert await ask(sim, "/api/show", model="m") == (500, {"error": "boom"})
        _, pulled = await ask(sim, "/api/pull", model="m")
        assert pulled == {"error": "boom"}
        assert sim.truth.requests[0].outcome is Outcome.FAILED


async def test_half_a_line_ends_in_order():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.HALF_LINE, after_chunks=1))
        talk = await begin_chat(sim, "m")
        await talk.line()
        rest = await talk.reader.readuntil(b"0\r\n\r\n")

        assert b'{"model":"m"' in rest
        assert b"}\n" not in rest
        assert sim.truth.in_slots() == []
        assert (await answer_to(sim, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b".15")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_stream_without_end_holds_its_slot_until_the_client_leaves(stream: bool):
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.ENDLESS, after_chunks=2, message="again"))
        talk = await begin_chat(sim, "m", "endless", stream=stream)
        if stream:
            lines = [await talk.line() for _ in range(6)]
            assert [line["message"]["content"] for line in lines[2:]] == ["again"] * 4
        else:
            await talk.head()
            assert (await talk.reader.readexactly(4000)).count(b" ") > 2000

        assert len(sim.truth.in_slots()) == 1
        talk.leave()
        await sim.truth.until(lambda truth: truth.request_of("endless").outcome is Outcome.CANCELLED)
        await sim.truth.until(lambda truth: not truth.in_slots())


async def test_an_answer_without_a_model_can_be_endless_too():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.ENDLESS))
        talk = await sim.connect()
        talk.writer.write(GET)
        await talk.head()
        assert b'"simulated":true' in await talk.reader.readuntil(b"}")
        await talk.reader.readexactly(3000)
        talk.leave()


async def test_a_model_that_hangs_leaves_the_rest_of_the_server_well():
    async with Sim(settings(GOOD, OTHER)) as sim:
        sim.set_fault("m", Fault(kind=FaultKind.HANG))
        talk = await begin_chat(sim, "m", "hangs")
        await sim.truth.until(lambda truth: bool(truth.in_slots("m:latest")))

        assert (await get(sim, "/api/version"))["version"] == "0.32.15"
        assert text_of(await chat(sim, "n")) == words(20)
        assert set(await loaded(sim)) == {"m:latest", "n:latest"}
        assert len(sim.truth.in_slots()) == 1
        talk.leave()


# ------------------------------------------------------------------------------------------- connections


async def test_a_stale_connection_is_closed_when_the_next_request_comes_and_a_new_one_is_served():
    async with Sim(settings(GOOD)) as sim:
        sim.add_toxic(Toxic(kind=ToxicKind.STALE, times=1))
        talk = await sim.connect()
        for _ in range(2):
            talk.writer.write(GET)
            if not talk.status:
                await talk.lines()
        assert await talk.reader.read() == b""
        assert (await get(sim, "/api/version"))["version"] == "0.32.15"


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not():
    async with Sim(settings(GOOD, idle_seconds=0.05)) as sim:
        sim.hold("hi")
        busy = await begin_chat(sim, "m")
        await busy.line()
        idle = await sim.connect()
        idle.writer.write(GET)
        await idle.lines()

        assert await idle.reader.read() == b""
        sim.release("hi")
        assert (await busy.lines())[-1]["done"] is True


async def test_a_restart_breaks_everything_off_and_comes_back_with_nothing_loaded_on_the_same_port():
    async with Sim(settings(GOOD, OTHER, num_parallel=2)) as sim:
        port = sim.port
        sim.hold("hi")
        streaming, waiting = await begin_chat(sim, "m", "streaming"), await begin_chat(sim, "n", "waiting")
        await streaming.line()
        await sim.truth.until(lambda truth: len(truth.in_slots()) == 2)
        sim.release("hi")
        await sim.go_down()
        for talk in (streaming, waiting):
            with pytest.raises(CUT):
                await talk.lines()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

        await sim.come_up()
        assert sim.port == port
        assert await loaded(sim) == []
        assert {sim.truth.request_of(name).outcome for name in ("streaming", "waiting")} == {Outcome.CANCELLED}
        assert text_of(await chat(sim, "m")) == words(20)
        await sim.restart()
        assert await loaded(sim) == []
