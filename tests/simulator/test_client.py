"""The real `ollama` client from PyPI, talking to the simulator."""

import ollama
import pytest

from infrastructure.simulator import ModelSpec, default_models, script_models
from tests.simulator.talk import HI, Sim, settings

MODELS = (*script_models(), *default_models()[:4], ModelSpec(name="vectors", brain="embedder", pooling=True))


@pytest.fixture
async def sim():
    async with Sim(settings(*MODELS, known_to_registry=("new-model",), pull_seconds=0.01)) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Sim):
    async with ollama.AsyncClient(host=sim.url) as client:
        yield client


async def test_chat_gives_the_whole_answer(client: ollama.AsyncClient):
    answer = await client.chat("words", HI)

    assert answer.message.content.startswith("alpha bravo")
    assert answer.message.content.endswith("yankee zulu")
    assert (answer.done_reason, answer.prompt_eval_count, answer.eval_count) == ("stop", 21, 27)


async def test_stream_gives_one_piece_a_token(client: ollama.AsyncClient):
    parts = [part async for part in await client.chat("words", HI, stream=True)]

    assert [part.message.content for part in parts[:3]] == ["alpha", " bravo", " charlie"]
    assert [part.done for part in parts] == [False] * 26 + [True]


async def test_generate(client: ollama.AsyncClient):
    answer = await client.generate("words", "hi", options={"num_predict": 2})

    assert (answer.response, answer.done_reason) == ("alpha bravo", "length")
    assert answer.context[-2:] == [257, 258]


async def test_tool_calls_arrive_parsed(client: ollama.AsyncClient):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    rendered = await client.chat("tool", HI, tools=[tool])
    native = await client.chat("native-tool", HI, tools=[tool])

    for answer in (rendered, native):
        assert answer.message.tool_calls[0].function.name == "get_weather"
        assert answer.message.tool_calls[0].function.arguments == {"city": "Paris"}


async def test_thinking_is_apart_from_the_answer(client: ollama.AsyncClient):
    answer = await client.chat("thinking", HI, think=True)

    assert (answer.message.thinking, answer.message.content) == ("let me see", "the answer is 42")


async def test_embed_gives_vectors_of_length_one_in_order(client: ollama.AsyncClient):
    answer = await client.embed("vectors", ["one text", "another text", "one text"])

    assert answer.embeddings[0] == answer.embeddings[2] != answer.embeddings[1]
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-5 for vector in answer.embeddings)


async def test_list_show_and_ps(client: ollama.AsyncClient):
    await client.chat("words", HI)
    listed = await client.list()
    shown = await client.show("words")
    running = await client.ps()

    assert {model.model for model in listed.models} >= {"words:latest", "oracle:latest", "embedder:latest"}
    assert shown.modelinfo["llama.context_length"] == 32768
    assert shown.capabilities == ["completion", "tools"]
    assert [(model.name, model.context_length) for model in running.models] == [("words:latest", 4096)]


async def test_what_a_person_sees_says_simulated(client: ollama.AsyncClient):
    shown = await client.show("oracle")
    unknown = await client.chat("oracle", HI)

    assert shown.details.family == "simulated"
    assert shown.modelinfo["simulated.context_length"] == 32768
    assert "simulated" in unknown.message.content


async def test_pull_of_a_known_model_goes_on_to_success_and_the_model_is_there(client: ollama.AsyncClient):
    parts = [part async for part in await client.pull("new-model", stream=True)]
    answer = await client.chat("new-model", HI)

    assert parts[0].status == "pulling manifest"
    assert parts[-1].status == "success"
    assert [part.completed for part in parts if part.digest] == [None, *(250_000_000 * n for n in range(1, 5))]
    assert answer.message.content == "hi"


async def test_pull_of_an_unknown_model_fails_in_the_stream(client: ollama.AsyncClient):
    with pytest.raises(ollama.ResponseError, match="pull model manifest"):
        async for _ in await client.pull("nobody-has-this", stream=True):
            pass
    with pytest.raises(ollama.ResponseError) as caught:
        await client.pull("nobody-has-this")
    assert caught.value.status_code == 500


async def test_errors_have_status_and_text(client: ollama.AsyncClient):
    with pytest.raises(ollama.ResponseError) as caught:
        await client.chat("nobody", HI)
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nobody' not found")
