"""The event loop that a server runs on, and its end.

Owns the choice of the loop, and that a process whose loop has broken ends: in order where it can, else all the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:  # the extra `fast` is not installed, or this is no system that has it
    uvloop = None

T = TypeVar("T")

LAST_RESORT_SECONDS = 4.8
"""A process that is to end is ended after that: everything acknowledged is on disk already."""
CLOSING_SECONDS = 1.0
"""What `main` left behind may take as long to end: a thread that waits for a name to be found takes half a minute."""
BROKEN_EXIT = 3
"""How a process ends whose loop broke."""

_logger = logging.getLogger(__name__)


def loop_name() -> str:
    """Which event loop this runs on."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def run_in_loop(main: Callable[[], Coroutine[Any, Any, T]], *, fast: bool = True) -> T:
    """Run to its end on uvloop where it is installed, else, and where it need not be fast, on asyncio's own loop.

    What breaks the loop itself (an error of whoever tells of errors, `SystemExit` in a callback) is raised here, when
    `main` has been cancelled and come to its end. The process ends where that takes longer than the last resort; and
    with 0 where `main` has returned, and what it left in threads does not come to its end with it.
    """
    running: list[asyncio.Task[Any]] = []

    async def noted() -> T:
        running.extend(task for task in (asyncio.current_task(),) if task is not None)
        return await main()

    watchdogs = [_watchdog(LAST_RESORT_SECONDS, BROKEN_EXIT)]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast and uvloop is not None else None) as runner:
            try:
                result = runner.run(noted())
                watchdogs.append(_watchdog(CLOSING_SECONDS, 0))
                watchdogs[-1].start()
                return result
            except BaseException as error:
                if running and not running[0].done():
                    watchdogs[0].start()
                    _bring_to_its_end(runner.get_loop(), running[0], error)
                raise
    finally:
        for each in watchdogs:
            each.cancel()


def _bring_to_its_end(loop: asyncio.AbstractEventLoop, main: asyncio.Task[Any], broke: BaseException) -> None:
    """Let a loop that broke go on until `main` is cancelled, and nothing else: it may wait for the others as it ends.

    asyncio's runner cancels all at once, and then waits for those that wait for the others.
    """
    with suppress(Exception):  # it may be the log that broke the loop
        _logger.critical("the event loop broke; what runs in it is brought to its end", exc_info=broke)
    until = time.monotonic() + LAST_RESORT_SECONDS
    main.cancel()
    while not main.done() and time.monotonic() < until:
        with suppress(Exception, SystemExit):  # it may break again
            loop.run_until_complete(asyncio.wait([main]))


def _watchdog(seconds: float, code: int) -> threading.Timer:
    watchdog = threading.Timer(seconds, _die, (code,))
    watchdog.daemon = True
    return watchdog


def _die(code: int) -> None:
    with suppress(Exception):
        _logger.critical("it does not come to its end: the process ends without it")
    os._exit(code)
