"""Ends a test that has had its processor time. Copied into the sandbox beside the harness, never imported.

A loop without an end is what models write most often of all that never comes back, so it is told as a red test with the
line where it was, and the tests behind it run. It is processor time of Python code in the main thread that counts: a
loaded machine makes no test red, and what sleeps, waits or loops in C is ended with the whole run. Python 3.8 on.
"""

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST = 1.0  # seconds: each test that is ended halves what the next one has, down to this
AGAIN = 5.0  # seconds of processor time until code that has caught it is told once more


class StillRunning(BaseException):
    """A test has had its processor time. No `except Exception` of the code under test keeps it."""

    __module__ = "builtins"  # tracebacks name no module then


class Patience:
    """With one test at a time.

    Args:
        seconds: Of processor time, and of the clock too: several threads use up the former faster. Where one test has
            come to no end others will not either, and the run shall.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._least, self._began = seconds, min(seconds, LEAST), 0.0
        # Held from here on: the project's code may put others in their place.
        self._set, self._now, self._virtual = signal.setitimer, time.monotonic, signal.ITIMER_VIRTUAL
        signal.signal(signal.SIGVTALRM, self._over)

    def begin(self) -> None:
        """A test begins."""
        self._began = self._now()
        self._set(self._virtual, self._seconds, AGAIN)

    def end(self) -> None:
        """It has ended."""
        self._set(self._virtual, 0)

    def pytest_runtest_call(self) -> "Iterator[None]":
        """A test of pytest's by itself, without its fixtures: one of a whole session may take long, once."""
        self.begin()
        yield
        self.end()

    def _over(self, *_: object) -> None:
        __tracebackhide__ = True
        had = self._seconds
        if self._now() - self._began >= had:
            self._seconds = max(had / 2, self._least)
            raise StillRunning(f"still running after {had:g} s of processor time (sandbox.test_seconds)")
