"""How long an answer may grow, and what it takes to keep it."""

from __future__ import annotations

import tracemalloc

import pytest

from agents.model import Options, ToolCall
from infrastructure.transport.gathering import (
    LEAST_CHARACTERS,
    MOST_CHARACTERS,
    Gathered,
    most_characters,
)
from infrastructure.transport.messages import Chunk


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"num_predict": 1}, LEAST_CHARACTERS),
        ({"num_predict": 4096}, LEAST_CHARACTERS),
        ({"num_predict": 8192}, 16 * 8192),
        ({"num_predict": 10**12}, MOST_CHARACTERS),
        ({"num_predict": -1}, MOST_CHARACTERS),
        ({"num_predict": "many"}, MOST_CHARACTERS),
        ({}, MOST_CHARACTERS),
    ],
)
def test_an_answer_may_grow_with_the_tokens_it_was_asked_for_up_to_a_hard_limit(options: Options, most: int) -> None:
    assert most_characters(options) == most


def test_text_thinking_and_tool_calls_are_kept_and_counted() -> None:
    gathered = Gathered()
    call = ToolCall("f", {"a": "b" * 100})
    for chunk in (Chunk(thinking="hm\r\n"), Chunk("one "), Chunk("two\r\n"), Chunk(tool_calls=(call,))):
        gathered.add(chunk)
    assert (gathered.partial.text, gathered.partial.thinking) == ("one two\r\n", "hm\r\n")
    assert gathered.tool_calls == [call]
    assert gathered.characters > len("hm\r\none two\r\n") + 100


def test_calls_without_words_count_too() -> None:
    gathered = Gathered()
    gathered.add(Chunk(tool_calls=(ToolCall("f", {}),) * 1000))
    assert gathered.characters > 64_000


def test_a_text_that_comes_a_character_at_a_time_takes_little_more_than_itself() -> None:
    gathered, letters = Gathered(), [chr(0x400 + at) for at in range(256)]
    tracemalloc.start()
    try:
        for at in range(1 << 18):
            gathered.add(Chunk(letters[at & 255]))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 << 18
