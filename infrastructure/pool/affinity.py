"""Who has a conversation's beginning in its cache.

Owns the owners: for each lane and prefix the server that evaluated it last, and how many tokens lie there. A bounded
number is remembered; the longest unused goes first, as in the servers' own caches.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

PREFIXES_KEPT = 4096


@dataclass(slots=True)
class Owner:
    """Where a prefix lies."""

    server: str
    tokens: int
    """Of the longest prompt of this conversation that was evaluated there."""


class PrefixOwners:
    """The owners of prefixes."""

    def __init__(self) -> None:
        self._owners: OrderedDict[tuple[Lane, str], Owner] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owners)

    def of(self, lane: Lane, prefix: str | None) -> Owner | None:
        """Who owns it."""
        return None if prefix is None else self._owners.get((lane, prefix))

    def cached(self, lane: Lane, prefix: str | None, server: str) -> int:
        """Tokens of the prefix that lie on the server."""
        owner = self.of(lane, prefix)
        return owner.tokens if owner is not None and owner.server == server else 0

    def take(self, lane: Lane, prefix: str, server: str, tokens: int) -> None:
        """A call with this prefix is evaluated there."""
        key = (lane, prefix)
        self._owners[key] = Owner(server, tokens)
        self._owners.move_to_end(key)
        if len(self._owners) > PREFIXES_KEPT:
            self._owners.popitem(last=False)

    def forget(self, server: str, lane: Lane | None = None) -> None:
        """The server's cache is gone: all of it, or that of a lane that was unloaded."""
        gone = [
            key for key, owner in self._owners.items() if owner.server == server and (lane is None or key[0] == lane)
        ]
        for key in gone:
            del self._owners[key]
