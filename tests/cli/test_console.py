"""What reaches a terminal, and what a program reads from a pipe."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
from dataclasses import replace

import pytest

from backend.cli.console import LogHandler, Terminal, log_shown, open_terminal, visible
from infrastructure.tasks import RunResult


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A stream that takes nothing while its disk is full."""

    error: OSError | None = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, text: str, /) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.fixture
def piped() -> tuple[Terminal, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return open_terminal(out, err), out, err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\rb", "a\\u000db"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("caf\u00e9 \u65e5\u672c \U0001f642", "caf\u00e9 \u65e5\u672c \U0001f642"),
        ("\x9b31m", "\\u009b31m"),
        ("\ud800", "\\ud800"),
    ],
)
def test_characters_a_terminal_would_obey_are_shown_as_numbers(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_patch_in_a_pipe_is_byte_for_byte(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, out, _ = piped
    patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+[bold]b\x1b[0m\n"
    terminal.patch(patch)
    assert out.getvalue() == patch


def test_patch_on_a_terminal_is_coloured_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Screen()
    open_terminal(out, io.StringIO()).patch("+added \x1b[2J\n-removed\n")
    assert "\x1b[32m+added \\u001b[2J" in out.getvalue()
    assert "\x1b[31m-removed" in out.getvalue()


def test_no_color_means_no_colour_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    out, err = Screen(), Screen()
    terminal = open_terminal(out, err)
    terminal.patch("+added\n")
    terminal.say("red alert", "red")
    assert "\x1b[3" not in out.getvalue() + err.getvalue()


def test_brackets_in_a_text_are_no_markup(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, _, err = piped
    terminal.say("[red]x[/red] :smile:")
    assert err.getvalue() == "[red]x[/red] :smile:\n"


def test_long_lines_are_not_broken_for_programs(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, out, err = piped
    terminal.print_data("word " * 100)
    terminal.say("word " * 100)
    assert out.getvalue().count("\n") == err.getvalue().count("\n") == 1


def test_document_is_one_line_of_json(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, out, _ = piped
    terminal.data(RunResult(run="r", status="done", judge="none", exit_code=0, answer="a\nb"))
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["answer"] == "a\nb"


def test_problem_says_what_to_do_on_stderr(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, out, err = piped
    terminal.problem("it broke", "mend it")
    assert err.getvalue() == "error: it broke\n  → mend it\n"
    assert out.getvalue() == ""


def test_warnings_of_the_log_are_a_line_without_traceback(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    terminal, _, err = piped
    log = logging.getLogger("corral.test")
    with log_shown(terminal, debug=False):
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("it failed")
        log.info("not shown")
    log.warning("after the command")
    assert err.getvalue() == "warning: it failed (ValueError: why)\n"


@pytest.mark.parametrize("error", [Full.error, BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))])
@pytest.mark.parametrize("as_json", [False, True])
def test_whoever_logs_does_not_fail_of_a_log_that_takes_nothing(error: OSError, as_json: bool) -> None:
    err = Full()
    err.error = error
    log = logging.getLogger("corral.test")
    with log_shown(open_terminal(io.StringIO(), err), debug=False):
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LogHandler) and as_json:
                handler.lines = logging.Formatter("warning: %(message)s")
        log.warning("lost")
        log.warning("lost too")
        err.error = None
        log.warning("told")
        err.close()
        log.warning("after its end")


def test_what_a_log_could_not_take_is_not_said_again_when_it_can() -> None:
    err = Full()
    log = logging.getLogger("corral.test")
    with log_shown(open_terminal(io.StringIO(), err), debug=False):
        log.warning("lost")
        err.error = None
        log.warning("told")
    assert err.getvalue() == "warning: told\n"


def test_what_a_command_says_is_raised_where_nobody_takes_it_but_of_one_that_goes_on() -> None:
    terminal = open_terminal(io.StringIO(), Full())
    with pytest.raises(OSError, match="No space left"):
        terminal.say("progress")
    replace(terminal, heedless=True).say("progress")


def test_closed_stream_takes_everything_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    terminal = open_terminal()
    terminal.say("said")
    terminal.raw("data")
    assert terminal.err.file.getvalue() == terminal.out.file.getvalue() == ""


def test_nobody_is_asked_without_a_terminal(piped: tuple[Terminal, io.StringIO, io.StringIO]) -> None:
    assert not piped[0].interactive
