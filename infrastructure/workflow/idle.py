"""Asking in idle slots: a candidate's call waits in the speculative band until the candidate leads its round.

Owns the passage from one band to the other. A call that is being answered goes on as it is; one that still waits, or
has lost its slot, is asked anew in the run's own band.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from infrastructure.pool.calls import Call, CallUpdate, Watch
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.states import Band, CallState

T = TypeVar("T")

_WITHOUT_SLOT = frozenset({CallState.QUEUED, CallState.PREEMPTED})


class _Watched:
    """Passes on what is told of a call, and knows whether it waits."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.waits = asyncio.Event()

    def __call__(self, update: CallUpdate) -> None:
        if update.state in _WITHOUT_SLOT:
            self.waits.set()
        else:
            self.waits.clear()
        self._watch(update)


async def ask_when_idle(
    ask: Callable[[Call, Watch], Awaitable[T]], call: Call, watch: Watch, leads: asyncio.Event
) -> T:
    """Ask in the speculative band; from the moment that the candidate leads, a call that waits is asked in `call`'s.

    Args:
        ask: Asks once; cancelling it stops the generation.
        call: The run's own band, client and prefix.
        watch: Told of each update of whichever call there is.
        leads: Set when the candidate leads.
    """
    if leads.is_set():
        return await ask(call, watch)
    watched = _Watched(watch)
    asking = asyncio.ensure_future(ask(replace(call, band=Band.SPECULATIVE), watched))
    turn = asyncio.ensure_future(_turn(leads, watched.waits))
    try:
        await asyncio.wait((asking, turn), return_when=asyncio.FIRST_COMPLETED)
        if asking.done() and not isinstance(asking.exception(), PoolSaturated):
            return asking.result()
    finally:
        await _end(asking, turn)
    await leads.wait()  # a full queue takes no guesses: it may be asked when it is one no more
    return await ask(call, watch)


async def _turn(leads: asyncio.Event, waits: asyncio.Event) -> None:
    await leads.wait()
    await waits.wait()


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
