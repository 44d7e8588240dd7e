"""The calls that wait.

Owns the numbers of calls, and who waits where: for each lane its lines by band, and when each call's time is
over. What goes next is `placement`'s to say.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, merge
from operator import attrgetter
from typing import TYPE_CHECKING

from infrastructure.pool.fairness import Shares
from infrastructure.pool.line import Line
from infrastructure.pool.states import Band
from infrastructure.pool.ticket import Ticket, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infrastructure.pool.lanes import Lane

BANDS = tuple(sorted(Band, key=lambda band: band.order))
_BY_BAND = attrgetter("band.order")
_DEAD_KEPT = 64


class CallQueue:
    """Waiting calls. Putting in, taking out and looking at a lane cost nothing that grows with their number."""

    def __init__(self) -> None:
        self.shares = {band: Shares() for band in Band}
        self.calls: dict[int, Ticket] = {}
        """By number."""
        self.last_number = 0
        """Of the newest call."""
        self._lines: dict[Lane, list[Line]] = {}
        self._expiries: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self.calls)

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket.line is not None

    def count(self, band: Band) -> int:
        """Calls of the band that wait."""
        return sum(line.size for lines in self._lines.values() for line in lines if line.band is band)

    def of(self, lane: Lane) -> Sequence[Line]:
        """The lane's lines, the highest band first; none of them is empty."""
        return self._lines.get(lane, ())

    def lanes(self) -> list[Lane]:
        """The lanes for which calls wait."""
        return list(self._lines)

    def waiting(self, lane: Lane) -> int:
        """Calls of the lane that wait, of all bands but guesses."""
        return sum(line.size for line in self.of(lane) if line.band is not Band.SPECULATIVE)

    def lines(self) -> Iterator[Line]:
        """All lines: the higher bands first, within a band the one with the oldest call first."""
        return iter(sorted(self.unsorted(), key=head_order))

    def unsorted(self) -> list[Line]:
        """All lines, in no order."""
        return [line for lines in self._lines.values() for line in lines]

    def next_number(self) -> int:
        """The number of a new call."""
        self.last_number += 1
        return self.last_number

    def put(self, ticket: Ticket) -> None:
        """Add a call at the place its number gives it: one that comes back is as old as it was."""
        self._line(ticket).put(ticket)
        number, expiries = ticket.number, self._expiries
        self.calls[number] = ticket
        if ticket.conversation is not None:
            ticket.conversation.waiting[ticket] = None
        heappush(expiries, (ticket.expires_at, number))
        if len(expiries) > 2 * len(self.calls) + _DEAD_KEPT:
            self._drop_dead()

    def remove(self, ticket: Ticket) -> bool:
        """Take a call out, which must be in; whether it was the last one of its lane."""
        line = ticket.line
        if line is None:
            raise LookupError(f"call {ticket.number} does not wait")
        ticket.line = None
        del self.calls[ticket.number]
        if ticket.conversation is not None:
            del ticket.conversation.waiting[ticket]
        line.size -= 1
        return not line.size and self._close(line)

    def in_order(self) -> Iterator[Ticket]:
        """Every waiting call: bands one after the other, within a band the oldest first."""
        for band in BANDS:
            lines = [line for lines in self._lines.values() for line in lines if line.band is band]
            yield from merge(*lines, key=number_of)

    def expired(self, now: float) -> list[Ticket]:
        """The waiting calls whose time is over. They stay in."""
        found: dict[int, Ticket] = {}
        while self._expiries and self._expiries[0][0] <= now:
            number = heappop(self._expiries)[1]
            if number in self.calls:
                found[number] = self.calls[number]
        for number, ticket in found.items():
            heappush(self._expiries, (ticket.expires_at, number))
        return list(found.values())

    def next_expiry(self) -> float | None:
        """When the next waiting call's time is over."""
        while self._expiries and self._expiries[0][1] not in self.calls:
            heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def _line(self, ticket: Ticket) -> Line:
        """The line of a call; made where there is none."""
        band, excluded = ticket.call.band, ticket.excluded
        lines = self._lines.get(ticket.lane)
        if lines is None:
            lines = self._lines[ticket.lane] = []
        for line in lines:
            if line.band is band and line.excluded == excluded:
                return line
        line = Line(band, ticket.lane, excluded)
        lines.append(line)
        lines.sort(key=_BY_BAND)
        return line

    def _close(self, line: Line) -> bool:
        """Nobody is left in the line; whether nobody is left in its lane."""
        lines = self._lines[line.lane]
        lines.remove(line)
        if lines:
            return False
        del self._lines[line.lane]
        return True

    def _drop_dead(self) -> None:
        """Calls that left stay in the heap until they come up; once they are the most, it is built anew."""
        calls = self.calls
        left = [entry for entry in self._expiries if entry[1] in calls]
        if len(left) > len(calls):  # some have come back
            left = list(set(left))
        heapify(left)
        self._expiries = left


def newest_below(band: Band, lines: Sequence[Line]) -> Ticket | None:
    """The call of these lines that came last in the lowest band below the given one: the first to give up its place."""
    for lower in reversed(BANDS):
        if lower.order <= band.order:
            return None
        lowest = [line.newest for line in lines if line.band is lower]
        if lowest:
            return max(lowest, key=number_of)
    return None


def head_order(line: Line) -> tuple[int, int]:
    """Higher bands first, then the line with the older call."""
    return line.band.order, line.head.number
