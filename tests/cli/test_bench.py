"""`corral bench`: the advice as a table, and the command against a simulated server that takes its time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from backend.cli.measuring import Calls, Level, Scale, advise, sizes_in, windows
from infrastructure.config.settings import LaneSettings, ServerSettings
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import StreamBroken
from infrastructure.transport.messages import ChatRequest, Chunk, Final, Metrics
from tests.cli.conftest import Corral, refused, serve


def levels(*totals: float, waited: tuple[int, ...] = ()) -> list[Level]:
    """Levels 1, 2, 4, … with these totals."""
    waits = waited or (0,) * len(totals)
    return [
        Level(
            at_once=2**power, total_tokens_per_second=total, stream_tokens_per_second=total / 2**power,
            first_token_seconds=0.1, first_token_seconds_worst=0.2, waited=waits[power],
        )
        for power, total in enumerate(totals)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "at_once", "said"),
    [
        (levels(60), 1, "1 at once pays: 60 tokens/s"),
        (levels(60, 61), 1, "1 at once pays: 60 tokens/s; 2 at once change that by +2 %"),
        (levels(60, 100, 170, 180), 4, "4 at once pay: 170 tokens/s, 2.8 times one alone; 8 at once change that by +6"),
        (levels(60, 65, 120), 4, "4 at once pay: 120 tokens/s, 2.0 times one alone"),
        (
            levels(60, 100, 100, 100, waited=(0, 0, 2, 6)), 2,
            "2 at once pay: 100 tokens/s, 1.7 times one alone; the server has about 2 slots for it (OLLAMA_NUM",
        ),
        (levels(60, 100, waited=(0, 1)), 1, "1 at once pays: 60 tokens/s; the server has about 1 slot for it"),
        (levels(0, 0), 1, "1 at once pays: 0 tokens/s"),
    ],
)  # fmt: skip
def test_more_at_once_pay_while_all_together_get_faster_and_the_server_has_slots(
    measured: list[Level], at_once: int, said: str
) -> None:
    best, told = advise(measured)
    assert best == at_once
    assert told.startswith(said)


@pytest.fixture(scope="module")
def paced() -> Iterator[str]:
    """A server with two slots whose tokens take their time."""
    model = ModelSpec(name="talker", pieces=("one", " two", " three"), loop_to=0)
    yield from serve(
        SimulatorSettings(
            models=(model,), num_parallel=2, num_ctx=4096, decode_tokens_per_second=500,
            prefill_tokens_per_second=50_000, load_seconds=0.05,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def byting() -> Iterator[str]:
    """A server with a model to which every byte is a token."""
    model = ModelSpec(name="bytes", pieces=("one", " two", " three"), loop_to=0, tokenizer="bytes", context_length=8192)
    yield from serve(
        SimulatorSettings(
            models=(model,), num_parallel=2, decode_tokens_per_second=5000, prefill_tokens_per_second=500_000,
            load_seconds=0.0,
        )
    )  # fmt: skip


def test_figures_of_a_model_for_people_and_for_programs(corral: Corral, paced: str) -> None:
    corral.server = paced
    told = corral("bench", "talker", "--tokens", "100", "--most", "4", "--json").document
    assert (told["model"], told["num_ctx"]) == ("talker", 4096)
    assert [level["at_once"] for level in told["levels"]] == [1, 2, 4]
    assert told["levels"][2]["waited"] > 0
    short, long = told["prefill"]
    assert 400 < short["prompt_tokens"] < long["prompt_tokens"] < 4096
    assert short["tokens_per_second"] > 0
    assert told["decode_tokens_per_second"] > 0
    assert told["advice_at_once"] <= 2
    done = corral("bench", "talker", "--tokens", "5", "--most", "1")
    assert done.code == 0
    assert done.err.splitlines()[1:] == ["loading talker", "reading 512 tokens", "reading 2,048 tokens",
                                         "writing 5 tokens, 1 at once"]  # fmt: skip
    assert "at once  tokens/s in all" in done.out
    assert done.out.splitlines()[-1].startswith("1 at once pays: ")


@pytest.mark.parametrize(
    ("window", "scale", "tokens", "prompts", "little", "answer", "fitted"),
    [
        (4096, Scale(60, 1.0), 128, (512, 2048), 48, 128, ""),
        (4096, Scale(140, 5.5), 128, (512, 2048), 48, 128, ""),
        (1024, Scale(60, 1.0), 128, (256, 512), 48, 128, "256 and 512 tokens read instead of 512 and 2,048"),
        (512, Scale(160, 5.5), 300, (160, 256), 17, 256, "160 and 256 tokens read instead of 512 and 2,048, 256 w"),
        (256, Scale(180, 5.5), 128, (180,), 0, 76, "180 tokens read instead of 512 and 2,048, 76 written instead of"),
        (256, Scale(255, 5.5), 128, (255,), 0, 1, "255 tokens read instead of 512 and 2,048, 1 written instead of"),
    ],
)
def test_what_is_asked_fits_into_the_window(
    window: int, scale: Scale, tokens: int, prompts: tuple[int, ...], little: int, answer: int, fitted: str
) -> None:
    sizes = sizes_in(window, scale, tokens)
    assert (sizes.prompts, sizes.little, sizes.answer) == (prompts, little, answer)
    assert bool(sizes.fitted) == bool(fitted)
    assert fitted in sizes.fitted
    assert scale.tokens(sizes.little) + sizes.answer <= window


@pytest.mark.parametrize("window", [256, 512, 2048, 8192])
def test_a_model_that_counts_bytes_is_measured_in_a_small_window(
    corral: Corral, byting: str, window: int, tmp_path: Path
) -> None:
    corral.server = byting
    lanes = tmp_path / "corral.toml"
    lanes.write_text(f'[lanes.small]\nmodel = "bytes"\nnum_ctx = {window}\n')
    told = corral("bench", "small", "--tokens", "200", "--most", "2", "--json", "--config", str(lanes)).document
    assert told["num_ctx"] == window
    read = [each["prompt_tokens"] for each in told["prefill"]]
    assert read == sorted(set(read))
    assert read[-1] <= window
    said = f"the window of {window:,} tokens holds no more: " if window < 4096 else ""
    assert told["fitted"][: len(said) or None] == said
    assert [level["at_once"] for level in told["levels"]] == [1, 2]
    assert told["decode_tokens_per_second"] > 0
    if window == 256:
        assert told["fitted"] in corral("bench", "small", "--most", "1", "--tokens", "200", "--config", str(lanes)).out


async def test_a_window_is_tried_whole_though_a_word_is_many_tokens(byting: str) -> None:
    lane = LaneSettings(model="bytes", num_ctx=2048)
    async with (
        aclosing(OllamaClient(ServerSettings(url=byting))) as client,
        aclosing(windows(client, lane, 2048, tell=lambda _: None)) as tried,
    ):
        assert [size async for size in tried] == [2048]


def test_what_cannot_be_measured_is_refused_with_a_way_on(corral: Corral) -> None:
    refused(corral("bench", "embedder"), 2, "makes vectors")
    refused(corral("bench", "nosuch"), 3, "nosuch", "echo:latest")
    refused(corral("bench", "echo", "--most", "0"), 2, "--most")
    refused(corral("bench", "echo", "--tokens", "0"), 2, "--tokens")
    corral.server = "http://127.0.0.1:1"
    refused(corral("bench"), 3, "No Ollama server is available: 127.0.0.1:1: The server")


class Repeating:
    """The calls of a client whose model repeats itself at temperature 0, for which the server ends the answer."""

    def __init__(self, until: float, *, wait: float = 0.0) -> None:
        self.until = until
        self.wait = wait
        self.temperatures: list[float] = []

    @asynccontextmanager
    async def chat(self, request: ChatRequest) -> AsyncGenerator[AsyncIterator[Chunk]]:
        temperature = cast("float", request.options["temperature"])
        self.temperatures.append(temperature)
        yield self._answer(temperature)

    async def _answer(self, temperature: float) -> AsyncIterator[Chunk]:
        yield Chunk(text="one")
        if temperature < self.until:
            raise StreamBroken
        total = round((1 + self.wait) * 1e9)
        yield Chunk(final=Final("length", Metrics(total_ns=total, decode_ns=10**9, completion_tokens=10)))


@pytest.mark.parametrize(("until", "asked"), [(0.0, [0.0] * 2), (0.1, [0.0] * 2 + [0.7] * 2)])
async def test_where_a_model_repeats_itself_it_is_asked_for_more_variety(until: float, asked: list[float]) -> None:
    client = Repeating(until)
    level = await Calls(cast("OllamaClient", client), LaneSettings(model="m")).level(2, 8, 10)
    assert client.temperatures == asked
    assert level.stream_tokens_per_second == 10


async def test_an_answer_that_always_breaks_off_is_an_error() -> None:
    client = Repeating(9.0)
    with pytest.raises(ExceptionGroup) as caught:
        await Calls(cast("OllamaClient", client), LaneSettings(model="m")).level(1, 8, 10)
    assert isinstance(caught.value.exceptions[0], StreamBroken)
    assert client.temperatures == [0.0, 0.7, 1.2]


@pytest.mark.parametrize(("wait", "waited"), [(0.3, 0), (0.9, 4)])
async def test_who_waits_for_a_slot_waits_for_about_another_answer(wait: float, waited: int) -> None:
    """A second long; what is less the server merely counts nowhere, as on a GPU."""
    calls = Calls(cast("OllamaClient", Repeating(0.0, wait=wait)), LaneSettings(model="m"))
    assert (await calls.level(4, 8, 10)).waited == waited
