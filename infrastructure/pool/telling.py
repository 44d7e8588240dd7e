"""What is told of one call: to whoever watches it, and at its end to whoever counts.

Owns the updates of its state and the count of how it ended. Most calls are watched by nobody, and cost nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.calls import CallUpdate
from infrastructure.pool.observing import tell_end
from infrastructure.pool.states import CallState

if TYPE_CHECKING:
    from infrastructure.pool.calls import Reply
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.ticket import Ticket


class Telling:
    """Of one call."""

    __slots__ = ("_errand", "_pool", "loaded", "where")

    def __init__(self, errand: Errand, pool: Dispatcher) -> None:
        self._errand = errand
        self._pool = pool
        self.where: str | None = None
        """The label of the server that it was sent to last."""
        self.loaded: bool | None = None
        """Whether its model was in memory there."""

    def tell(self, ticket: Ticket, reply: Reply | None, state: CallState | None = None) -> None:
        """It is in this state, by its ticket unless one is given."""
        if self._errand.watch is None:
            return
        state = state or ticket.state
        position = self._pool.position(ticket) if state is CallState.QUEUED else None
        self._errand.watch(self._update(ticket, reply, state, position))

    def tell_position(self, ticket: Ticket, position: int) -> None:
        """So many calls go before it."""
        if self._errand.watch is not None:
            self._errand.watch(self._update(ticket, None, ticket.state, position))

    def tell_end(self, ticket: Ticket, reply: Reply | None, state: CallState) -> None:
        """The call is over: told and counted once, as its caller sees it; so nothing may be waited for after this.

        An error of whoever watches is what the caller sees then.
        """
        try:
            self.tell(ticket, reply, state)
        except Exception:
            state, reply = CallState.FAILED, None
            raise
        finally:
            self._count_end(ticket, reply, state)

    def count_refused(self) -> None:
        """The call was not even queued."""
        self._pool.counts[CallState.FAILED.value] += 1

    def _count_end(self, ticket: Ticket, reply: Reply | None, state: CallState) -> None:
        pool = self._pool
        pool.counts[state.value] += 1
        if pool.observers:
            seconds = pool.clock() - ticket.enqueued_at
            tell_end(pool.observers, self._errand, ticket, state, server=self.where, seconds=seconds, reply=reply)

    def _update(self, ticket: Ticket, reply: Reply | None, state: CallState, position: int | None) -> CallUpdate:
        return CallUpdate(
            state=state,
            server=self.where if ticket.attempts else None,
            position=position,
            attempt=ticket.attempts,
            loaded=self.loaded,
            seconds=self._pool.clock() - ticket.enqueued_at,
            reply=reply,
        )
