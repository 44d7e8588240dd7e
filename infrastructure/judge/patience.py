"""Ends a test that has had its processor time. Copied into the sandbox beside the harness, never imported.

A loop without an end is what models write most often of all that never comes back, so it is told as a red test with the
line where it was, and the tests behind it run. It is processor time of Python code in the main thread that counts: a
loaded machine makes no test red, and what sleeps, waits or loops in C is ended with the whole run. Python 3.8 on.
"""

import signal
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types
    from collections.abc import Generator, Iterator
    from typing import Any

    import pytest

LEAST = 1.0  # seconds: each test that is ended halves what the next one has, down to this
FRAMES = 5  # of where a test was that went on


class StillRunning(BaseException):
    """A test has had its processor time. No `except Exception` of the code under test keeps it."""

    __module__ = "builtins"  # tracebacks name no module then


class Patience:
    """With one test at a time. Whoever swallows the exception has a red test all the same.

    Args:
        seconds: Of processor time, and of the clock too: several threads use up the former faster. Where one test has
            come to no end others will not either, and the run shall.

    Attributes:
        said: Where the test was when it was told to end, and why; empty while it was not.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._least, self._began, self.said = seconds, min(seconds, LEAST), 0.0, ""
        # Held from here on: the project's code may put others in their place.
        self._set, self._now, self._virtual = signal.setitimer, time.monotonic, signal.ITIMER_VIRTUAL
        self._stack, self._listed = traceback.extract_stack, traceback.format_list
        signal.signal(signal.SIGVTALRM, self._over)

    def begin(self) -> None:
        """A test begins."""
        self.said = ""
        self._wait()

    def end(self) -> None:
        """It has ended."""
        self._set(self._virtual, 0)

    def pytest_runtest_call(self) -> "Iterator[None]":
        """A test of pytest's by itself, without its fixtures: one of a whole session may take long, once."""
        self.begin()
        yield
        self.end()

    def pytest_runtest_makereport(self, call: "pytest.CallInfo[None]") -> "Generator[None, Any, None]":
        """What became of it: it has failed, though it went on, or though its mark says that it fails."""
        outcome = yield
        report = outcome.get_result()
        if call.when == "call" and self.said:
            if call.excinfo is None or not report.failed:  # it went on, or its mark has made something else of it
                report.outcome, report.longrepr = "failed", self.said
            report.__dict__.pop("wasxfail", None)
        elif call.when == "setup":
            self.said = ""

    def _wait(self) -> None:
        self._began = self._now()
        self._set(self._virtual, self._seconds, self._seconds)

    def _over(self, _number: int, frame: "types.FrameType | None") -> None:
        __tracebackhide__ = True
        had = self._seconds
        if self._now() - self._began < had:
            return
        error = StillRunning(f"still running after {had:g} s of processor time (sandbox.test_seconds)")
        self.said = "".join((*self._listed(self._stack(frame)[-FRAMES:]), f"StillRunning: {error}"))
        self._seconds = max(had / 2, self._least)
        self._wait()
        raise error
