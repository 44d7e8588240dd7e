"""Single keys at a terminal: which press answers a question, and which was on its way before."""

from __future__ import annotations

import io
import os
import pty
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli import lining
from backend.cli.lining import AtTerminal, LineHistory

PROMPT = "Do it? "


class Keyboard:
    """A terminal's other side, which types when a prompt is written to what it is given as stderr."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.answers = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hold(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        """Press a key the moment the terminal listens, and so often again as soon as it was read."""
        listen, read, left = tty.setcbreak, os.read, [times]

        def listening(descriptor: int, when: int = termios.TCSAFLUSH) -> None:
            listen(descriptor, when)
            self.type("y")

        def reading(descriptor: int, size: int) -> bytes:
            text = read(descriptor, size)
            if left[0]:
                left[0] -= 1
                self.type("y")
            return text

        monkeypatch.setattr(tty, "setcbreak", listening)
        monkeypatch.setattr(os, "read", reading)
        monkeypatch.setattr(sys, "stderr", Screen(self))


class Screen(io.StringIO):
    """Stderr; a prompt is answered at once."""

    def __init__(self, keyboard: Keyboard) -> None:
        super().__init__()
        self._keyboard = keyboard

    def write(self, text: str, /) -> int:
        if text == PROMPT:
            self._keyboard.type(self._keyboard.answers)
        return super().write(text)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    master, slave = pty.openpty()
    for end in (master, slave):
        os.set_blocking(end, False)
    board = Keyboard(master)
    with os.fdopen(slave, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield board
    os.close(master)


@pytest.fixture
def person(tmp_path: Path) -> AtTerminal:
    return AtTerminal(LineHistory(tmp_path / "history"))


@pytest.mark.parametrize("times", [0, 5])
@pytest.mark.parametrize("settles", [0.0, lining.SETTLE_SECONDS])
async def test_key_that_was_pressed_twice_or_is_held_is_no_answer_to_the_next_question(
    keyboard: Keyboard, person: AtTerminal, monkeypatch: pytest.MonkeyPatch, times: int, settles: float
):
    monkeypatch.setattr(lining, "SETTLE_SECONDS", settles)
    keyboard.hold(monkeypatch, times)
    keyboard.answers = "n"
    assert await person.key(PROMPT) == "n"


async def test_who_leaves_before_the_prompt_is_there_leaves(
    keyboard: Keyboard, person: AtTerminal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lining, "SETTLE_SECONDS", 3600.0)
    listen = tty.setcbreak

    def listening(descriptor: int, when: int = termios.TCSAFLUSH) -> None:
        listen(descriptor, when)
        keyboard.type("\x04")

    monkeypatch.setattr(tty, "setcbreak", listening)
    assert await person.key(PROMPT) is None
