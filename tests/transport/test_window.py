from __future__ import annotations

import pytest

from agents.model import Message, Tool, ToolCall
from infrastructure.transport.errors import WindowOverrun
from infrastructure.transport.messages import Metrics
from infrastructure.transport.window import bounded_num_predict, check_window, estimate_tokens


@pytest.mark.parametrize(
    ("wanted", "prompt", "window", "sent"),
    [
        (100, 50, 1000, 100),
        (100, 950, 1000, 50),
        (100, 2000, 1000, 1),
        (0, 10, 1000, 1),
        (-1, 400, 1000, 600),
        (-1, 2000, 1000, 1),
        (100, 10**9, None, 100),
        (-1, 10, None, -1),
    ],
)
def test_an_answer_is_bounded_by_what_the_window_has_left(
    wanted: int, prompt: int, window: int | None, sent: int
) -> None:
    assert bounded_num_predict(wanted, prompt, window) == sent


def test_an_estimate_counts_bytes_not_characters_and_dense_ones_for_more() -> None:
    assert estimate_tokens(prompt="a b " * 30) == 40 + 8
    assert estimate_tokens(prompt="{;" * 30) == 40 + 8
    assert estimate_tokens(prompt="\N{SNOWMAN}" * 30) == 45 + 8


def test_every_message_costs_what_its_template_adds() -> None:
    message = Message("user", "abc")
    assert estimate_tokens(messages=[message] * 4) == 4 + 4 * 8


def test_tools_calls_thinking_and_format_are_counted() -> None:
    plain = estimate_tokens(messages=[Message("assistant", "x")])
    call = Message("assistant", "x", thinking="y" * 30, tool_calls=(ToolCall("f", {"a": "z" * 30}),))
    assert estimate_tokens(messages=[call]) > plain + 20
    assert estimate_tokens(messages=[Message("assistant", "x")], tools=[Tool("f", "d" * 30, {})]) > plain + 10
    assert estimate_tokens(messages=[Message("assistant", "x")], format={"title": "t" * 30}) > plain + 10
    assert estimate_tokens(messages=[Message("assistant", "x")], format="json") == plain


def test_a_measured_ratio_replaces_the_assumed_one() -> None:
    assert estimate_tokens(prompt="a" * 100, ratio=0.25) == 25 + 8


def test_an_estimate_survives_text_that_utf8_cannot_say() -> None:
    assert estimate_tokens(prompt="\ud800abc") == 2 + 8


def test_nothing_costs_nothing() -> None:
    assert estimate_tokens() == 0


def test_more_tokens_than_the_window_holds_is_an_overrun() -> None:
    with pytest.raises(WindowOverrun) as overrun:
        check_window(Metrics(prompt_tokens=200, completion_tokens=57), 256, server="gpu")
    assert (overrun.value.prompt_tokens, overrun.value.completion_tokens, overrun.value.window) == (200, 57, 256)


def test_an_overrun_says_what_was_thought_and_sent() -> None:
    with pytest.raises(WindowOverrun) as overrun:
        check_window(
            Metrics(prompt_tokens=200, completion_tokens=57), 256, estimated_tokens=150, num_predict=106, server="gpu"
        )
    assert (overrun.value.estimated_tokens, overrun.value.num_predict) == (150, 106)


def test_a_full_window_and_an_unknown_one_are_no_overrun() -> None:
    check_window(Metrics(prompt_tokens=200, completion_tokens=56), 256)
    check_window(Metrics(prompt_tokens=10**6), None)


def test_waiting_for_a_slot_is_the_rest_of_the_total() -> None:
    assert Metrics(total_ns=100, load_ns=10, prompt_ns=20, decode_ns=30).slot_wait_ns == 40
    assert Metrics().slot_wait_ns == 0
    assert Metrics(load_ns=5).slot_wait_ns == 0
