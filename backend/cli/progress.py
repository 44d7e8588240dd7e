"""Progress on stderr: a live view on a terminal, a line an event elsewhere, nothing when asked for quiet.

Owns `Progress` and how one is chosen. What is kept on the screen is the same lines in both forms. Where there is no
live view, a line now and then tells that a long step is still alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from rich.live import Live

from backend.cli.console import Terminal
from backend.cli.live import LiveView
from backend.cli.render import DIM, Line, lines_of
from infrastructure.events.catalogue import Event

PULSE_SECONDS = 15.0
"""So long may nothing be said while something is under way."""
_TICK_SECONDS = 1.0


class Progress(Protocol):
    """Shows what happens while it happens. It owns the screen from `shown` on until that is left."""

    def event(self, event: Event) -> None:
        """Something happened."""
        ...

    def line(self, line: Line) -> None:
        """Something to say that is no event."""
        ...

    @contextmanager
    def paused(self) -> Generator[None]:
        """Leave the screen to a question."""
        ...


class Quiet:
    """Shows nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def line(self, line: Line) -> None:
        """Nothing."""

    @contextmanager
    def paused(self) -> Generator[None]:
        """Nothing to pause."""
        yield


class Plain:
    """A line an event."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def event(self, event: Event) -> None:
        """Print its lines, if it has any."""
        for line in lines_of(event):
            self.line(line)

    def line(self, line: Line) -> None:
        """Print it."""
        self._terminal.say(line.text, line.style)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Nothing to pause."""
        yield


class Pulsing(Plain):
    """The same lines, and between them, where none came for a while, one that says what is under way."""

    def __init__(self, terminal: Terminal, view: LiveView) -> None:
        super().__init__(terminal)
        self._view, self._said = view, view.now()

    def event(self, event: Event) -> None:
        """Take it in, and print its lines."""
        self._view.feed(event)
        super().event(event)

    def line(self, line: Line) -> None:
        """Print it."""
        self._said = self._view.now()
        super().line(line)

    def tick(self) -> None:
        """Say what is under way, if nothing was said for long enough."""
        standing = self._view.standing()
        if standing and self._view.now() - self._said >= PULSE_SECONDS:
            self.line(Line(standing, DIM))


class Lively(Plain):
    """The same lines, and below them what is under way."""

    def __init__(self, terminal: Terminal, live: Live, view: LiveView) -> None:
        super().__init__(terminal)
        self._live, self._view = live, view

    def event(self, event: Event) -> None:
        """Take it in, and print its lines above the view."""
        self._view.feed(event)
        super().event(event)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Take the view off the screen for a while."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()


@contextmanager
def shown(terminal: Terminal, *, quiet: bool, pulse: bool = False) -> Generator[Progress]:
    """The progress that fits the terminal.

    Args:
        terminal: Where it is shown.
        quiet: Whether nothing is.
        pulse: Whether a long silence is broken where there is no live view; that needs a running event loop.
    """
    if quiet:
        yield Quiet()
    elif not terminal.err.is_terminal:
        if not pulse:
            yield Plain(terminal)
            return
        pulsing = Pulsing(terminal, LiveView())
        with ticking(pulsing.tick):
            yield pulsing
    else:
        view = LiveView()
        with Live(view, console=terminal.err, transient=True, refresh_per_second=8, redirect_stdout=False) as live:
            yield Lively(terminal, live, view)


@contextmanager
def ticking(tick: Callable[[], None]) -> Generator[None]:
    """Call `tick` about every second meanwhile, in the running event loop."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        nonlocal handle
        tick()
        handle = loop.call_later(_TICK_SECONDS, once)

    handle = loop.call_later(_TICK_SECONDS, once)
    try:
        yield
    finally:
        handle.cancel()
