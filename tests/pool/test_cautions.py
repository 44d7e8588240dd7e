"""What is told of a model that is loaded otherwise than was meant."""

from __future__ import annotations

import logging

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.cautions import Cautions
from infrastructure.pool.lanes import Lane
from infrastructure.transport.messages import LoadedModel
from tests.pool.servers import WORDS, ask, pool_over, simulator

LANE = Lane("m:latest", (("num_ctx", 8192),))


def loaded(size_vram: int, window: int = 8192) -> LoadedModel:
    return LoadedModel("m:latest", "d", 100, size_vram, window, None)


@pytest.mark.parametrize(
    ("seen", "lane", "said"),
    [
        ([loaded(100)], LANE, []),
        ([loaded(0)], LANE, []),  # a server without a GPU
        ([loaded(70)], LANE, ["only 70 % of it is in GPU memory"]),
        ([loaded(70), loaded(60)], LANE, ["only 70 %"]),
        ([loaded(100), loaded(0)], LANE, ["runs on the CPU, although"]),
        ([loaded(100, 4096)], LANE, ["its window is 4,096 tokens, fewer than the 8,192"]),
        ([loaded(100, 16384)], LANE, []),
        ([loaded(70, 4096)] * 2, LANE, ["only 70 %", "its window is 4,096"]),
        ([loaded(70, 4096)], Lane("m:latest"), ["only 70 %"]),
        ([loaded(70, 4096)], None, []),
        ([loaded(26), loaded(5)], LANE, []),  # as a server without a GPU lists them
        ([loaded(100), loaded(26)], LANE, ["only 26 %"]),
    ],
)
def test_a_model_that_is_slow_or_narrow_is_told_once(
    seen: list[LoadedModel], lane: Lane | None, said: list[str], caplog: pytest.LogCaptureFixture
):
    cautions = Cautions()
    for model in seen:
        cautions.see("gpu", model, lane)
    assert len(caplog.messages) == len(said)
    for message, part in zip(caplog.messages, said, strict=True):
        assert message.startswith("m:latest on gpu: ")
        assert part in message


async def test_a_window_below_the_lanes_is_told_once_however_many_calls_there_are(caplog: pytest.LogCaptureFixture):
    short = WORDS.model_copy(update={"context_length": 2048})
    lanes = {"wide": LaneSettings(model="words", num_ctx=8192)}
    with caplog.at_level(logging.WARNING, "infrastructure.pool"):
        async with pool_over(simulator([short]), lanes=lanes) as pool:
            for _ in range(3):
                await pool.chat(model="wide", messages=ask())
                await pool.models()  # waits for a look
    assert sum("its window is 2,048 tokens, fewer than the 8,192" in message for message in caplog.messages) == 1
