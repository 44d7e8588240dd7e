"""The calls that wait, in the order in which they may go.

Owns the order only: strict bands, within a band the oldest first. Calls that fit the same places (same lane, same
excluded servers) form a line, so only the head of each line has to be looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heappop, heappush, merge
from typing import TYPE_CHECKING

from infrastructure.pool.lanes import Lane
from infrastructure.pool.states import Band
from infrastructure.pool.ticket import Ticket, number_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_Line = OrderedDict[int, Ticket]
_LineKey = tuple[Lane, frozenset[str]]


class CallQueue:
    """Waiting calls. Putting in, taking out and looking at the heads cost nothing that grows with their number."""

    def __init__(self) -> None:
        self._bands: dict[Band, dict[_LineKey, _Line]] = {band: {} for band in Band}
        self._counts: dict[Band, int] = dict.fromkeys(Band, 0)
        self._expiries: list[tuple[float, int, Ticket]] = []

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __contains__(self, ticket: Ticket) -> bool:
        line = self._bands[ticket.call.band].get(_key(ticket))
        return line is not None and ticket.number in line

    def count(self, band: Band) -> int:
        """Calls of the band that wait."""
        return self._counts[band]

    def put(self, ticket: Ticket) -> None:
        """Add a call at the place its number gives it: one that comes back is as old as it was."""
        lines = self._bands[ticket.call.band]
        key = _key(ticket)
        line = lines.get(key)
        if line is None:
            line = lines[key] = OrderedDict()
        newest = next(reversed(line), -1)
        line[ticket.number] = ticket
        if newest > ticket.number:
            for number in sorted(line):
                line.move_to_end(number)
        self._counts[ticket.call.band] += 1
        self._remember_expiry(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a call out. It must be in."""
        lines = self._bands[ticket.call.band]
        key = _key(ticket)
        del lines[key][ticket.number]
        if not lines[key]:
            del lines[key]
        self._counts[ticket.call.band] -= 1

    def lines(self, lanes: Container[Lane] | None = None) -> Iterator[tuple[Ticket, int]]:
        """The head of every line (of these lanes) with the line's length, in the order in which they may go."""
        for lines in self._bands.values():
            heads = [
                (next(iter(line.values())), len(line))
                for (lane, _), line in lines.items()
                if lanes is None or lane in lanes
            ]
            heads.sort(key=_head_number)
            yield from heads

    def lanes(self) -> set[Lane]:
        """The lanes for which calls wait."""
        return {lane for lines in self._bands.values() for lane, _ in lines}

    def in_order(self) -> Iterator[Ticket]:
        """Every waiting call in the order in which they may go."""
        for lines in self._bands.values():
            yield from merge(*(line.values() for line in lines.values()), key=number_of)

    def newest_below(self, band: Band) -> Ticket | None:
        """The call that came last in the lowest band below the given one: the first to give up its place."""
        for lower in reversed(Band):
            if lower.order <= band.order:
                return None
            if self._counts[lower]:
                return max((next(reversed(line.values())) for line in self._bands[lower].values()), key=number_of)
        return None

    def expired(self, now: float) -> list[Ticket]:
        """The waiting calls whose time is over. They stay in."""
        found: dict[int, Ticket] = {}
        while self._expiries and self._expiries[0][0] <= now:
            ticket = heappop(self._expiries)[2]
            if ticket in self:
                found[ticket.number] = ticket
        for ticket in found.values():
            heappush(self._expiries, (ticket.expires_at, ticket.number, ticket))
        return list(found.values())

    def next_expiry(self) -> float | None:
        """When the next waiting call's time is over."""
        while self._expiries and self._expiries[0][2] not in self:
            heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def _remember_expiry(self, ticket: Ticket) -> None:
        # Calls that left stay in the heap until they come up; once they are the most, it is built anew.
        if len(self._expiries) > 2 * len(self) + 64:
            self._expiries = sorted((each.expires_at, each.number, each) for each in self.in_order())
        else:
            heappush(self._expiries, (ticket.expires_at, ticket.number, ticket))


def _key(ticket: Ticket) -> _LineKey:
    return ticket.lane, ticket.excluded


def _head_number(head: tuple[Ticket, int]) -> int:
    return head[0].number
