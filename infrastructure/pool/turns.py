"""Who sleeps until it has a slot.

Owns who has no slot, or has not seen it yet, and a future for each that sleeps: woken with a slot, or with the error
that ends the wait. Most calls find a free slot at once and need none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.errors import OllamaError


class Turns:
    """The calls that wait for their turn."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[None] | None] = {}

    def __contains__(self, ticket: Ticket) -> bool:
        """Whether the call has no slot yet, or does not know of it: then nothing has been sent."""
        return ticket.number in self._futures

    def line_up(self, ticket: Ticket) -> None:
        """The call waits, once more perhaps."""
        self._futures[ticket.number] = None

    def wake(self, ticket: Ticket) -> None:
        """The call has a slot."""
        future = self._futures.get(ticket.number)
        if future is not None and not future.done():
            future.set_result(None)

    def refuse(self, ticket: Ticket, error: OllamaError) -> None:
        """The call gets none."""
        self._pending(ticket).set_exception(error)

    async def wait(self, ticket: Ticket) -> Slot:
        """Until it has a slot, which it knows of from then on.

        Raises:
            OllamaError: it was refused.
        """
        while ticket.slot is None:  # a slot may be taken back before its call has seen it
            future = self._futures[ticket.number]
            await (self._pending(ticket) if future is None else future)
        self._futures.pop(ticket.number, None)
        return ticket.slot

    def leave(self, ticket: Ticket) -> bool:
        """The call waits no longer; whether it did."""
        if ticket.number not in self._futures:
            return False
        future = self._futures.pop(ticket.number)
        if future is not None and future.done() and not future.cancelled():
            future.exception()  # seen: the cancellation goes before it
        return True

    def _pending(self, ticket: Ticket) -> asyncio.Future[None]:
        """What the call sleeps on; a new one where there is none, or it is over."""
        future = self._futures[ticket.number]
        if future is None or future.done():
            future = self._futures[ticket.number] = asyncio.get_running_loop().create_future()
        return future
