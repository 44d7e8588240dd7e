"""Who has a conversation's beginning in its cache.

Owns the conversations: for each lane and prefix the server that evaluated it last, how many tokens lie there, and the
calls that wait. A bounded number is remembered; those that no call has asked for longest go first, as in the servers'
own caches.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.ticket import Ticket

PREFIXES_KEPT = 4096
"""So many that calls came for last are remembered, and at most twice as many."""


class Conversation:
    """Calls of a lane that share the beginning of their prompts."""

    __slots__ = ("lane", "server", "tokens", "waiting")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.server: str | None = None
        """Who has it in its cache."""
        self.tokens = 0
        """Of the longest prompt that was evaluated there."""
        self.waiting: dict[Ticket, None] = {}
        """Its calls in the queue."""

    def cached(self, server: str) -> int:
        """Tokens of it that lie on the server."""
        return self.tokens if self.server == server else 0

    def goes_to(self, server: str, tokens: int) -> None:
        """A call of it is sent there: those that wait had best follow."""
        self.server, self.tokens = server, tokens
        for ticket in self.waiting:
            if ticket.owner != server and ticket.line is not None:
                ticket.line.own(ticket, server)


class Conversations:
    """Those that are remembered."""

    def __init__(self) -> None:
        # When the newer ones are many enough, they become the older ones, and what was left of those is forgotten.
        self._newer: dict[tuple[Lane, str], Conversation] = {}
        self._older: dict[tuple[Lane, str], Conversation] = {}

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def of(self, lane: Lane, prefix: str) -> Conversation:
        """The conversation that a call belongs to."""
        key = (lane, prefix)
        found = self._newer.get(key)
        if found is None:
            found = self._older.get(key) or Conversation(lane)
            if len(self._newer) >= PREFIXES_KEPT:
                self._newer, self._older = {}, self._newer
            self._newer[key] = found
        return found

    def forget(self, server: str, lane: Lane | None = None) -> None:
        """The server's cache is gone: all of it, or that of a lane that was unloaded."""
        for each in chain(self._newer.values(), self._older.values()):
            if each.server == server and (lane is None or each.lane == lane):
                each.server, each.tokens = None, 0
