"""SIGHUP: read the settings again, or, where it means that the terminal is gone, end.

Owns the telling of the two: the kernel sends the same signal for both. A command that had a terminal and cannot open it
any more has lost it; one that was started to outlive it (`nohup`) ignores that from the start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

TERMINAL = "/dev/tty"
_log = logging.getLogger(__name__)


@contextmanager
def on_hangup(
    reload: Callable[[], Coroutine[Any, Any, object]],
    *,
    ended: Callable[[], None],
    attached: Callable[[], bool] | None = None,
) -> Generator[None]:
    """Take SIGHUP while this is open; only in the main thread. Nothing where the system has no such signal.

    Args:
        reload: Reads the settings again.
        ended: Called when the terminal is gone.
        attached: Whether there is a terminal now; asked of the system when it is left out.
    """
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGHUP)
    attached = attached or has_terminal
    outlives = before is signal.SIG_IGN or not attached()
    tasks: set[asyncio.Task[object]] = set()

    def handle() -> None:
        if not outlives and not attached():
            ended()
            return
        task = loop.create_task(reload(), name="read the settings again")
        tasks.add(task)
        task.add_done_callback(partial(_done, tasks))

    loop.add_signal_handler(signal.SIGHUP, handle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, before)
        for task in tasks:
            task.cancel()


def has_terminal() -> bool:
    """Whether this process has a terminal that answers."""
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _done(tasks: set[asyncio.Task[object]], task: asyncio.Task[object]) -> None:
    tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the settings could not be read again", exc_info=error)
