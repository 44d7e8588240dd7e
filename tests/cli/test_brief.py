"""Calls and results in a line, diffs of writes before they are made, and what a typed line is."""

from __future__ import annotations

import io
import os
from functools import partial

import pytest
from rich.console import Console

from agents.conversation.chunks import StreamChunk
from backend.cli.brief import call_line, result_line
from backend.cli.console import Terminal
from backend.cli.foreseeing import diff_before
from backend.cli.permitting import read_arguments
from backend.cli.scripted import InputLines
from backend.cli.slashes import message_of
from backend.cli.speaking import Spoken
from tests.cli.chatting import Screen


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("read_file", {"path": "a.py", "start": 3}, "read_file a.py"),
        ("run_command", {"command": "pytest\n-q", "cwd": "x"}, "run_command pytest -q"),
        ("todo_write", {"todos": ["a"]}, 'todo_write {"todos": ["a"]}'),
        ("git_diff", {}, "git_diff"),
    ],
)
def test_call_is_named_by_the_argument_that_says_most(tool, arguments, line):
    assert call_line(tool, arguments) == line


def test_result_is_its_first_line_and_a_failure_says_more():
    assert result_line("search", "\na.py:1: x\na.py:2: y\nb.py:3: z", ok=True) == "search: a.py:1: x (+2 lines)"
    assert result_line("search", "", ok=True) == "search: nothing"
    assert result_line("read_file", "no such file\nDid you mean b.py?", ok=False).endswith("Did you mean b.py?")


def test_diff_of_a_write_is_against_the_file_as_it_is(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    whole = diff_before("write_file", {"path": "a.py", "content": "x = 1\ny = 3\n"}, str(tmp_path))
    part = diff_before("apply_edit", {"path": f"{tmp_path}/a.py", "search": "y = 2", "replace": "y = 3"}, str(tmp_path))
    assert whole == part
    assert whole.splitlines()[-3:] == [" x = 1", "-y = 2", "+y = 3"]
    assert "--- /dev/null" in diff_before("write_file", {"path": "b/c.py", "content": "z"}, str(tmp_path))
    same = diff_before("write_file", {"path": "a.py", "content": "x = 1\ny = 2\n"}, str(tmp_path))
    assert same == "a.py would stay as it is"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": "../out.py", "content": "x"}),
        ("write_file", {"path": "link", "content": "x"}),
        ("write_file", {"path": "raw", "content": "x"}),
        ("apply_edit", {"path": "a.py", "search": "x", "replace": "y"}),
        ("apply_edit", {"path": "none.py", "search": "x", "replace": "y"}),
        ("run_command", {"path": "a.py"}),
        ("write_file", {"path": 3}),
    ],
)
def test_what_cannot_be_foreseen_has_no_diff(tmp_path, tool, arguments):
    (tmp_path / "a.py").write_text("xx")
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert diff_before(tool, arguments, str(tmp_path)) == ""


def test_slash_is_a_command_and_two_are_a_text():
    assert message_of("/undo") is None
    assert message_of("//etc is a folder") == "/etc is a folder"
    assert message_of("a/b") == "a/b"


def test_arguments_are_an_object_or_it_is_said_what_is_wrong():
    assert read_arguments('{"path": "a"}') == {"path": "a"}
    assert "no JSON" in str(read_arguments("{"))
    assert "object" in str(read_arguments("[1]"))


async def test_lines_of_a_pipe_are_messages_and_a_backslash_goes_on():
    reading, writing = os.pipe()
    lines = InputLines(reading)
    os.write(writing, b"one\r\ntwo \\\nthree\n\nlast")
    os.close(writing)
    assert [await lines.message() for _ in range(5)] == ["one", "two \nthree", "", "last", None]
    os.close(reading)


async def test_mark_before_the_first_line_is_none_of_it(tmp_path):
    """What some editors put before UTF-8; with it `/agent coder` was said instead of done."""
    file = tmp_path / "lines"
    file.write_bytes(b"\xef\xbb\xbf/agent coder\n\xef\xbb\xbfhi\n")
    with file.open("rb") as reading:
        lines = InputLines(reading.fileno())
        assert [await lines.message() for _ in range(3)] == ["/agent coder", "\ufeffhi", None]


@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 400_000])
async def test_line_of_any_length_is_one_message(tmp_path, length: int):
    file = tmp_path / "lines"
    file.write_bytes(b"a" * length + b"\n\nb\\\nc\n" + b"d" * length)
    with file.open("rb") as reading:
        lines = InputLines(reading.fileno())
        assert [await lines.message() for _ in range(5)] == ["a" * length, "", "b\nc", "d" * length, None]


def test_words_go_to_stdout_when_a_message_is_whole_and_not_when_it_is_taken_back():
    screen = Screen()
    spoken = Spoken(screen.terminal)
    for chunk in (
        StreamChunk(kind="text", agent="ask", text="It is wr"),
        StreamChunk(kind="restarted", agent="ask"),
        StreamChunk(kind="text", agent="ask", text="It is "),
        StreamChunk(kind="text", agent="ask", text="right."),
    ):
        spoken.show(chunk)
    assert screen.out == ""
    spoken.show(StreamChunk(kind="tool_call", agent="ask", tool="read_file", arguments={"path": "\x1b[2Ja"}))
    spoken.show(StreamChunk(kind="text", agent="ask", message=2))
    spoken.show(StreamChunk(kind="switch", agent="coder", text="it is work"))
    assert screen.out == "It is right.\n"
    assert screen.err.splitlines() == ["ask:", "  → read_file \\u001b[2Ja", "  ⇄ over to coder: it is work"]


def test_quiet_leaves_only_the_words():
    screen = Screen()
    spoken = Spoken(screen.terminal, quiet=True)
    for chunk in (
        StreamChunk(kind="tool_result", tool="search", text="x"),
        StreamChunk(kind="text", agent="ask", text="Yes."),
        StreamChunk(kind="text", agent="ask", message=2),
    ):
        spoken.show(chunk)
    assert (screen.out, screen.err) == ("Yes.\n", "")


def test_thinking_is_dim_at_a_terminal_and_ends_its_line_before_the_words():
    out, err = io.StringIO(), io.StringIO()
    console = partial(Console, force_terminal=True, color_system="standard", markup=False, highlight=False, width=80)
    spoken = Spoken(Terminal(console(file=out), console(file=err), True))
    spoken.show(StreamChunk(kind="thinking", agent="ask", text="Hm"))
    spoken.show(StreamChunk(kind="thinking", agent="ask", text="m."))
    assert err.getvalue().endswith("\x1b[2mHm\x1b[0m\x1b[2mm.\x1b[0m")
    spoken.show(StreamChunk(kind="text", agent="ask", text="Yes"))
    assert err.getvalue().endswith("\n")
    assert out.getvalue() == "Yes"
    spoken.show(StreamChunk(kind="restarted", agent="ask", text="the stream broke"))
    assert out.getvalue() == "Yes\n"
    assert "that is taken back (the stream broke)" in err.getvalue()
