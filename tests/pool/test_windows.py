"""Windows that nobody has set, and what is asked for again in a larger one."""

from __future__ import annotations

import pytest

from agents.model import Options
from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.local_llm import AsyncLocalLLM, Delta, Restarted, TextDelta
from infrastructure.pool.attempts import Attempts
from infrastructure.pool.calls import Reply
from infrastructure.pool.errors import Preempted
from infrastructure.pool.lanes import LaneBook
from infrastructure.pool.windows import LARGEST_ASKED, Outgrown, wider_window
from infrastructure.transport.errors import (
    ContextExceeded,
    OllamaError,
    Partial,
    ServerFailed,
    StreamBroken,
    WindowOverrun,
)
from infrastructure.transport.messages import Metrics
from tests.pool.servers import ENDLESS, WORDS, ask, pool_over, simulator

LONG = ask("word " * 6000)
"""More than the 4,096 tokens of the simulator's own window, as of many real servers."""


@pytest.mark.parametrize(
    ("prompt", "answer", "window", "trained", "asked"),
    [
        (5000, 2000, 4096, None, 8192),
        (5000, 8192, 4096, None, 16384),
        (3500, 8192, 4096, 131072, 16384),
        (15000, 8192, 4096, None, 32768),
        (30000, 8192, 4096, None, 32768),
        (40000, 100, 4096, None, None),
        (5000, 2000, 4096, 6000, 6000),
        (7000, 2000, 4096, 6000, None),
        (5000, 100000, 32768, None, None),
        (None, 2000, None, None, 32768),
        (None, 2000, None, 16384, 16384),
        (None, 2000, 32768, None, None),
    ],
)
def test_a_window_that_was_too_small_is_doubled_until_prompt_and_answer_fit_if_they_ever_can(
    prompt: int | None, answer: int, window: int | None, trained: int | None, asked: int | None
):
    outgrown = Outgrown(prompt_tokens=prompt, answer_tokens=answer, window=window)
    assert wider_window(outgrown, trained) == asked


def test_a_wider_window_holds_for_all_lanes_of_the_model_that_set_none():
    book = LaneBook({"small": LaneSettings(model="qwen", num_ctx=2048), "free": LaneSettings(model="Other:latest")})
    assert book.widen("other", 8192)
    assert not book.widen("other:latest", 4096)
    assert [book.settings(name).num_ctx for name in ("free", "other", "small", "else")] == [8192, 8192, 2048, None]
    assert book.configured("free").num_ctx is None


# ------------------------------------------------------------------------------------------ attempts
class Widening:
    """A model that can be given a larger window, or cannot."""

    def __init__(self, *, can: bool) -> None:
        self.can = can
        self.asked: list[Outgrown] = []

    async def __call__(self, outgrown: Outgrown) -> bool:
        self.asked.append(outgrown)
        return self.can


async def test_a_prompt_that_does_not_fit_is_asked_once_more_only_in_a_larger_window():
    widen = Widening(can=True)
    attempts = Attempts({"num_predict": 500}, widen)
    assert await attempts.worth_another(ContextExceeded(5000, 4096))
    assert not await attempts.worth_another(ContextExceeded(5000, 4096))
    assert widen.asked == [Outgrown(prompt_tokens=5000, answer_tokens=500, window=4096)]
    assert not await Attempts({}, Widening(can=False)).worth_another(ContextExceeded())


async def test_a_window_that_the_call_itself_sets_is_never_widened():
    widen = Widening(can=True)
    attempts = Attempts({"num_ctx": 1024, "num_predict": 500}, widen)
    assert not await attempts.worth_another(ContextExceeded(5000, 1024))
    assert not await attempts.cut_short(reply("length", 600, 424))
    assert await attempts.worth_another(WindowOverrun(600, 500, 1024))
    assert not widen.asked


@pytest.mark.parametrize("error", [StreamBroken(), WindowOverrun(3900, 600, 4096)])
async def test_an_answer_that_broke_or_overran_is_asked_for_once_more_and_not_twice(error: OllamaError):
    attempts = Attempts({}, Widening(can=False))
    assert await attempts.worth_another(error)
    assert not await attempts.worth_another(error)
    assert error.hint.startswith("asked 2 times; ")


async def test_an_answer_that_gave_way_may_be_asked_for_any_number_of_times_and_any_other_error_is_final():
    attempts = Attempts({}, Widening(can=True))
    for _ in range(5):
        assert await attempts.worth_another(Preempted(Partial()))
    assert not await attempts.worth_another(ServerFailed(500))


@pytest.mark.parametrize(
    ("options", "finish", "completion", "again"),
    [
        ({"num_predict": 2000}, "length", 500, True),
        ({"num_predict": 500}, "length", 500, False),
        ({"num_predict": 2000}, "stop", 500, False),
        ({"num_predict": 2000}, "length", 0, False),
        ({"num_predict": -1}, "length", 500, False),
        ({}, "length", 500, False),
    ],
)
async def test_an_answer_that_the_window_cut_is_asked_for_in_a_larger_one_if_more_was_asked_for(
    options: Options, finish: str, completion: int, again: bool
):
    assert await Attempts(options, Widening(can=True)).cut_short(reply(finish, 3500, completion)) is again
    assert not await Attempts(options, Widening(can=False)).cut_short(reply(finish, 3500, completion))


