"""Ends of turns that could not be written down: kept in memory, and written before anything else is done to a session.

Owns what is left of such a turn. Who watched was told that it failed, so that is how it ended: it is not gone on with
while this process lives. What is not written by its end the next process finds in the table, as after a crash.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from infrastructure.conversation.driving import Driver, LiveTurn, conclude, in_words
from infrastructure.storage.errors import StorageError

_logger = logging.getLogger(__name__)


class UnkeptEnds:
    """All of them, at most one a session. Of one event loop; whoever settles one has the session to himself."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._ends: dict[str, LiveTurn] = {}

    def __contains__(self, session: object) -> bool:
        return session in self._ends

    def add(self, live: LiveTurn, error: Exception) -> None:
        """Tell who watches that the turn failed, and keep that."""
        live.record = replace(live.record, status="failed", reason=in_words(error))
        conclude(live, live.record)
        self._ends[live.record.session] = live

    def drop(self, session: str) -> None:
        """Forget the end of a session's turn: the session is gone."""
        self._ends.pop(session, None)

    async def settle(self, session: str) -> None:
        """Write down how the session's turn ended, where that was not done.

        Raises:
            StorageError: it still cannot be.
        """
        live = self._ends.get(session)
        if live is None:
            return
        try:
            await self._driver.end(live, "failed", live.record.reason)
        except StorageError:
            raise
        except Exception:  # a fault of ours: told once, and no more tried; the turn's row still says that it runs
            _logger.exception("how turn %s ended cannot be written down", live.record.turn)
        self.drop(session)

    async def settle_all(self) -> None:
        """Try each once; those that still cannot be written stay."""
        for session in tuple(self._ends):
            with suppress(StorageError):  # the next process goes on with it
                await self.settle(session)
        if self._ends:
            _logger.warning("how the turns of %d sessions ended could not be written down", len(self._ends))
