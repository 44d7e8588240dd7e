"""What is taken off an answer before it is read."""

import pytest

from agents.answers.text import MAX_ANSWER, clean_text, shown, without_thinking
from agents.errors import UnusableAnswer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("\n <think>\na\n</think>\n\nb", "b"),
        ("<thinking>a</thinking>b", "b"),
        ("<think></think>b", "b"),
        ("<think>never ends", ""),
        ("a\n</think>\nb", "b"),
        ("a\n```\nx\n```\n</think>\nb", "b"),
        ("a </think> b", "a </think> b"),
        ("```\n</think>\n```", "```\n</think>\n```"),
        ("say <think>x</think>", "say <think>x</think>"),
    ],
)
def test_thinking_that_leaked_is_dropped_and_talk_of_it_is_not(text: str, expected: str):
    assert without_thinking(text) == expected


def test_mark_and_carriage_returns_are_dropped():
    assert clean_text("\ufeffa\r\nb\rc\n") == "a\nb\rc\n"


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff", "\udfff", "<think>x", "x" * (MAX_ANSWER + 1)])
def test_what_is_no_text_is_refused(text: str):
    with pytest.raises(UnusableAnswer):
        clean_text(text)


def test_an_error_quotes_on_one_line_and_bounded():
    assert shown("a\nb\x1b") == "'a\\nb\\x1b'"
    assert len(shown("x" * 500)) < 100