def reply(finish: str, prompt: int, completion: int) -> Reply:
    metrics = Metrics(prompt_tokens=prompt, completion_tokens=completion)
    return Reply(text="", finish=finish, metrics=metrics, model="m", server="s")


# -------------------------------------------------------------------------------------- over servers
async def loads(model: str, server, pool: OllamaConnectionPool, prompt=LONG, **options) -> list[int]:
    """The windows with which the model was loaded for such a prompt."""
    await AsyncLocalLLM(model, pool=pool).chat(prompt, options=options)
    return [load.num_ctx for load in server.truth.loads]


async def test_a_prompt_for_which_the_servers_own_window_is_too_small_is_answered_in_a_larger_one(
    caplog: pytest.LogCaptureFixture,
):
    server = simulator()
    async with pool_over(server) as pool:
        assert await loads("words", server, pool) == [4096, 16384]
        assert await loads("words", server, pool) == [4096, 16384]
        assert (await AsyncLocalLLM("words", pool=pool).chat(ask())).text == WORDS.text
        assert [load.num_ctx for load in server.truth.loads] == [4096, 16384]
        told = [record.getMessage() for record in caplog.records if "OLLAMA_CONTEXT_LENGTH" in record.getMessage()]
        assert len(told) == 1
        assert "4,096" in told[0]
        assert "16,384" in told[0]


async def test_the_pool_itself_asks_for_no_other_window_than_it_was_told():
    server = simulator()
    async with pool_over(server) as pool:
        with pytest.raises(ContextExceeded):
            await pool.chat(model="words", messages=LONG)
        assert [load.num_ctx for load in server.truth.loads] == [4096]


async def test_text_that_is_streamed_comes_from_the_larger_window_too():
    async with pool_over(simulator()) as pool:
        llm = AsyncLocalLLM("words", pool=pool)
        assert "".join([piece async for piece in llm.stream("word " * 6000)]) == WORDS.text


@pytest.mark.parametrize("where", ["lane", "Modelfile", "call", "model"])
async def test_a_window_that_somebody_set_or_that_is_the_models_own_stays(where: str):
    model = WORDS
    if where == "Modelfile":
        model = WORDS.model_copy(update={"parameters": {"num_ctx": 2048}})
    elif where == "model":
        model = WORDS.model_copy(update={"context_length": 2048})
    lanes = {"words": LaneSettings(model="words", num_ctx=2048)} if where == "lane" else None
    options = {"num_ctx": 2048} if where == "call" else {}
    server = simulator([model])
    async with pool_over(server, lanes=lanes) as pool:
        with pytest.raises(ContextExceeded) as refused:
            await loads("words", server, pool, **options)
        assert refused.value.window == 2048
        assert [load.num_ctx for load in server.truth.loads] == [2048]


async def test_a_prompt_for_which_no_window_is_large_enough_is_refused_at_once():
    server = simulator([WORDS.model_copy(update={"context_length": 1 << 20})])
    async with pool_over(server) as pool:
        with pytest.raises(ContextExceeded):
            await loads("words", server, pool, ask("word " * (LARGEST_ASKED + 1)))
        assert [load.num_ctx for load in server.truth.loads] == [4096]


async def test_an_answer_that_the_window_cut_short_is_asked_for_in_a_larger_one_and_the_pieces_are_dropped():
    server = simulator()
    async with pool_over(server) as pool:
        await pool.chat(model="endless", messages=ask(), options={"num_predict": 1})
        await pool.models()  # the window is known now
        deltas: list[Delta] = []
        llm = AsyncLocalLLM("endless", pool=pool).bound(on_delta=deltas.append)
        completion = await llm.chat(ask("word " * 3000), options={"num_predict": 2000})

        assert completion.completion_tokens == 2000
        at = next(index for index, delta in enumerate(deltas) if isinstance(delta, Restarted))
        assert "".join(delta.text for delta in deltas[at + 1 :] if isinstance(delta, TextDelta)) == completion.text
        assert [load.num_ctx for load in server.truth.loads] == [4096, 8192]


async def test_an_answer_that_overran_a_window_that_is_set_is_asked_for_once_more_with_the_right_bound():
    many_tokens_a_byte = ENDLESS.model_copy(update={"tokenizer": "bytes"})
    server = simulator([many_tokens_a_byte])
    async with pool_over(server) as pool:
        llm = AsyncLocalLLM("endless", pool=pool)
        completion = await llm.chat(ask("x" * 600), options={"num_ctx": 1024, "num_predict": -1})

        assert completion.finish == "length"
        assert completion.prompt_tokens + completion.completion_tokens <= 1024
        assert len(server.truth.requests) == 2


async def test_an_overrun_names_what_was_thought_and_sent():
    many_tokens_a_byte = ENDLESS.model_copy(update={"tokenizer": "bytes"})
    async with pool_over(simulator([many_tokens_a_byte])) as pool:
        with pytest.raises(WindowOverrun) as caught:
            await pool.chat(model="endless", messages=ask("x" * 600), options={"num_ctx": 1024, "num_predict": -1})

        assert caught.value.estimated_tokens == 208
        assert caught.value.num_predict == 1024 - 208


async def test_the_two_defaults_do_not_overrun_each_other_at_the_first_call():
    async with pool_over(simulator()) as pool:
        reply = await pool.chat(model="endless", messages=ask("word " * 300))

        assert reply.finish == "length"
        assert reply.metrics.prompt_tokens + reply.metrics.completion_tokens <= 4096
