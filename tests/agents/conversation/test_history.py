"""What follows from messages: whose turn it is, circles, and a history made shorter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.conversation.circles import circle
from agents.conversation.compacting import compaction, covered, summary_text, told_by_code, view
from agents.conversation.history import (
    Done,
    answers_in,
    answers_to,
    awaits_answer,
    done_in,
    open_calls,
)
from agents.conversation.ports import History
from agents.model import Message, ToolCall

A, B = ToolCall("read_file", {"path": "a"}, "c1"), ToolCall("search", {"text": "x"}, "c2")


def user(text: str = "Do it.") -> Message:
    return Message("user", text)


def asks(*calls: ToolCall) -> Message:
    return Message("assistant", "", tool_calls=calls)


def result(call: ToolCall, text: str = "r") -> Message:
    return Message("tool", text, tool_name=call.name, tool_call_id=call.id)


@pytest.mark.parametrize(
    ("messages", "awaits", "open_", "after"),
    [
        ((), False, (), "message"),
        ((user(),), True, (), "message"),
        ((user(), Message("assistant", "Yes.")), False, (), "message"),
        ((user(), asks(A, B)), False, (A, B), "message"),
        ((user(), asks(A, B), result(A)), False, (B,), "c1"),
        ((user(), asks(A, B), result(A), result(B)), True, (), "c2"),
        ((user(), asks(A), result(A), Message("system", "Summary of messages 1 to 1.")), True, (), "c1"),
    ],
)
def test_next_step_follows_from_the_messages(messages, awaits, open_, after):
    assert awaits_answer(messages) is awaits
    assert open_calls(messages) == open_
    assert answers_to(messages) == after


def test_turn_begins_with_the_persons_last_message():
    messages = (user(), asks(A), result(A), Message("assistant", "a"), user("More."), asks(B), result(B, "found"))
    assert answers_in(messages) == 1
    assert done_in(messages) == (Done(B, "found"),)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("AA", ""), ("AAA", "told"), ("AAAA", "over"), ("AAAB", ""), ("BAAA", "told"), ("AABAA", ""),
        ("ABABA", ""), ("ABABAB", "told"), ("CABABAB", "told"), ("ABABABA", "told"), ("ABABABAB", "over"),
        ("", ""), ("A", ""), ("ABCABC", ""),
    ],
)  # fmt: skip
def test_circles_are_found(calls: str, expected: str):
    assert circle([Done(ToolCall("read_file", {"path": name}, str(at)), "same") for at, name in enumerate(calls)]) == (
        expected
    )


def test_another_result_is_no_circle():
    assert circle([Done(A, str(at)) for at in range(9)]) == ""


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) + 1 for message in messages)


def conversation(turns: int) -> list[Message]:
    found: list[Message] = []
    for turn in range(turns):
        call = ToolCall("write_file", {"path": f"f{turn}.py"}, f"c{turn}")
        found += [
            user(f"Do thing {turn}."),
            asks(call),
            result(call, f"f{turn}.py is written: it has 1 line."),
            Message("assistant", "Did it."),
        ]
    return found


def test_summary_covers_the_older_part_and_keeps_anchors():
    history = History(messages=tuple(conversation(6)))
    what = compaction(history, words, keep=20)
    assert what is not None
    summary = Message("system", summary_text(what, "Things were done.", todos=("test it",)))
    assert covered(summary) == what.upto
    for anchor in ("Do thing 0.", "- f0.py", "- test it", "Things were done."):
        assert anchor in summary.content
    after = view(History(messages=(*history.messages, summary)))
    assert after.summary == summary
    assert [each.message for each in after.messages] == list(history.messages[what.upto :])
    assert words([each.message for each in after.messages]) <= 20


def test_second_summary_keeps_the_anchors_of_the_first():
    messages = conversation(4)
    first = compaction(History(messages=tuple(messages)), words, keep=12)
    assert first is not None
    messages += [Message("system", summary_text(first, "Early.")), *conversation(8)[16:]]
    second = compaction(History(messages=tuple(messages)), words, keep=12)
    assert second is not None
    assert second.before is not None
    text = summary_text(second, told_by_code(second))
    for anchor in ("Do thing 0.", "- f0.py", "- f6.py", "Early."):
        assert anchor in text


def summarised(messages: Sequence[Message], keep: int) -> Message:
    what = compaction(History(messages=tuple(messages)), words, keep)
    assert what is not None
    return Message("system", summary_text(what, "Early."))


def test_summary_within_a_turn_keeps_what_that_turn_was_asked_for():
    call = ToolCall("read_file", {"path": "a"}, "r1")
    messages = [*conversation(2), user("Rename parse_config."), asks(call), result(call, "r " * 9), asks(B), result(B)]
    summary = summarised(messages, keep=5)
    assert "\n## What the person asks for now\nRename parse_config.\n" in summary.content
    messages += [summary, asks(ToolCall("search", {"text": "y"}, "s1")), Message("tool", "r", tool_call_id="s1")]
    again = summarised(messages, keep=3)
    assert covered(again) > covered(summary)
    assert "\n## What the person asks for now\nRename parse_config.\n" in again.content
    assert "\n## What the person asked for first\nDo thing 0.\n## What" in again.content


@pytest.mark.parametrize(
    ("tool", "result", "files"),
    [
        ("write_file", "b.py is written: it has 1 line.\nIts syntax is in order.", "- b.py"),
        ("apply_edit", "b.py is changed: it has 1 line.\nIts syntax is in order.", "- b.py"),
        ("write_file", "b.py is written (this call was done before)", "- b.py"),
        ("write_file", "b.py is written; the turn ended before more could be said of it.", "- b.py"),
        ("write_file", "The person said no: never touch that", ""),
        ("write_file", "a.py is like that already: nothing was written", ""),
        ("apply_edit", "nothing was written: a.py has no such lines.", ""),
        ("read_file", "b.py is written: it has 1 line.", ""),
    ],
)
def test_summary_lists_what_was_written_not_what_was_to_be(tool: str, result: str, files: str):
    call = ToolCall(tool, {"path": "a.py"}, "w1")
    done = Message("tool", result, tool_name=tool, tool_call_id="w1")
    text = summarised([user(), asks(call), done, Message("assistant", "Did it.")], keep=3).content
    assert text.partition("\n## Files written so far\n")[2].partition("\n## ")[0] == files


def test_summary_speaks_of_no_older_request_where_the_newest_stays():
    messages = [*conversation(3), user("Rename parse_config."), asks(B), result(B)]
    within = summarised(messages, keep=7)
    assert "asks for now" not in within.content
    messages += [Message("assistant", "Renamed."), within, user("Now test it."), asks(A), result(A)]
    assert "asks for now" not in summarised(messages, keep=10).content


def test_summary_that_was_made_before_requests_were_kept_goes_on():
    old = "Summary of messages 1 to 2.\n## What the person asked for first\nIt.\n## What happened\nMuch."
    messages = [user("It."), Message("assistant", "Yes."), Message("system", old), user("More."), asks(A), result(A)]
    text = summarised([*messages, asks(B), result(B)], keep=3).content
    assert "\nIt.\n## What the person asks for now\nMore.\n" in text


def test_store_may_leave_out_what_a_summary_covers():
    messages = conversation(4)
    what = compaction(History(messages=tuple(messages)), words, keep=12)
    assert what is not None
    summary = Message("system", summary_text(what, "Early."))
    kept = messages[what.upto :]
    numbers = (what.upto, *range(what.upto + 1, len(messages) + 1), len(messages) + 2)
    shortened = History(messages=(summary, *kept, user("More.")), first=what.upto, numbers=numbers)
    assert view(shortened) == view(History(messages=(*messages, summary, user("More."))))


def test_one_message_alone_is_not_summarised():
    assert compaction(History(messages=(user("x " * 100),)), words, keep=5) is None


@given(st.integers(1, 12), st.integers(0, 80))
def test_cut_never_parts_a_call_from_its_results(turns: int, keep: int):
    messages = conversation(turns)
    what = compaction(History(messages=tuple(messages)), words, keep)
    assert what is not None
    tail = messages[what.upto :]
    asked = {call.id for message in tail for call in message.tool_calls}
    assert {message.tool_call_id for message in tail if message.role == "tool"} <= asked
    assert tail
