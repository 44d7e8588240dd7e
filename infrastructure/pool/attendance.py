"""Which servers get no calls, and who is told when that changes.

Owns the difference between before and now: a server that stays down is told of once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from infrastructure.pool.server_state import ServerState

DRAINED = "drained"
LEAVING = "being removed"


class Attendance:
    """The servers that are out."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str, str], None]] = []
        """Called with a server's name, and why it is out; with an empty reason when it is back."""
        self._out: set[str] = set()

    def note(self, server: ServerState) -> None:
        """Something of a server's state has changed. One of which nothing is known yet is neither out nor back."""
        why = _why_out(server)
        if bool(why) == (server.name in self._out):
            return
        if why:
            self._out.add(server.name)
        else:
            self._out.discard(server.name)
        for listener in self.listeners:
            listener(server.name, why)

    def forget(self, name: str) -> None:
        """It is gone for good: nothing of it will come back."""
        self._out.discard(name)


def _why_out(server: ServerState) -> str:
    if server.health is Health.DOWN:
        return server.reason or "it could not be reached"
    return DRAINED if server.draining else ""
