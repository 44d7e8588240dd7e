"""What a person sees of a call at the terminal: all of it, and nothing that the terminal would obey."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.model import JsonObject
from backend.cli.foreseeing import diff_before
from backend.cli.permitting import MOST_LINES, Permission
from infrastructure.sessions.approvals import ALL_DECISIONS, ActionRequest
from infrastructure.sessions.asking import fresh
from tests.cli.chatting import Screen, Scripted


async def shown(tool: str, arguments: JsonObject, workspace: str = "") -> str:
    screen, now = Screen(), datetime(2026, 7, 1, tzinfo=UTC)
    action = ActionRequest(tool=tool, arguments=arguments)
    asked = fresh("s", "1", "tool", action, workspace=workspace, allowed=ALL_DECISIONS, asked=now)
    await Permission(asked, None, Scripted([]), screen.terminal).show()
    return screen.err


TRICKS = [
    "\x1b[2K\x1b[1A", "\x1b]0;title\x07", "\r", "\x08\x08", "\u202e", "\u2066", "\u200b", "\u3164", "\x9b2J", "\x0b",
    "\x85",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
async def test_terminal_is_sent_nothing_that_it_would_obey(trick: str):
    for tool, arguments in (
        ("run_command", {"command": f"echo harmless{trick}; rm x"}),
        ("runner", {"command": f"echo harmless{trick}; rm x", f"na{trick}me": trick}),
        ("write_file", {"path": f"a{trick}b", "content": f"x{trick}; rm x"}),
        ("tracker.add", {"text": f"harmless{trick}; rm x"}),
    ):
        said = await shown(tool, arguments)
        assert trick not in said
        assert "rm x" in said


async def test_other_arguments_of_a_command_are_shown():
    said = await shown("runner", {"path": "innocent.txt", "command": "ls", "before": "rm -rf ~"})
    assert "$ ls" in said
    assert "rm -rf ~" in said
    assert "cwd" in await shown("run_command", {"command": "ls", "cwd": "sub"})


async def test_end_of_what_is_long_is_shown_and_that_it_is_cut():
    command = "echo a\n" + "\n" * 3 * MOST_LINES + "rm -rf x"
    said = await shown("run_command", {"command": command})
    assert said.rstrip().endswith("rm -rf x")
    assert "lines between; d shows them" in said
    said = await shown("run_command", {"command": "echo " + "a " * 3_990 + "; rm -rf x"})
    assert said.rstrip().endswith("; rm -rf x")


def test_diff_shows_a_line_end_that_only_some_take_for_one(tmp_path):
    (tmp_path / "a.js").write_text("// note\ncode()\n")
    diff = diff_before("write_file", {"path": "a.js", "content": "// note\u2028code()\n"}, str(tmp_path))
    assert "+// note\u2028code()" in diff
