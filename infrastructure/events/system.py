"""What belongs to no run and no session: the program itself, and the servers it asks.

Owns the telling, under `ids.SYSTEM`. That nothing of it can be kept stops nobody: it is said in the program's own log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from infrastructure.events.catalogue import ServerEjected, ServerReturned, SystemStarted, SystemStopped
from infrastructure.ids import SYSTEM
from infrastructure.storage.errors import StorageError

if TYPE_CHECKING:
    from types import TracebackType

    from infrastructure.events.catalogue import AnyEvent
    from infrastructure.events.log import EventLog

_logger = logging.getLogger(__name__)


class SystemEvents:
    """Tells of the program, and of servers that come and go (a `ServerObserver` of the pool)."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def started(self, version: str, verb: str) -> None:
        """An engine has taken the data directory."""
        await self._tell(SystemStarted(version=version, verb=verb))

    async def left(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It lets go of it, for this error or for none; to be called when all else is closed but the log."""
        try:
            await self._log.flush(SYSTEM)  # what could not be kept of servers is told here, and no reason to fail
        except StorageError as lost:
            _logger.warning("events of servers could not be kept: %s", lost)
        await self._tell(SystemStopped(reason="" if kind is None else kind.__name__))

    def ejected(self, server: str, reason: str) -> None:
        """A server gets no more calls."""
        self._log.post(SYSTEM, 0, ServerEjected(server=server, reason=reason))

    def returned(self, server: str) -> None:
        """It gets calls again."""
        self._log.post(SYSTEM, 0, ServerReturned(server=server))

    async def _tell(self, event: AnyEvent) -> None:
        try:
            await self._log.append(SYSTEM, 0, event)
        except StorageError as lost:
            _logger.warning("%s could not be kept: %s", event.kind, lost)
