"""What a process does that another one was forked into.

Owns who is told. A fork copies everything but the threads: a loop that ran in one runs no more, a lock that one held is
never released, and sockets are those of the process before, byte for byte.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator


class Forked(Protocol):
    """What has to begin anew in a forked process."""

    def begin_anew(self) -> None:
        """Be as after it was made, with new locks. Touch nothing of the process before; raise nothing."""
        ...


_told: WeakSet[Forked] = WeakSet()
_left: list[object] = []


def tell_when_forked(one: Forked) -> None:
    """Have it begin anew in each process that is forked from now on, as long as it lives."""
    _told.add(one)


def leave_alone(*things: object) -> None:
    """Keep what belongs to the process before from being finalized here: tasks and connections would end themselves."""
    _left.extend(things)


def let_go_of_sockets(loop: asyncio.AbstractEventLoop) -> None:
    """Make a copied loop's descriptors lead nowhere.

    Its selector is shared with the process before, which would no longer hear of what is unregistered here. And a
    connection that is closed there, as a call is cancelled, ends only once nobody has it open. Does nothing to a loop
    that is not of asyncio's own kind.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in set(_descriptors(loop)):
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)


def _descriptors(loop: object) -> Iterator[int]:
    selector = getattr(loop, "_selector", None)
    if selector is not None:
        yield selector.fileno()
        yield from selector.get_map() or ()
    for transport in getattr(loop, "_transports", {}).values():  # also those that nobody reads from at the moment
        descriptor = transport.get_extra_info("socket").fileno()
        if descriptor >= 0:
            yield descriptor


def _begin_anew() -> None:
    for one in tuple(_told):
        one.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
