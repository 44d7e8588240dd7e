"""Which window counts, and when a server's own count of a prompt says that it has not read all of it."""

from __future__ import annotations

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.doubts import Doubts, common_beginning
from infrastructure.pool.lanes import Lane
from infrastructure.pool.rooms import window_of
from infrastructure.transport.window import SMALLEST_WINDOW, TOKENS_PER_BYTE
from tests.pool.servers import WORDS, ask, pool_over, simulator

LANE = Lane("m:latest", (("num_ctx", 8192),))
TEXT = "".join(f"line {number} of a prompt\n" for number in range(200))


@pytest.mark.parametrize(
    ("fixed", "seen", "trained", "window"),
    [
        (8192, [], None, (8192, True)),
        (8192, [4096], None, (4096, True)),  # clamped by the server
        (8192, [16384], None, (8192, True)),
        (8192, [16384, 2048], 32768, (2048, True)),  # the narrowest of several servers
        (None, [], 65536, (32768, True)),  # may be asked for when it is needed
        (None, [4096], 16384, (16384, True)),
        (None, [65536], 131072, (65536, True)),  # a server with a large window of its own
        (None, [], 2048, (2048, True)),
        (None, [16384, 8192], None, (8192, True)),
        (None, [], None, (SMALLEST_WINDOW, False)),
    ],
)
def test_the_window_that_counts(fixed: int | None, seen: list[int], trained: int | None, window: object) -> None:
    assert window_of(fixed, seen, trained) == window


async def test_without_a_server_the_room_is_the_safe_assumption() -> None:
    async with OllamaConnectionPool(["http://127.0.0.1:9"]) as pool:
        room = await pool.room("m")
        assert (room.window, room.sure, room.ratio) == (SMALLEST_WINDOW, False, TOKENS_PER_BYTE)


async def test_a_lane_says_its_window_and_asks_nobody() -> None:
    lanes = {"wide": LaneSettings(model="m", num_ctx=16384)}
    async with OllamaConnectionPool(["http://127.0.0.1:9"], lanes=lanes) as pool:
        room = await pool.room("wide")
        assert (room.window, room.sure) == (16384, True)


async def test_the_ratio_is_what_the_server_has_counted() -> None:
    async with pool_over(simulator(models=(WORDS,))) as pool:
        assert (await pool.room("words")).ratio == TOKENS_PER_BYTE
        await pool.chat(model="words", messages=ask(TEXT))
        assert (await pool.room("words")).ratio != TOKENS_PER_BYTE


def doubted(doubts: Doubts, text: str, counted: int, server: str = "gpu") -> bool:
    return doubts.doubtful(server, LANE, text, len(text), 2, counted)


def test_a_count_far_below_the_prompt_is_doubted_from_the_first_on() -> None:
    assert doubted(Doubts(), TEXT, len(TEXT) // 13)
    assert not doubted(Doubts(), TEXT, len(TEXT) // 11)


def test_the_usual_ratio_of_a_model_makes_the_judgement_finer() -> None:
    doubts = Doubts()
    assert not doubted(doubts, TEXT, len(TEXT) // 4)
    other = TEXT.replace("line", "row")
    assert doubted(doubts, other, len(other) // 9)
    assert not doubted(doubts, other, len(other) // 7)


def test_short_prompts_are_not_judged() -> None:
    assert not doubted(Doubts(), "x" * 500, 1)


def test_a_server_that_leaves_its_cache_out_of_the_count_is_believed() -> None:
    doubts = Doubts()
    assert not doubted(doubts, TEXT, len(TEXT) // 4)
    longer = TEXT + "and a little more"
    assert not doubted(doubts, longer, 20)
    assert doubted(doubts, longer.replace("line", "row"), 20), "another text is not in its cache"
    assert doubted(doubts, longer, 20, server="other"), "nor is it in that of another server"


def test_a_server_that_counts_its_cache_has_no_excuse() -> None:
    doubts = Doubts()
    assert not doubted(doubts, TEXT, len(TEXT) // 4)
    assert not doubted(doubts, TEXT + "more", len(TEXT) // 4)
    assert doubted(doubts, TEXT + "more and more", 20)


def test_only_so_many_prompts_are_remembered() -> None:
    doubts = Doubts()
    for number in range(40):
        doubted(doubts, f"{number} {TEXT}", len(TEXT) // 4)
    assert len(doubts._prompts) == 32


@pytest.mark.parametrize(("one", "other", "shared"), [("", "a", 0), ("abc", "abd", 2), ("abc", "abc", 3)])
def test_the_common_beginning(one: str, other: str, shared: int) -> None:
    assert common_beginning(one, other) == shared
