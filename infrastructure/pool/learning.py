"""How many calls a server answers at once, where nobody says so.

Owns what calls have shown, for each lane: so many ran side by side, so many made one wait. One call more than proven is
let in at a time, so never more than one waits inside a server for finding out.

A server's final chunk tells its own waiting: total - load - prompt - decode (measured on real servers, right within
10 ms). A call that did not wait, and beside which others went on being answered that were answered before it, had a
slot beside theirs. One that waited had none only if another's end ended the wait: on a GPU, tens of milliseconds seem
to pass for other reasons too (docs/benchmarks.md). Such a wait still proves little, two do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.pool.ticket import Ticket

MOST_SLOTS = 64
"""No server is asked for more at once."""
SIDE_BY_SIDE_SECONDS = 0.02
"""How long calls must have been answered beside each other before it counts: an end may be told late."""
_TIMES_WAIT = 4.0
"""So many times the call's own wait, too: without a slot it would have waited for about as long."""
WAIT_SECONDS = 0.025
"""A call that the server let wait for less had a slot."""
_STRIKES = 2
_ASK_AGAIN_SECONDS = (60.0, 3600.0)


class SlotLearner:
    """What is known of one lane's slots on one server."""

    __slots__ = ("_again", "_asks_at", "_ceiling", "_strikes", "_struck", "proven")

    def __init__(self) -> None:
        self.proven = 1
        self._ceiling: int | None = None
        self._strikes = 0
        self._struck = 0
        """How many calls were in flight at the last of them."""
        self._again = _ASK_AGAIN_SECONDS[0]
        self._asks_at = 0.0

    @property
    def settled(self) -> bool:
        """Whether the number is known: one more made calls wait."""
        return self._ceiling is not None or self.proven == MOST_SLOTS

    @property
    def limit(self) -> int:
        """How many calls may be there at once now."""
        if self._ceiling is not None:
            return min(self.proven, self._ceiling - 1)
        return min(self.proven + 1, MOST_SLOTS)

    def ended(
        self, ticket: Ticket, others: Iterable[Ticket], wait_seconds: float, away_seconds: float, now: float
    ) -> None:
        """A call is done.

        Args:
            ticket: the call.
            others: the calls in flight beside it.
            wait_seconds: how long the server let it wait for a slot, by its own word.
            away_seconds: how long it was neither in the queue nor with the server: the way there and back.
            now: seconds.
        """
        if waited_for_a_slot(ticket, wait_seconds, away_seconds):
            self._waited(ticket.beside + 1, now)
            return
        if ticket.beside + 1 >= self._struck:
            self._strikes = 0  # as many at once did not wait this time
        least = max(SIDE_BY_SIDE_SECONDS, _TIMES_WAIT * wait_seconds)
        overlaps = [*ticket.overlaps, *(overlap(ticket, other, now) for other in others)]
        together = 1 + sum(each >= least for each in overlaps)
        if together > self.proven:
            self.proven = together
            self._strikes = 0
            if self._ceiling is not None and self._ceiling <= together:
                self._ceiling = None
        if self._ceiling is not None and now >= self._asks_at:
            self._ceiling = None

    def _waited(self, at_once: int, now: float) -> None:
        """One of so many calls had to wait."""
        if at_once <= 1:
            return  # somebody else's calls
        self._strikes, self._struck = self._strikes + 1, at_once
        if self._strikes < _STRIKES:
            return
        self._strikes = 0
        if self._ceiling is not None:
            self._again = min(2 * self._again, _ASK_AGAIN_SECONDS[1])
        self._ceiling = at_once if self._ceiling is None else min(at_once, self._ceiling)
        self._ceiling = max(2, self._ceiling)
        self.proven = min(self.proven, self._ceiling - 1)
        self._asks_at = now + self._again


def overlap(ticket: Ticket, other: Ticket, now: float) -> float:
    """How long a call that was being answered before this one has been answered beside it until now, in seconds.

    All that this holds of are answered at one moment, so each has a slot. One whose first byte came later may have had
    to wait for the slot of another: while it has none, the figure is how long it has been there, below zero.
    """
    first, before = ticket.first_byte_at, other.first_byte_at
    if first is None:
        return ticket.placed_at - now
    return 0.0 if before is None or before > first else now - first


def waited_for_a_slot(ticket: Ticket, wait_seconds: float, away_seconds: float) -> bool:
    """Whether another call's end explains a wait: it came before the wait was over, and not before half of it.

    The wait is by the server's clock, the end by ours, which the way there and back lies between.
    """
    latest = wait_seconds + away_seconds + WAIT_SECONDS
    return wait_seconds >= WAIT_SECONDS and any(wait_seconds / 2 <= -each <= latest for each in ticket.overlaps)
