"""What becomes of calls when servers fail, over simulated servers by HTTP."""

from __future__ import annotations

import asyncio
import socket
from asyncio import TaskGroup

import pytest

from infrastructure.config.settings import PhaseLimits, PoolSettings, ServerSettings
from infrastructure.connection_pool import Band, Call, CallState, CallUpdate, OllamaConnectionPool, Reply
from infrastructure.pool.errors import DeadlinePassed, NoServerAvailable, QueueTimeout
from infrastructure.pool.states import Health
from infrastructure.simulator import Fault, FaultKind
from infrastructure.simulator.toxics import Toxic, ToxicKind
from infrastructure.transport.errors import (
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    Phase,
    PhaseTimeout,
    ServerBusy,
    ServerFailed,
    StreamBroken,
    UnreadableAnswer,
    WindowOverrun,
)
from tests.pool.servers import ENDLESS, ask, faulty, paced, pool_over, simulator
from tests.transport.raw_server import OK, Exchange, raw_server


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def test_all_servers_down_is_said_at_once_with_each_reason():
    servers = [ServerSettings(url=f"http://127.0.0.1:{free_port()}", name=name) for name in ("a", "b")]
    async with OllamaConnectionPool(servers) as pool:
        with pytest.raises(NoServerAvailable) as caught:
            await pool.generate(model="words", prompt="hi")

        assert set(caught.value.servers) == {"a", "b"}
        assert "ollama serve" in caught.value.hint
        assert [server.health for server in pool.snapshot().servers] == ["down", "down"]


async def test_no_server_at_all_is_said():
    async with OllamaConnectionPool() as pool:
        with pytest.raises(NoServerAvailable) as caught:
            await pool.generate(model="words", prompt="hi")
        assert "OLLAMA_HOST" in caught.value.hint


async def test_a_connection_that_breaks_while_the_pool_looks_is_no_word_about_the_server():
    server = simulator()
    async with pool_over(server) as pool:
        server.add_toxic(Toxic(kind=ToxicKind.RESET, path="/api/tags", times=1))
        assert await pool.generate(model="words", prompt="hi")


async def test_the_pool_works_as_soon_as_a_server_comes_up():
    port = free_port()
    async with OllamaConnectionPool([f"http://127.0.0.1:{port}"]) as pool:
        for _ in range(2):
            with pytest.raises(NoServerAvailable):
                await pool.generate(model="words", prompt="hi")
        async with simulator(port=port):
            assert await pool.generate(model="words", prompt="hi")


async def test_a_server_that_came_back_gets_calls_again():
    settings = PoolSettings(retry_down_seconds=0.001)
    first, second = simulator(), simulator([])
    async with pool_over(first, second, settings=settings) as pool:
        await pool.generate(model="words", prompt="hi")
        port = first.port
        await first.stop()
        with pytest.raises((NoServerAvailable, ModelNotFound)):
            await pool.generate(model="words", prompt="hi")
        async with simulator(port=port):
            assert await pool.generate(model="words", prompt="hi")


async def test_a_call_whose_server_is_gone_is_answered_by_another():
    first, second = simulator(), simulator()
    async with pool_over(first, second) as pool:
        assert (await pool.chat(model="words", messages=ask())).server == "gpu0"
        await first.stop()
        seen: list[CallUpdate] = []
        reply = await pool.chat(model="words", messages=ask(), watch=seen.append)

        assert (reply.server, reply.attempts) == ("gpu1", 2)
        assert [update.state for update in seen].count(CallState.QUEUED) == 2
        assert pool.snapshot().servers[0].health == "down"
        assert pool.snapshot().calls.moved == 1


async def test_no_call_is_lost_when_one_of_two_servers_is_killed_under_load():
    first, second = paced(slots=4), paced(slots=4)
    async with pool_over(first, second, slots=4) as pool:
        replies: list[Reply] = []
        broken: list[StreamBroken] = []

        async def one() -> None:
            try:
                replies.append(await pool.chat(model="words", messages=ask()))
            except StreamBroken as error:
                broken.append(error)

        async with TaskGroup() as group:
            for _ in range(40):
                group.create_task(one())
            await first.truth.until(lambda truth: any(record.tokens_made for record in truth.in_slots()))
            await first.stop()

        assert len(replies) + len(broken) == 40
        assert len(broken) <= 4  # only those in the middle of their answer
        assert {reply.text for reply in replies} == {"one two three four five"}
        assert all("one two three four five".startswith(error.partial.text) for error in broken)
        assert [server.in_flight for server in pool.snapshot().servers] == [0, 0]


