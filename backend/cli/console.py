"""Where words go: data to stdout, everything else to stderr.

Owns both consoles and what is safe to show: model text may hold control characters, which a terminal would obey.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO

import orjson
from rich.console import Console
from rich.text import Text

_KEPT = {"\n", "\t"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_JOINERS = {"\u200d", "\ufe0f"}
"""Parts of ordinary emoji and scripts; harmless."""
_SIGNS = frozenset(map(chr, range(0x2010, 0x2800)))
"""Dashes, quotes, arrows, boxes: none of them stands for nothing."""
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class OutputConsole(Console):
    """A console whose reader may go: that is raised, for the outermost edge to tell. Rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Called where the error is being handled; it goes on."""
        raise  # noqa: PLE0704 - rich calls this in its `except`


class Nowhere(io.StringIO):
    """What stands for a stream that was closed before we began; it keeps nothing."""

    def write(self, text: str, /) -> int:
        """Take it, and forget it."""
        return len(text)


@dataclass(frozen=True, slots=True)
class Terminal:
    """The two streams of a command, and whether a person can be asked.

    Attributes:
        out: Data.
        err: Progress, questions, warnings, errors.
        interactive: Whether a person sits at standard input and sees `err`.
        heedless: Whether it goes on where `err` takes nothing: for a log, and for what must outlive its reader.
    """

    out: Console
    err: Console
    interactive: bool = False
    heedless: bool = False

    def flush(self) -> None:
        """Send what is still held back: a reader that has gone is noticed here, and not when Python ends."""
        self.out.file.flush()
        self.err.file.flush()

    def data(self, value: object) -> None:
        """Print one JSON document, a line."""
        self.raw(orjson.dumps(value, default=_plain).decode() + "\n")

    def raw(self, text: str) -> None:
        """Write data as it is, without markup or wrapping; on a terminal control characters are shown, not sent."""
        shown = visible(text) if self.out.is_terminal else text
        self.out.file.write(shown)
        self.out.file.flush()

    def patch(self, text: str) -> None:
        """Print a patch: in colour on a terminal, byte for byte elsewhere."""
        if self.out.is_terminal and not self.out.no_color:
            for line in text.splitlines():
                self.out.print(_coloured(line), soft_wrap=True)
        else:
            self.raw(text)

    def print_data(self, text: str, style: str = "") -> None:
        """One line for people on stdout."""
        self.out.print(Text(visible(text), style=style), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """One line on stderr."""
        self._on_err(lambda: self.err.print(Text(visible(text), style=style), soft_wrap=True))

    def warn(self, text: str) -> None:
        """A warning on stderr."""
        self.say(f"warning: {text}", "yellow")

    def log_line(self, line: str) -> None:
        """One line of the log on stderr, as it is; it is ASCII."""

        def write() -> None:
            self.err.file.write(f"{line}\n")
            self.err.file.flush()

        self._on_err(write)

    def problem(self, message: str, hint: str = "") -> None:
        """What went wrong, and what to do next, on stderr."""
        self.say(f"error: {message}", "red")
        if hint:
            self.say(f"  → {hint}")

    def _on_err(self, write: Callable[[], None]) -> None:
        """Write, or let it go where that may be: the reader has gone, the disk is full, the stream was closed."""
        if not self.heedless:
            return write()
        if self.err.file.closed:
            return None
        try:
            write()
        except OSError:
            with suppress(OSError), self.err.capture():
                pass  # takes out of the console what it would print again before each later line
        return None


def open_terminal(out: IO[str] | None = None, err: IO[str] | None = None) -> Terminal:
    """The process's own streams, or the given ones.

    `NO_COLOR` (https://no-color.org) and a stream that is no terminal mean no colour. `FORCE_COLOR` is not read, so
    that what is piped is always plain.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    plain = bool(os.environ.get("NO_COLOR"))
    consoles = [
        OutputConsole(
            file=file,
            force_terminal=_is_terminal(file),
            no_color=plain or None,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )
        for file in (out or sys.stdout or Nowhere(), err or sys.stderr or Nowhere())  # None: it was closed
    ]
    asks = _is_tty(sys.stdin) and _is_tty(err or sys.stderr)
    return Terminal(consoles[0], consoles[1], asks)


def is_dumb() -> bool:
    """Whether the terminal, if there is one, says that it obeys no codes."""
    return os.environ.get("TERM") == "dumb"


def visible(text: str) -> str:
    """The text with every character a terminal would obey, or that turns its order around, written as its number."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _harmless(char) else f"\\u{ord(char):04x}" for char in text.replace("\r\n", "\n"))


@contextmanager
def log_shown(terminal: Terminal, *, debug: bool) -> Generator[None]:
    """Let warnings of the log reach the person meanwhile: a line each, the traceback only when debugging.

    What the settings say of it holds as soon as they are read (`logs.write_log_as`).
    """
    root, handler = logging.getLogger(), LogHandler(terminal, debug=debug)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, level in handler.levels.items():
            logging.getLogger(name).setLevel(level)


class LogHandler(logging.Handler):
    """Writes log records as the rest of the terminal's lines; with `lines`, as that formats them.

    A line that cannot be written is let go: whoever logs must not fail of it, and nobody could be told.
    """

    def __init__(self, terminal: Terminal, *, debug: bool) -> None:
        super().__init__(logging.WARNING)
        self._terminal, self._debug = replace(terminal, heedless=True), debug
        self.lines: logging.Formatter | None = None
        self.levels: dict[str, int] = {}
        """Of loggers whose level was changed: what it was before."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; what raised it, by its name."""
        if self.lines is not None:
            return self._terminal.log_line(self.lines.format(record))
        said = record.getMessage()
        if self._debug:
            said = self.format(record)
        elif record.exc_info and record.exc_info[1] is not None:
            said += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        if record.levelno >= logging.WARNING:
            self._terminal.warn(said)
        else:
            self._terminal.say(f"{record.levelname.lower()}: {said}", "dim")
        return None


def silence_broken() -> None:
    """Where a reader has gone, or a disk is full: what Python flushes at exit goes nowhere instead of raising again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # it was closed before we began
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _harmless(char: str) -> bool:
    if char in _KEPT or char in _JOINERS:
        return True
    if unicodedata.category(char) in _UNSAFE:
        return False
    if char.isascii() or char in _SIGNS:
        return True
    from infrastructure.danger.looks import FILLERS  # noqa: PLC0415 - help and usage import nothing of the program

    return char not in FILLERS


def _is_tty(stream: IO[str] | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _is_terminal(stream: IO[str] | None) -> bool:
    """Whether it obeys codes for colours and the cursor; one that is dumb can only be written to, and asked at."""
    return _is_tty(stream) and not is_dumb()


def _coloured(line: str) -> Text:
    style = "bold" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], "")
    return Text(visible(line), style=style)


def _plain(value: object) -> object:
    if isinstance(value, os.PathLike):
        return os.fspath(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"no JSON for {type(value).__name__}")
    return dump(mode="json", by_alias=True)
