"""A line of waiting calls that fit the same places: one band, one lane, the same servers excluded.

Owns the order within it: the client that was served least goes first, within a client the oldest call. No step costs
more with more calls in the line: a call that left is only marked, and dropped when it comes to the front.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

from infrastructure.pool.ticket import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.states import Band
    from infrastructure.pool.ticket import Ticket

_DEAD_KEPT = 64


class Line:
    """Calls in the order of their numbers, all of them, by client, and by the server that has their prefix.

    A call is in the line while `ticket.line` says so.
    """

    __slots__ = ("_calls", "_clients", "_heap", "_last", "_owned", "band", "excluded", "lane", "size")

    def __init__(self, band: Band, lane: Lane, excluded: frozenset[str]) -> None:
        self.band = band
        self.lane = lane
        self.excluded = excluded
        self.size = 0
        self._last = -1
        self._calls: deque[Ticket] = deque()
        self._clients: dict[str, deque[Ticket]] = {}
        self._owned: dict[str, deque[Ticket]] = {}
        self._heap: list[tuple[float, int, str]] = []

    def __iter__(self) -> Iterator[Ticket]:
        """The calls, the oldest first."""
        return (ticket for ticket in self._calls if ticket.line is self)

    @property
    def head(self) -> Ticket:
        """The oldest call."""
        return self._front(self._calls)

    @property
    def newest(self) -> Ticket:
        """The call that came last."""
        calls = self._calls
        while calls[-1].line is not self:
            calls.pop()
        return calls[-1]

    @property
    def owned(self) -> bool:
        """Whether calls wait of which some server may have the beginning in its cache."""
        return bool(self._owned)

    def put(self, ticket: Ticket, counter: float) -> None:
        """Add a call at the place that its number gives it; `counter` is what its client has had so far."""
        self.size += 1
        ticket.line = self
        number = ticket.number
        if number <= self._last:  # it has been here before
            self._calls.append(ticket)
            self._rebuild({client: cost for cost, _, client in self._heap} | {ticket.call.client: counter})
            return
        self._last = number
        self._calls.append(ticket)
        client = ticket.call.client
        calls = self._clients.get(client)
        if calls is None:
            calls = self._clients[client] = deque()
            heappush(self._heap, (counter, number, client))
        calls.append(ticket)
        if ticket.owner is not None:
            self.own(ticket, ticket.owner)
        if len(self._calls) > 2 * self.size + _DEAD_KEPT:
            self._rebuild({client: cost for cost, _, client in self._heap})

    def remove(self, ticket: Ticket) -> None:
        """Take a call out. It must be in."""
        ticket.line = None
        self.size -= 1

    def own(self, ticket: Ticket, server: str) -> None:
        """The beginning of a waiting call's prompt is in this server's cache, and in no other."""
        ticket.owner = server
        calls = self._owned.get(server)
        if calls is None:
            calls = self._owned[server] = deque()
        calls.append(ticket)

    def owned_by(self, server: str) -> Ticket | None:
        """The first call of which the server has the beginning in its cache."""
        calls = self._owned.get(server)
        if calls is None:
            return None
        while calls:
            if calls[0].line is self and calls[0].owner == server:
                return calls[0]
            calls.popleft()
        del self._owned[server]
        return None

    def some_owned_by(self, server: str, count: int) -> list[Ticket]:
        """So many of the calls of which the server has the beginning in its cache."""
        calls = self._owned.get(server, ())
        return [ticket for ticket, _ in zip(calls, range(count), strict=False) if ticket.line is self]

    def first(self, count: int) -> list[Ticket]:
        """So many of the oldest calls."""
        return [ticket for ticket, _ in zip(self, range(count), strict=False)]

    def served_least(self, counters: Mapping[str, float]) -> deque[Ticket]:
        """The calls of the client whose turn it is, by what each has had; the first one waits, later ones may not."""
        heap, clients = self._heap, self._clients
        while True:
            # Counters only grow, so an entry that is no longer right is too small and comes up early.
            counter, number, client = heap[0]
            calls = clients[client]
            while calls and calls[0].line is not self:
                calls.popleft()
            if not calls:
                heappop(heap)
                del clients[client]
            elif counters[client] != counter:
                heapreplace(heap, (counters[client], number, client))
            else:
                return calls

    def _front(self, calls: deque[Ticket]) -> Ticket:
        while calls[0].line is not self:
            calls.popleft()
        return calls[0]

    def _rebuild(self, counters: Mapping[str, float]) -> None:
        """Drop the calls that left, and put those that came back where they belong."""
        waiting = sorted({ticket.number: ticket for ticket in self}.values(), key=number_of)
        self._calls = deque(waiting)
        self._last = max(self._last, waiting[-1].number)
        self._clients, self._owned = {}, {}
        for ticket in waiting:
            self._clients.setdefault(ticket.call.client, deque()).append(ticket)
            if ticket.owner is not None:
                self._owned.setdefault(ticket.owner, deque()).append(ticket)
        self._heap = [(counters[client], calls[0].number, client) for client, calls in self._clients.items()]
        heapify(self._heap)
