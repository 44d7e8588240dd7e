"""Who watches a session from turn to turn.

Owns the word to them that another turn has begun; what it says they hear from its feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from infrastructure.conversation.driving import LiveTurn

Turns = asyncio.Queue[LiveTurn | None]


class Watching:
    """The watchers of all sessions. Of one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Turns]] = {}
        self._closed = False

    @contextmanager
    def listen(self, session: str) -> Generator[Turns]:
        """The turns that begin from here on; None when none will any more."""
        turns = Turns()
        if self._closed:
            turns.put_nowait(None)
        self._watchers.setdefault(session, set()).add(turns)
        try:
            yield turns
        finally:
            self._watchers[session].discard(turns)
            if not self._watchers[session]:
                del self._watchers[session]

    def tell(self, live: LiveTurn) -> None:
        """A turn has begun."""
        for turns in self._watchers.get(live.record.session, ()):
            turns.put_nowait(live)

    def close(self) -> None:
        """Say that no turn will begin any more. Idempotent."""
        self._closed = True
        for watchers in self._watchers.values():
            for turns in watchers:
                turns.put_nowait(None)