@pytest.mark.parametrize("kind", [FaultKind.BUSY, FaultKind.ERROR, FaultKind.CRASH, FaultKind.DROP])
async def test_a_failure_before_the_first_byte_moves_the_call_once(kind: FaultKind):
    first, second = simulator([faulty(kind)]), simulator()
    async with pool_over(first, second) as pool:
        reply = await pool.chat(model="words", messages=ask())

        assert (reply.server, reply.attempts) == ("gpu1", 2)


async def test_a_slot_that_was_taken_away_does_not_count_as_the_one_failure_that_moves_a_call():
    first, second = simulator(), simulator()
    async with pool_over(first, second) as pool, TaskGroup() as group:
        first.hold("guess")
        first.hold("urgent")
        second.hold("person")
        guess = group.create_task(pool.chat(model="words", messages=ask("guess"), call=Call(band=Band.SPECULATIVE)))
        await first.truth.until(lambda truth: bool(truth.in_slots()))
        group.create_task(pool.chat(model="words", messages=ask("person")))
        await second.truth.until(lambda truth: bool(truth.in_slots()))
        group.create_task(pool.chat(model="words", messages=ask("urgent")))
        await first.truth.until(lambda truth: len(truth.requests) == 2 and bool(truth.in_slots()))
        assert pool.snapshot().calls.preempted == 1
        first.set_fault("words", Fault(kind=FaultKind.ERROR, times=1))
        first.release("guess")
        first.release("urgent")
        await first.truth.until(lambda truth: len(truth.requests) == 3)
        second.release("person")

    assert (guess.result().server, pool.snapshot().calls.moved) == ("gpu1", 1)


@pytest.mark.parametrize(
    ("kind", "error", "moved"),
    [(FaultKind.BUSY, ServerBusy, 3), (FaultKind.ERROR, ServerFailed, 1), (FaultKind.CRASH, ServerFailed, 1)],
)
async def test_a_failure_everywhere_keeps_its_own_name(kind: FaultKind, error: type[OllamaError], moved: int):
    """A busy server did nothing, so all are asked; a request that makes servers fail is kept from the third."""
    async with pool_over(simulator([faulty(kind)]), simulator([faulty(kind)]), simulator([faulty(kind)])) as pool:
        with pytest.raises(error):
            await pool.chat(model="words", messages=ask())

        assert pool.snapshot().calls.moved == moved
        assert sum(server.in_flight for server in pool.snapshot().servers) == 0


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.ERROR, FaultKind.SILENT_END, FaultKind.CRASH])
async def test_a_stream_that_breaks_in_the_middle_fails_with_what_had_come(kind: FaultKind):
    second = simulator()
    async with pool_over(simulator([faulty(kind, after_chunks=2)]), second) as pool:
        with pytest.raises(StreamBroken) as caught:
            await pool.chat(model="words", messages=ask())

        assert caught.value.partial.text == "one two"
        assert not second.truth.requests
        assert pool.snapshot().calls.failed == 1


async def test_a_server_that_says_nothing_is_given_up_after_the_limit_of_the_phase():
    limits = PhaseLimits(first_byte=0.05, between_tokens=30)
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server, settings=PoolSettings(phases=limits)) as pool:
        with pytest.raises(PhaseTimeout) as caught:
            await pool.chat(model="words", messages=ask())

        assert caught.value.phase is Phase.FIRST_BYTE
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_a_stream_that_stalls_is_given_up_after_the_limit_of_the_phase():
    limits = PhaseLimits(between_tokens=0.05)
    server = simulator([faulty(FaultKind.HANG, after_chunks=2)])
    async with pool_over(server, settings=PoolSettings(phases=limits)) as pool:
        with pytest.raises(PhaseTimeout) as caught:
            await pool.chat(model="words", messages=ask())

        assert caught.value.phase is Phase.BETWEEN_TOKENS
        assert caught.value.partial is not None
        assert caught.value.partial.text == "one two"
        await server.truth.until(lambda truth: not truth.in_slots())


