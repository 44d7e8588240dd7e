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
    from collections.abc import Iterator, Sequence

    from infrastructure.pool.fairness import Account
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.states import Band
    from infrastructure.pool.ticket import Ticket

_DEAD_KEPT = 64


class Line:
    """Calls in the order of their numbers, all of them, by client, and by the server that has their prefix.

    A call is in the line while `ticket.line` says so.
    """

    __slots__ = ("_calls", "_clients", "_heap", "_last", "band", "excluded", "lane", "owned", "size")

    def __init__(self, band: Band, lane: Lane, excluded: frozenset[str]) -> None:
        self.band = band
        self.lane = lane
        self.excluded = excluded
        self.size = 0
        self.owned: dict[str, deque[Ticket]] = {}
        """By server, the calls of which it may have the beginning in its cache."""
        self._last = -1
        self._calls: deque[Ticket] = deque()
        self._clients: dict[Account, deque[Ticket]] = {}
        self._heap: list[tuple[float, int, Account]] = []

    def __iter__(self) -> Iterator[Ticket]:
        """The calls, the oldest first."""
        for ticket in self._calls:
            if ticket.line is self:
                yield ticket

    @property
    def head(self) -> Ticket:
        """The oldest call."""
        calls = self._calls
        while calls[0].line is not self:
            calls.popleft()
        return calls[0]

    @property
    def newest(self) -> Ticket:
        """The call that came last."""
        calls = self._calls
        while calls[-1].line is not self:
            calls.pop()
        return calls[-1]

    def put(self, ticket: Ticket) -> None:
        """Add a call at the place that its number gives it."""
        self.size += 1
        ticket.line = self
        number, calls = ticket.number, self._calls
        calls.append(ticket)
        if number <= self._last:  # it has been here before
            self._rebuild(sorted(set(self), key=number_of))
            return
        self._last = number
        account = ticket.account
        of_client = self._clients.get(account)
        if of_client is None:
            of_client = self._clients[account] = deque()
            heappush(self._heap, (account.counter, number, account))
        of_client.append(ticket)
        if ticket.owner is not None:
            self.own(ticket, ticket.owner)
        if len(calls) > 2 * self.size + _DEAD_KEPT:
            self._rebuild(list(self))

    def own(self, ticket: Ticket, server: str) -> None:
        """The beginning of a waiting call's prompt is in this server's cache, and in no other."""
        ticket.owner = server
        calls = self.owned.get(server)
        if calls is None:
            calls = self.owned[server] = deque()
        calls.append(ticket)

    def owned_by(self, server: str) -> Ticket | None:
        """The first call of which the server has the beginning in its cache."""
        calls = self.owned.get(server)
        if calls is None:
            return None
        while calls:
            ticket = calls[0]
            if ticket.line is self and ticket.owner == server:
                return ticket
            calls.popleft()
        del self.owned[server]
        return None

    def some_owned_by(self, server: str, count: int) -> list[Ticket]:
        """So many of the calls of which the server has the beginning in its cache."""
        calls = self.owned.get(server, ())
        return [ticket for ticket, _ in zip(calls, range(count), strict=False) if ticket.line is self]

    def first(self, count: int) -> list[Ticket]:
        """So many of the oldest calls."""
        return [ticket for ticket, _ in zip(self, range(count), strict=False)]

    def served_least(self) -> deque[Ticket]:
        """The calls of the client whose turn it is, by what each has had; the first one waits, later ones may not."""
        heap, clients = self._heap, self._clients
        while True:
            # Counters only grow, so an entry that is no longer right is too small and comes up early.
            counter, number, account = heap[0]
            calls = clients[account]
            while calls and calls[0].line is not self:
                calls.popleft()
            if not calls:
                heappop(heap)
                del clients[account]
            elif account.counter != counter:
                heapreplace(heap, (account.counter, number, account))
            else:
                return calls

    def _rebuild(self, waiting: Sequence[Ticket]) -> None:
        """Drop the calls that left; those that wait are given in their order."""
        self._calls = deque(waiting)
        self._last = max(self._last, waiting[-1].number)
        self._clients, self.owned = {}, {}
        for ticket in waiting:
            self._clients.setdefault(ticket.account, deque()).append(ticket)
            if ticket.owner is not None:
                self.owned.setdefault(ticket.owner, deque()).append(ticket)
        self._heap = [(account.counter, calls[0].number, account) for account, calls in self._clients.items()]
        heapify(self._heap)
