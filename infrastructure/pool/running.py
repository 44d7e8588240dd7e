"""A call under way, as the rest of the pool needs to reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.errors import OllamaError, Partial


class Running(Protocol):
    """What the dispatcher keeps of each call, from its place in the queue to its end."""

    ticket: Ticket
    errand: Errand
    left: frozenset[str]
    """Servers from which it was taken back, since they said nothing."""

    @property
    def ends_at(self) -> float:
        """When its time is over, by the pool's clock, where it is a stream that has been sent; else infinite."""
        ...

    @property
    def characters(self) -> int:
        """How much of the answer has come."""
        ...

    @property
    def partial(self) -> Partial:
        """What has come of the answer."""
        ...

    @property
    def reading(self) -> bool:
        """Whether somebody waits for the next chunk."""
        ...

    def interrupt(self, slot: Slot, error: OllamaError | None) -> None:
        """Its slot is taken: close the stream and free the slot; then fail with the error, or go on if None."""
        ...

    def tell_position(self, position: int) -> None:
        """So many calls go before it."""
        ...
