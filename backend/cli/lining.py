"""The terminal as a person at it: a prompt with history and several lines, single keys, texts to change.

Owns the keys of the prompt and the file of what was typed, which only its owner can read. Enter sends; after a
backslash, and with Alt-Enter, it begins another line, and what is pasted stays one text.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections import deque
from pathlib import Path

import orjson
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output as ScreenOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from backend.cli.person import GivenUp, Person
from infrastructure.storage.directory import make_private_file, write_durably

MOST_KEPT = 1_000
"""Messages in the history; the file is cut to so many when it holds twice that."""
SETTLE_SECONDS = 0.7
"""How long a question has stood on the screen before a key answers it; it may come under a key pressed twice."""
QUIET_SECONDS = 0.3
"""Without a key before one answers: longer than the time from one press of a key that is held to the next."""
_CTRL_C, _CTRL_D, _ESCAPE = "\x03", "\x04", "\x1b"


class LineHistory:
    """What was typed, in a file: a JSON text a line, oldest first. A line that cannot be read is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[str]:
        """All that is kept. Blocking. A file that cannot be read is an empty one."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return []
        kept: deque[str] = deque(maxlen=MOST_KEPT)
        for line in lines:
            with contextlib.suppress(ValueError):
                text = orjson.loads(line)
                if isinstance(text, str):
                    kept.append(text)
        if len(lines) > 2 * MOST_KEPT:
            with contextlib.suppress(OSError):
                write_durably(self._path, b"".join(orjson.dumps(text) + b"\n" for text in kept))
        return list(kept)

    def add(self, text: str) -> None:
        """Keep one more. Blocking. Where the disk takes nothing it is not kept: that must not end a conversation."""
        with contextlib.suppress(OSError):
            make_private_file(self._path)
            with self._path.open("ab") as file:
                file.write(orjson.dumps(text) + b"\n")


class AtTerminal(Person):
    """Standard input and stderr, both of them terminals."""

    def __init__(self, history: LineHistory) -> None:
        self._kept = history
        self._typed: PromptSession[str] | None = None

    async def message(self, prompt: str) -> str | None:
        """What they want to say; kept in the history."""
        if self._typed is None:
            past = InMemoryHistory(await asyncio.to_thread(self._kept.read))
            self._typed = _session(past, leaving=True)
        try:
            text = await self._typed.prompt_async(prompt, handle_sigint=False)
        except (GivenUp, EOFError):
            return None
        if text.strip() and not text.startswith(" "):
            await asyncio.to_thread(self._kept.add, text)
        return text

    async def key(self, prompt: str) -> str | None:
        """One key. What was typed before the question was there, or right after it came, was no answer to it.

        So the prompt comes a little later than what is asked about, and not while a key is held.
        """
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor, termios.TCSAFLUSH)
        pressed = ""
        try:
            if await _settled(descriptor):
                sys.stderr.write(prompt)
                sys.stderr.flush()
                await _readable(descriptor)
                pressed = _read(descriptor)
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
            sys.stderr.write(f"{pressed if pressed.isprintable() else ''}\n")
            sys.stderr.flush()
        return None if pressed in ("", _CTRL_D) else pressed.lower()

    async def line(self, prompt: str, default: str = "") -> str:
        """A line; not kept."""
        return await _given(_session(InMemoryHistory(), leaving=False), prompt, default)

    async def edit(self, text: str) -> str:
        """In the editor that `VISUAL` or `EDITOR` names, else here; Ctrl-X Ctrl-E opens an editor from here."""
        session = _session(InMemoryHistory(), leaving=False, suffix=".json")
        if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
            return await _given(session, "… ", text)

        def open_editor() -> None:
            get_app().current_buffer.open_in_editor(validate_and_handle=True)

        return await _given(session, "… ", text, open_editor)


async def _given(session: PromptSession[str], prompt: str, default: str, pre_run: object = None) -> str:
    try:
        return await session.prompt_async(prompt, default=default, handle_sigint=False, pre_run=pre_run)  # pyright: ignore[reportArgumentType]
    except EOFError:
        raise GivenUp from None


def _session(history: InMemoryHistory, *, leaving: bool, suffix: str = ".txt") -> PromptSession[str]:
    return PromptSession(
        history=history,
        multiline=True,
        key_bindings=_keys(leaving=leaving),
        prompt_continuation="… ",
        reserve_space_for_menu=0,
        enable_open_in_editor=True,
        tempfile_suffix=suffix,
        input=create_input(sys.stdin),
        output=_screen(),
        interrupt_exception=GivenUp,
    )


def _screen() -> ScreenOutput:
    """Stderr, since stdout is for data. The terminal is not asked where its cursor is: nothing here needs it."""
    screen = Vt100_Output.from_pty(sys.stderr, term=os.environ.get("TERM"))
    screen.enable_cpr = False
    return screen


def _keys(*, leaving: bool) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        """Drop what was typed; where nothing was, leave."""
        if leaving and event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=GivenUp)

    return keys


async def _settled(descriptor: int) -> bool:
    """Throw away what is typed until a question has stood for a while; False where the person leaves meanwhile."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_readable(descriptor), max(0.0, until - time.monotonic()))
        if not select.select([descriptor], [], [], 0)[0]:
            return True
        if _read(descriptor) in ("", _CTRL_D):
            return False
        until = max(until, time.monotonic() + QUIET_SECONDS)


async def _readable(descriptor: int) -> None:
    """Wait until something is typed, and leave it unread."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _read(descriptor: int) -> str:
    """The key of a terminal in cbreak mode; of an arrow or the like only that something was pressed."""
    text = os.read(descriptor, 64).decode("utf-8", "replace")
    return "?" if text.startswith(_ESCAPE) else text[:1]
