"""What Ctrl-C does while a run goes on: the first stops it at a step, the second ends this process.

Owns the signal handler; what stopping means is its user's.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(on_first: Callable[[], None], signals: Sequence[signal.Signals] = _SIGNALS) -> Generator[None]:
    """Call `on_first`, in the event loop, at the first SIGINT or SIGTERM; at the second die of it at once.

    Dying by the signal itself tells a shell, and a loop in a shell script, what happened. `signals` may be fewer.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in signals}
    asked = False

    def handle(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        asked = True
        on_first()

    for number in signals:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