async def test_a_deadline_that_passes_in_the_middle_gives_what_had_come():
    server = simulator()
    async with pool_over(server) as pool:
        await pool.chat(model="words", messages=ask())  # the pool knows the server, which has the model loaded
        server.set_fault("words", Fault(kind=FaultKind.HANG, after_chunks=2))
        with pytest.raises(DeadlinePassed) as caught:
            await pool.chat(model="words", messages=ask(), call=Call(deadline=1))

        assert caught.value.partial is not None
        assert caught.value.partial.text == "one two"


@pytest.mark.parametrize("by_deadline", [True, False])
async def test_a_stream_that_nobody_reads_ends_when_its_time_is_over(*, by_deadline: bool):
    server = paced(slots=2)
    limits = PhaseLimits() if by_deadline else PhaseLimits(total=0.5)
    async with pool_over(server, slots=2, settings=PoolSettings(phases=limits)) as pool:
        await pool.generate(model="endless", prompt="warm", options={"num_predict": 1})
        stays = pool.stream_generate(model="endless", prompt="hi") if by_deadline else None
        if stays is not None:
            await anext(stays)  # it has an hour, and the timer is the other's all the same
        call = Call(deadline=0.5) if by_deadline else Call()
        stream = pool.stream_generate(model="endless", prompt="hi", call=call)
        first = await anext(stream)
        await server.truth.until(lambda truth: len(truth.in_slots()) == (stays is not None))

        with pytest.raises(DeadlinePassed if by_deadline else PhaseTimeout) as caught:
            await anext(stream)
        assert isinstance(caught.value, DeadlinePassed) or caught.value.phase is Phase.TOTAL
        assert caught.value.partial is not None
        assert caught.value.partial.text == first.text
        assert pool.snapshot().servers[0].in_flight == (stays is not None)
        if stays is not None:
            await anext(stays)
            await stays.aclose()


async def test_a_call_whose_deadline_passes_in_the_queue_is_refused_and_leaves_it():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server) as pool:
        holder = asyncio.create_task(pool.generate(model="words", prompt="hi"))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        with pytest.raises(DeadlinePassed) as caught:
            await pool.generate(model="words", prompt="hi", call=Call(deadline=0.01))

        assert caught.value.partial is None
        assert sum(pool.snapshot().queued.values()) == 0
        holder.cancel()
        await asyncio.wait([holder])


async def test_a_call_that_waits_longer_than_the_queue_limit_is_refused():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server, settings=PoolSettings(phases=PhaseLimits(queue=1.0))) as pool:
        holder = asyncio.create_task(pool.generate(model="words", prompt="hi"))
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        with pytest.raises(QueueTimeout):
            await pool.generate(model="words", prompt="hi")
        holder.cancel()
        await asyncio.wait([holder])


async def test_waiting_calls_are_refused_at_once_when_their_last_server_dies():
    server = simulator([faulty(FaultKind.HANG)])
    async with pool_over(server) as pool:
        calls = [asyncio.create_task(pool.generate(model="words", prompt="hi")) for _ in range(5)]
        await server.truth.until(lambda truth: bool(truth.in_slots()))
        await server.stop()
        await asyncio.wait(calls)

        assert all(isinstance(call.exception(), NoServerAvailable) for call in calls)
        assert sum(pool.snapshot().queued.values()) == 0


async def test_an_answer_that_outgrew_the_window_is_an_error():
    many_tokens_a_byte = ENDLESS.model_copy(update={"tokenizer": "bytes"})
    async with pool_over(simulator([many_tokens_a_byte])) as pool:
        with pytest.raises(WindowOverrun) as caught:
            await pool.chat(model="endless", messages=ask("x" * 600), options={"num_ctx": 1024, "num_predict": -1})

        assert caught.value.window == 1024
        # The server's count is remembered, so that the same prompt is given the right bound the next time.
        reply = await pool.chat(model="endless", messages=ask("x" * 600), options={"num_ctx": 1024, "num_predict": -1})
        assert reply.metrics.prompt_tokens + reply.metrics.completion_tokens <= 1024


