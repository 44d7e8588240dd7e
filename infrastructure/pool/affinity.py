"""Who has a conversation's beginning in its cache.

Owns the owners: for each lane and prefix the server that evaluated it last, and how many tokens lie there. A bounded
number is remembered; the longest unused goes first, as in the servers' own caches.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

Conversation: TypeAlias = "tuple[Lane, str]"
"""A lane and the prefix of its calls."""

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
        self._owners: OrderedDict[Conversation, Owner] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owners)

    def of(self, conversation: Conversation) -> str | None:
        """The server that has it."""
        owner = self._owners.get(conversation)
        return None if owner is None else owner.server

    def cached(self, conversation: Conversation | None, server: str) -> int:
        """Tokens of it that lie on the server."""
        owner = None if conversation is None else self._owners.get(conversation)
        return owner.tokens if owner is not None and owner.server == server else 0

    def take(self, conversation: Conversation, server: str, tokens: int) -> None:
        """A call of it is evaluated there."""
        owners = self._owners
        owner = owners.get(conversation)
        if owner is None:
            owners[conversation] = Owner(server, tokens)
            if len(owners) > PREFIXES_KEPT:
                owners.popitem(last=False)
        else:
            owner.server, owner.tokens = server, tokens
            owners.move_to_end(conversation)

    def forget(self, server: str, lane: Lane | None = None) -> None:
        """The server's cache is gone: all of it, or that of a lane that was unloaded."""
        gone = [
            key for key, owner in self._owners.items() if owner.server == server and (lane is None or key[0] == lane)
        ]
        for key in gone:
            del self._owners[key]
