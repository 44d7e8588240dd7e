"""Streams over a real socket: framing, ends of every kind, time limits, leaving early."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import orjson
import pytest

from agents.model import Message
from infrastructure.config.settings import PhaseLimits, ServerSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import (
    ClientClosed,
    OllamaError,
    Phase,
    PhaseTimeout,
    ServerBusy,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
    may_move,
)
from infrastructure.transport.messages import ChatRequest, Chunk
from tests.transport.raw_server import OK, Exchange, RawServer, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ASK = ChatRequest(model="m", messages=(Message("user", "hi"),))
DONE = orjson.dumps({"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}) + b"\n"


def line(text: str) -> bytes:
    return orjson.dumps({"message": {"role": "assistant", "content": text}, "done": False}) + b"\n"


def client_of(server: RawServer, **limits: float) -> OllamaClient:
    return OllamaClient(ServerSettings(url=server.url, name="raw"), limits=PhaseLimits(**limits), line_bytes=1 << 20)


async def read(client: OllamaClient) -> list[Chunk]:
    async with client.chat(ASK) as chunks:
        return [chunk async for chunk in chunks]


async def text_of(client: OllamaClient) -> str:
    return "".join(chunk.text for chunk in await read(client))


async def test_tokens_with_exotic_line_ends_arrive_whole() -> None:
    tokens = ["a\x85b", "c\u2028d\u2029", "\x0b\x0c\x1c\x1e", "\r", "\N{PILE OF POO}"]

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        for token in tokens:
            await exchange.chunk(b'{"message":{"content":"' + token.encode().replace(b"\r", b"\\r") + b'"}}\n')
        await exchange.chunk(DONE)
        await exchange.end()

    # The raw control characters are no legal JSON; the server escapes them, U+0085 and U+2028 it may not.
    tokens = [token for token in tokens if not any(ord(c) < 32 and c != "\r" for c in token)]
    async with raw_server(script) as server:
        client = client_of(server)
        assert [chunk.text for chunk in await read(client)][:-1] == tokens
        await client.aclose()


async def test_a_line_split_at_every_byte_is_one_line() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        stream = line("h\N{SNOWMAN}\x85i") + DONE
        for at in range(len(stream)):
            await exchange.chunk(stream[at : at + 1])
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "h\N{SNOWMAN}\x85i"
        await client.aclose()


async def test_lines_merged_into_one_segment_are_all_there() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK + b"%x\r\n" % 0x10000)
        stream = (line("x") * 2000 + DONE)[:-1]
        await exchange.say(stream[:0x10000] + b"\r\n")
        await exchange.chunk(stream[0x10000:] + b"\n")
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "x" * 2000
        await client.aclose()


async def test_a_line_longer_than_any_buffer_arrives() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("y" * 500_000))
        await exchange.chunk(DONE)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        assert len(await text_of(client)) == 500_000
        await client.aclose()


async def test_a_line_over_the_limit_is_refused_and_the_server_stopped() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        for _ in range(17):
            await exchange.chunk(b"z" * 65536)
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)
        with pytest.raises(UnreadableAnswer, match="longer than the limit"):
            await read(client)
        await left.wait()
        await client.aclose()


async def test_the_last_line_needs_no_newline() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a") + DONE.rstrip())
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "a"
        await client.aclose()


async def _ends(exchange: Exchange) -> None:
    await exchange.end()


async def _closes(exchange: Exchange) -> None:
    exchange.close()


async def _resets(exchange: Exchange) -> None:
    exchange.reset()


async def _tears(exchange: Exchange) -> None:
    await exchange.chunk(line("never whole")[:20])
    await exchange.end()


async def _complains(exchange: Exchange) -> None:
    await exchange.chunk(b'{"error":"{\\"error\\":{\\"message\\":\\"unexpected EOF\\"}}"}\n')
    await exchange.end()


@pytest.mark.parametrize("finish", [_ends, _closes, _resets, _tears, _complains])
async def test_a_stream_that_ends_without_done_is_broken_and_keeps_what_came(finish: object) -> None:
    seen = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(b'{"message":{"thinking":"hmm"}}\n' + line("half"))
        await seen.wait()
        await finish(exchange)  # type: ignore[operator]

    async with raw_server(script) as server:
        client = client_of(server)
        got: list[str] = []

        async def follow() -> None:
            async with client.chat(ASK) as chunks:
                async for chunk in chunks:
                    got.append(chunk.text)
                    if chunk.text:
                        seen.set()

        with pytest.raises(StreamBroken) as broken:
            await follow()
        assert broken.value.partial.text == "half"
        assert broken.value.partial.thinking == "hmm"
        assert broken.value.message
        assert broken.value.server == "raw"
        assert not may_move(broken.value)
        assert got == ["", "half"]
        if finish is _complains:
            assert broken.value.message == "unexpected EOF"
        assert str(broken.value).endswith(", after 7 characters")
        await client.aclose()


@pytest.mark.parametrize(
    ("finish", "words"),
    [
        (_ends, ("repeats itself", "crashed", "journalctl -u ollama")),
        (_complains, ("runner failed", "memory", "docker logs")),
        (_closes, ("stopped", "crashed", "its log")),
    ],
)
async def test_whoever_sees_a_stream_break_is_told_what_probably_happened_and_where_to_look(
    finish: object, words: tuple[str, ...]
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await finish(exchange)  # type: ignore[operator]

    async with raw_server(script) as server:
        client = client_of(server)
        with pytest.raises(StreamBroken) as broken:
            await read(client)
        assert all(word in broken.value.hint for word in words)
        assert "ask again" in broken.value.hint
        assert "characters" not in str(broken.value)
        await client.aclose()


def _calls(text: str) -> bytes:
    call = {"function": {"name": "f", "arguments": {"text": text}}}
    return orjson.dumps({"message": {"content": "", "tool_calls": [call]}, "done": False}) + b"\n"


def _thoughts(text: str) -> bytes:
    return orjson.dumps({"message": {"content": "", "thinking": text}, "done": False}) + b"\n"


@pytest.mark.parametrize("say", [line, _thoughts, _calls])
@pytest.mark.parametrize(("num_predict", "most"), [(5, 64 << 10), (8192, 128 << 10)])
async def test_an_answer_longer_than_its_tokens_can_be_is_refused_and_the_server_stopped(
    say: Callable[[str], bytes], num_predict: int, most: int
) -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        for _ in range(64):
            await exchange.chunk(say("x" * 4096))
        await exchange.chunk(DONE)
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)
        ask, came = replace(ASK, options={"num_predict": num_predict}), 0

        async def follow() -> None:
            nonlocal came
            async with client.chat(ask) as chunks:
                async for _ in chunks:
                    came += 4096

        with pytest.raises(UnreadableAnswer, match=f"grew beyond {most:,} characters") as refused:
            await follow()
        assert most - 4096 <= came <= most
        assert "num_predict" in refused.value.hint
        await left.wait()
        await client.aclose()


async def test_a_final_line_counts_what_is_below_zero_as_left_out() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(
            b'{"done":true,"total_duration":-5,"load_duration":-1e300,"prompt_eval_count":-7,"eval_count":-1}\n'
        )
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        (chunk,) = await read(client)
        assert chunk.final is not None
        metrics = chunk.final.metrics
        assert (metrics.total_ns, metrics.load_ns, metrics.prompt_tokens, metrics.completion_tokens) == (0, 0, 0, 0)
        await client.aclose()


@pytest.mark.parametrize(
    "data",
    [
        b"<html>hello</html>\n",
        b"[1]\n",
        b'{"message":"text"}\n',
        b'{"message":{"content":7}}\n',
        b'{"done":true,"eval_count":"many"}\n',
        b'{"done":true,"eval_count":true}\n',
        b'{"done":true,"eval_count":2147483648}\n',
        b'{"done":true,"prompt_eval_count":1e30}\n',
        b'{"done":true,"eval_count":123456789012345678901234567890}\n',
        b'{"done":true,"eval_duration":9223372036854775808}\n',
        b'{"done":true,"eval_duration":1e400}\n',
        b'{"message":{"tool_calls":[{"function":{}}]}}\n',
        b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":[1]}}]}}\n',
    ],
)
async def test_what_no_ollama_says_is_unreadable(data: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(data)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        with pytest.raises(UnreadableAnswer):
            await read(client)
        await client.aclose()


async def test_lines_that_leave_out_everything_are_tolerated() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(b'{}\n{"message":null}\n{"message":{"content":null,"tool_calls":null}}\n{"done":true}\n')
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        chunks = await read(client)
        assert [chunk.text for chunk in chunks] == [""] * 4
        assert chunks[-1].final is not None
        assert chunks[-1].final.metrics.total_ns == 0
        await client.aclose()


async def test_leaving_early_closes_the_connection() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a"))
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)
        async with client.chat(ASK) as chunks:
            assert (await anext(aiter(chunks))).text == "a"
        await left.wait()
        await client.aclose()


@pytest.mark.parametrize("at", ["before the first byte", "between tokens"])
async def test_cancelling_closes_the_connection(at: str) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if at == "between tokens":
            await exchange.say(OK)
            await exchange.chunk(line("a"))
        reached.set()
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)
        task = asyncio.ensure_future(read(client))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await left.wait()
        await client.aclose()


async def test_cancelling_twice_still_closes_the_connection() -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a"))
        await exchange.client_left()
        left.set()

    async def follow(client: OllamaClient) -> None:
        async with client.chat(ASK) as chunks:
            await anext(aiter(chunks))
            reached.set()
            await left.wait()

    async with raw_server(script) as server:
        client = client_of(server)
        task = asyncio.ensure_future(follow(client))
        await reached.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        await left.wait()
        await client.aclose()


async def test_an_answer_read_to_its_end_leaves_the_connection_for_the_next() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a") + DONE)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        for _ in range(3):
            assert await text_of(client) == "a"
        assert server.connections == 1
        await client.aclose()


async def test_an_answer_that_is_done_but_never_ends_is_finished_and_its_connection_closed() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a") + DONE + line("after the end"))
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "a"
        await left.wait()
        await client.aclose()


async def test_a_whole_answer_over_its_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.transport.client.ANSWER_BYTES", 10)

    async def script(exchange: Exchange) -> None:
        await exchange.whole(b'{"version":"0.32.15"}')

    async with raw_server(script) as server:
        client = client_of(server)
        with pytest.raises(UnreadableAnswer, match="longer than 10 bytes"):
            await client.version()
        await client.aclose()


async def test_a_kept_connection_that_dies_is_replaced_once_without_a_word() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:  # the second request on the first connection: the server was about to close it
            exchange.reset()
            return
        await exchange.say(OK)
        await exchange.chunk(line("a") + DONE)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        assert await text_of(client) == "a"
        assert await text_of(client) == "a"
        assert len(server.requests) == 3
        assert server.connections == 2
        await client.aclose()


async def test_a_new_connection_that_dies_is_an_error_and_not_tried_again() -> None:
    async def script(exchange: Exchange) -> None:
        exchange.close()

    async with raw_server(script) as server:
        client = client_of(server)
        with pytest.raises(ServerUnreachable) as error:
            await read(client)
        assert may_move(error.value)
        assert len(server.requests) == 1
        await client.aclose()


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.end()

    async with raw_server(script) as server:
        gone = client_of(server)
    with pytest.raises(ServerUnreachable) as error:
        await gone.version()
    assert error.value.server == "raw"
    assert "ollama serve" in error.value.hint
    await gone.aclose()


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    client = OllamaClient(ServerSettings(url="http://no-such-host.invalid:1"))
    with pytest.raises(ServerUnreachable):
        await client.version()
    await client.aclose()


async def test_a_silent_server_ends_the_first_byte_phase_and_only_its_own_call() -> None:
    other = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.json["model"] == "slow":
            await exchange.client_left()
            other.set()
            return
        await other.wait()
        await exchange.say(OK)
        await exchange.chunk(line("patient") + DONE)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        patient = asyncio.ensure_future(text_of(client))
        with pytest.raises(PhaseTimeout) as error:
            async with client.chat(
                ChatRequest(model="slow", messages=ASK.messages), phases=PhaseLimits(first_byte=0.05)
            ):
                pass
        assert error.value.phase is Phase.FIRST_BYTE
        assert not may_move(error.value)
        assert await patient == "patient"
        await client.aclose()


@pytest.mark.parametrize(
    ("limits", "phase"),
    [({"between_tokens": 0.05}, Phase.BETWEEN_TOKENS), ({"total": 0.05}, Phase.TOTAL)],
)
async def test_silence_between_tokens_ends_the_call_and_stops_the_server(
    limits: dict[str, float], phase: Phase
) -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a"))
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server, **limits)
        with pytest.raises(PhaseTimeout) as error:
            await read(client)
        assert error.value.phase is phase
        await left.wait()
        await client.aclose()


async def test_the_total_ends_an_answer_whose_reader_is_slower_than_the_server() -> None:
    said, left = asyncio.Condition(), asyncio.Event()
    lines = 0

    async def script(exchange: Exchange) -> None:
        nonlocal lines
        await exchange.say(OK)
        gone = asyncio.ensure_future(exchange.client_left())
        while not gone.done():
            await exchange.chunk(line("a"))
            async with said:
                lines += 1
                said.notify_all()
            await asyncio.wait([gone], timeout=0.005)
        left.set()

    async def read_slowly(client: OllamaClient) -> None:
        async with client.chat(ASK) as answer, said:
            async for _ in answer:
                seen = lines
                await said.wait_for(lambda seen=seen: lines > seen + 1)  # so that there is always something to read

    async with raw_server(script) as server:
        client = client_of(server, total=0.1)
        with pytest.raises(PhaseTimeout) as error:
            await read_slowly(client)
        assert error.value.phase is Phase.TOTAL
        assert error.value.partial is not None
        await left.wait()
        await client.aclose()


async def test_the_total_counts_before_the_first_byte_too() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.client_left()

    async with raw_server(script) as server:
        client = client_of(server, total=0.05)
        with pytest.raises(PhaseTimeout) as error:
            await read(client)
        assert error.value.phase is Phase.TOTAL
        await client.aclose()


async def test_phases_are_told_in_their_order() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a") + DONE)
        await exchange.end()

    async with raw_server(script) as server:
        client = client_of(server)
        phases: list[Phase] = []
        async with client.chat(ASK, on_phase=phases.append) as chunks:
            assert phases == [Phase.CONNECT, Phase.FIRST_BYTE, Phase.BETWEEN_TOKENS]
            async for _ in chunks:
                pass
        assert len(phases) == 3
        await client.aclose()


async def test_a_refusal_is_raised_on_entering_with_its_connection_kept() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(b'{"error":"server busy, please try again."}', b"503 Service Unavailable")

    async with raw_server(script) as server:
        client = client_of(server)
        for _ in range(2):
            with pytest.raises(ServerBusy):
                await read(client)
        assert server.connections == 1
        await client.aclose()


async def test_a_refusal_whose_body_never_ends_is_still_a_refusal() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf")
        await exchange.client_left()

    async with raw_server(script) as server:
        client = client_of(server, between_tokens=0.05)
        with pytest.raises(ServerBusy):
            await read(client)
        await client.aclose()


async def test_closing_the_client_ends_its_calls_and_is_safe_to_repeat() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("a"))
        await exchange.client_left()
        left.set()

    async with raw_server(script) as server:
        client = client_of(server)

        async def rest(chunks: AsyncIterator[Chunk]) -> None:
            async for _ in chunks:
                pass

        async with client.chat(ASK) as chunks:
            await anext(aiter(chunks))
            await client.aclose()
            with pytest.raises(OllamaError):
                await rest(chunks)
        await left.wait()
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.version()


async def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def script(exchange: Exchange) -> None:
        await exchange.whole(b'{"version":"0.32.15"}')

    async with raw_server(script) as server:
        client = client_of(server)
        assert await client.version() == "0.32.15"
        assert server.requests[0].path == "/api/version"
        await client.aclose()


async def test_other_machines_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(b'{"version":"0.32.15"}')

    async with raw_server(script) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        client = OllamaClient(ServerSettings(url="http://gpu2.invalid:11434"))
        assert await client.version() == "0.32.15"
        assert proxy.requests[0].path == "http://gpu2.invalid:11434/api/version"
        await client.aclose()


@pytest.mark.parametrize("transport", ["own", "httpx"])
async def test_an_answer_that_another_task_closes_tells_its_reader_at_once(transport: Literal["own", "httpx"]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(OK)
        await exchange.chunk(line("x"))
        await exchange.client_left()

    async with raw_server(script) as server:
        client = OllamaClient(ServerSettings(url=server.url, transport=transport))
        call = client.chat(ASK)
        chunks = await call.__aenter__()
        assert (await anext(chunks)).text == "x"
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        await call.__aexit__(None, None, None)
        with pytest.raises(StreamBroken) as broken:
            await reading
        assert broken.value.partial.text == "x"
        await client.aclose()