async def test_a_server_that_does_not_let_us_in_is_named_as_such():
    async def forbid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(forbid, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, OllamaConnectionPool([url]) as pool:
        with pytest.raises(NotAuthorized):
            await pool.generate(model="words", prompt="hi")


async def test_many_calls_at_once_share_one_look_at_each_server():
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1])
        body = b'{"models":[]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, OllamaConnectionPool([url]) as pool:
        calls = [asyncio.create_task(pool.generate(model="words", prompt="hi")) for _ in range(50)]
        await asyncio.wait(calls)

        assert all(isinstance(call.exception(), ModelNotFound) for call in calls)
        assert sorted(asked) == [b"/api/ps", b"/api/tags"]


async def test_a_server_that_will_not_say_what_it_has_loaded_gets_calls_all_the_same():
    async with simulator() as server:

        async def silent_on_ps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /api/ps"):
                await reader.read()  # until the client gives up
            else:
                there, to_there = await asyncio.open_connection("127.0.0.1", server.port)
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"), 0
                )
                to_there.write(head.replace(b"keep-alive", b"close") + await reader.readexactly(length))
                writer.write(await there.read())
                to_there.close()
            writer.close()

        proxy = await asyncio.start_server(silent_on_ps, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        async with proxy, OllamaConnectionPool([url]) as pool:
            assert await pool.generate(model="words", prompt="hi") == "one two three four five"


async def test_an_unreachable_server_does_not_hold_up_the_others():
    down = ServerSettings(url=f"http://127.0.0.1:{free_port()}", name="down")
    async with simulator() as server, OllamaConnectionPool([down, server.url]) as pool:
        reply = await pool.chat(model="words", messages=ask())

        assert reply.attempts == 1


async def test_an_answer_without_end_fails_alone_and_its_server_is_stopped_and_goes_on_with_the_next_call():
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/tags":
            await exchange.whole(b'{"models":[{"name":"words:latest"}]}')
        elif exchange.path == "/api/ps":
            await exchange.whole(b'{"models":[]}')
        elif b"for ever" in exchange.body:
            await exchange.say(OK)
            for _ in range(32):
                await exchange.chunk(b'{"message":{"content":"%s"},"done":false}\n' % (b"x" * 4096))
            await exchange.chunk(b'{"message":{"content":""},"done":true}\n')
            await exchange.client_left()
            left.set()
        else:
            await exchange.say(OK)
            await exchange.chunk(b'{"message":{"content":"well"},"done":true}\n')
            await exchange.end()

    async with raw_server(script) as server, OllamaConnectionPool([server.url]) as pool:
        endless = asyncio.create_task(pool.chat(model="words", messages=ask("for ever"), options={"num_predict": 9}))
        queued = asyncio.create_task(pool.chat(model="words", messages=ask()))
        with pytest.raises(UnreadableAnswer, match="grew beyond"):
            await endless
        await left.wait()

        assert (await queued).text == "well"
        assert pool.snapshot().servers[0].health is Health.UP
        assert pool.snapshot().servers[0].lanes[0].figures.failures == 1


@pytest.mark.parametrize(("line", "health"), [(b'{"message":7}\n', Health.UP), (b"<html>\n", Health.DOWN)])
async def test_a_first_line_in_json_that_cannot_be_read_is_no_word_about_the_server(line: bytes, health: Health):
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/chat":
            await exchange.say(OK)
            await exchange.chunk(line)
            await exchange.end()
        else:
            await exchange.whole(b'{"models":[{"name":"words:latest","model":"words:latest","size":1}]}')

    async with raw_server(script) as server, OllamaConnectionPool([server.url]) as pool:
        await pool.models()
        with pytest.raises(UnreadableAnswer):
            await pool.chat(model="words", messages=ask())
        assert pool.snapshot().servers[0].health is health
