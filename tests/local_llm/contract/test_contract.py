"""What holds for every face of a local model: same text, same errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Self

import pytest
from pydantic import BaseModel, model_validator

from agents.errors import UnusableAnswer
from agents.model import Message, Question
from infrastructure.local_llm import Delta, Restarted, TextDelta, ThinkingDelta
from infrastructure.simulator import FaultKind, ModelSpec, Simulator
from infrastructure.transport.errors import ModelNotFound, StreamBroken
from tests.local_llm.contract.faces import FACES, Face
from tests.pool.servers import faulty, paced, simulator

TEXT = "one two three four five"
Open = Callable[..., AbstractAsyncContextManager[Face]]


class Pair(BaseModel):
    left: int
    right: str


class Impossible(BaseModel):
    """The schema allows what the check does not."""

    left: int

    @model_validator(mode="after")
    def _never(self) -> Self:
        raise ValueError("left is never right")


@pytest.fixture(params=FACES)
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., object]]:
    """Starts simulators and opens a model over them; all is closed in the end."""
    async with AsyncExitStack() as stack:

        async def start(model: str, *simulators: Simulator) -> Face:
            for each in simulators:
                await stack.enter_async_context(each)
            return await stack.enter_async_context(FACES[request.param](model, *simulators))

        yield start


async def test_every_way_of_asking_gives_the_same_text(opened):
    llm = await opened("words", simulator())

    assert await llm.generate("hi") == TEXT
    assert "".join([piece async for piece in llm.stream("hi")]) == TEXT
    assert (await llm.chat([{"role": "user", "content": "hi"}])).text == TEXT
    completion = await llm.answer(Question(messages=(Message("user", "hi"),)))
    assert (completion.text, completion.finish, completion.model) == (TEXT, "stop", "words")
    assert completion.prompt_tokens > 0


async def test_options_reach_the_server(opened):
    llm = await opened("endless", simulator())

    assert await llm.generate("hi", num_predict=2) == "again and"
    assert "".join([piece async for piece in llm.stream("hi", num_predict=2)]) == "again and"


async def test_options_as_one_mapping_are_refused(opened):
    llm = await opened("endless", simulator())

    with pytest.raises(TypeError, match="give options by name"):
        await llm.generate("hi", options={"num_predict": 2})
    with pytest.raises(TypeError, match="give options by name"):
        [piece async for piece in llm.stream("hi", options={"num_predict": 2})]


@pytest.mark.parametrize(
    ("name", "value", "belongs"),
    [
        ("max_tokens", 2, "num_predict"),
        ("system", "be brief", r"chat\(\)"),
        ("think", True, r"chat\(\)"),
        ("format", "json", r"structured\(\)"),
        ("stream", True, r"stream\(\)"),
        ("temprature", 0, r"options=\{…\}"),
        ("stop", {"of": 1}, "a mapping"),
    ],
)
async def test_what_is_no_option_is_refused_with_where_it_belongs(opened, name: str, value: object, belongs: str):
    server = simulator()
    llm = await opened("words", server)

    with pytest.raises(TypeError, match=f"{name}.*{belongs}"):
        await llm.generate("hi", **{name: value})
    with pytest.raises(TypeError, match=f"{name}.*{belongs}"):
        [piece async for piece in llm.stream("hi", **{name: value})]
    assert not server.truth.requests


async def test_a_model_that_is_not_there_is_an_error_with_its_hint(opened):
    llm = await opened("nowhere", simulator())

    with pytest.raises(ModelNotFound) as caught:
        await llm.generate("hi")
    assert caught.value.hint == "ollama pull nowhere"
    with pytest.raises(ModelNotFound):
        await llm.chat([{"role": "user", "content": "hi"}])
    with pytest.raises(ModelNotFound):
        [piece async for piece in llm.stream("hi")]


async def test_an_answer_that_breaks_once_is_asked_again(opened):
    llm = await opened("words", simulator([faulty(FaultKind.DROP, after_chunks=2, times=1)]))

    assert await llm.generate("hi") == TEXT


async def test_an_answer_that_breaks_twice_is_an_error_with_what_had_come(opened):
    llm = await opened("words", simulator([faulty(FaultKind.DROP, after_chunks=2, times=2)]))

    with pytest.raises(StreamBroken) as caught:
        await llm.chat([{"role": "user", "content": "hi"}])
    assert caught.value.partial.text == "one two"


async def test_whoever_watches_is_told_to_drop_the_pieces_of_a_broken_answer(opened):
    server = simulator([faulty(FaultKind.SILENT_END, after_chunks=2, times=1)])
    deltas: list[Delta] = []
    llm = (await opened("words", server)).bound(on_delta=deltas.append)

    completion = await llm.chat([{"role": "user", "content": "hi"}])

    assert completion.text == TEXT
    at = next(i for i, delta in enumerate(deltas) if isinstance(delta, Restarted))
    assert texts(deltas[:at]) == "one two"
    assert texts(deltas[at + 1 :]) == TEXT


async def test_a_stream_that_breaks_after_its_first_piece_is_an_error(opened):
    server = simulator([faulty(FaultKind.DROP, after_chunks=2, times=1)])
    llm = await opened("words", server)

    pieces: list[str] = []

    async def read() -> None:
        async for piece in llm.stream("hi"):
            pieces.append(piece)  # noqa: PERF401 - what had come before the error is wanted

    with pytest.raises(StreamBroken) as caught:
        await read()
    assert "".join(pieces) == caught.value.partial.text == "one two"
    assert len(server.truth.requests) == 1


async def test_a_stream_that_breaks_before_its_first_piece_is_asked_again(opened):
    llm = await opened("words", simulator([faulty(FaultKind.SILENT_END, times=1)]))

    assert "".join([piece async for piece in llm.stream("hi")]) == TEXT


async def test_leaving_a_stream_stops_the_server(opened):
    server = paced()
    llm = await opened("endless", server)

    async with aclosing(llm.stream("hi")) as pieces:
        async for _ in pieces:
            break
    await server.truth.until(lambda truth: not truth.in_slots())


async def test_a_structured_answer_is_a_value_of_the_type(opened):
    llm = await opened("json", simulator([ModelSpec(name="json", brain="schema")]))

    assert isinstance(await llm.structured("give me a pair", Pair), Pair)


async def test_an_unusable_structured_answer_is_asked_again_once(opened):
    server = simulator([ModelSpec(name="json", brain="schema")])
    llm = await opened("json", server)

    with pytest.raises(UnusableAnswer) as caught:
        await llm.structured("give me one", Impossible)
    assert "left is never right" in caught.value.reason
    first, second = server.truth.requests
    assert second.prompt_tokens > first.prompt_tokens


async def test_whoever_watches_is_told_to_drop_a_structured_answer_that_cannot_be_used(opened):
    deltas: list[Delta] = []
    llm = (await opened("json", simulator([ModelSpec(name="json", brain="schema")]))).bound(on_delta=deltas.append)

    with pytest.raises(UnusableAnswer):
        await llm.structured("give me one", Impossible)
    restarted = [at for at, delta in enumerate(deltas) if isinstance(delta, Restarted)]
    assert len(restarted) == 1
    assert 0 < restarted[0] < len(deltas) - 1
    assert "left is never right" in deltas[restarted[0]].reason


async def test_thinking_is_told_apart_from_text(opened):
    spec = ModelSpec(name="deep", text="<think>hmm well</think>so", template="thinking")
    deltas: list[Delta] = []
    llm = (await opened("deep", simulator([spec]))).bound(on_delta=deltas.append)

    completion = await llm.chat([{"role": "user", "content": "hi"}])

    assert "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta)) == completion.thinking != ""
    assert texts(deltas) == completion.text != ""


async def test_an_error_of_the_watcher_ends_the_call(opened):
    def broken(_: Delta) -> None:
        raise ZeroDivisionError

    server = paced()
    llm = (await opened("endless", server)).bound(on_delta=broken)

    with pytest.raises(ZeroDivisionError):
        await llm.chat([{"role": "user", "content": "hi"}])
    await server.truth.until(lambda truth: not truth.in_slots())


def texts(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
