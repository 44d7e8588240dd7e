"""One key that ends a view: `q`, at a terminal, without Enter.

Owns the terminal's mode meanwhile; it is put back however the view ends.
"""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager

_QUIT = frozenset(b"qQ")


@contextmanager
def quits(on_quit: Callable[[], None]) -> Generator[None]:
    """Call `on_quit`, in the event loop, when q is pressed. Does nothing where no terminal is read."""
    if not sys.stdin.isatty():
        yield
        return
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        pressed = os.read(descriptor, 64)
        if not pressed or pressed[0] in _QUIT:
            on_quit()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
