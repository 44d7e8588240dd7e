"""The servers: which there are, and what became known of each.

Owns who is up, down or draining, which lanes keep failing where, and that every lane is looked at again when any of it
changes. What a server has in memory is `residency`'s to keep.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from infrastructure.pool.attendance import Attendance
from infrastructure.pool.server_state import ServerState
from infrastructure.pool.states import Health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.pool.agenda import Agenda
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.residency import Residency


class Roster:
    """The servers by name, in the order in which they came."""

    def __init__(
        self,
        servers: dict[str, ServerState],
        order: list[ServerState],
        queue: CallQueue,
        residency: Residency,
        agenda: Agenda,
    ) -> None:
        self.attendance = Attendance()
        self.tries_at = math.inf
        """When a lane that was left alone may be tried; infinity if none is."""
        self._servers = servers
        self._order = order
        self._queue = queue
        self._residency = residency
        self._agenda = agenda

    @property
    def settling(self) -> bool:
        """Whether some servers have not yet said what they have loaded: until then nothing is loaded."""
        return self._residency.settling

    @settling.setter
    def settling(self, value: bool) -> None:
        self._residency.settling = value
        self._agenda.reopen()

    # ------------------------------------------------------------------------------------- what they say
    def look_begins(self, name: str) -> None:
        """A server is being asked what it has: the answer says nothing to calls that come after this moment."""
        self._servers[name].look_began = self._queue.last_number

    def up(
        self,
        name: str,
        *,
        models: Iterable[str] | None,
        loaded: Iterable[str] | None,
        now: float,
        fresh: bool = True,
        loads: int | None = None,
    ) -> None:
        """A server said what it holds and has loaded (canonical names; None: it would not say).

        Not `fresh` is what it was asked before its last load was over. `loads` is its count of them when it was asked:
        where it is another one now, its list of loaded models is not believed, and it is asked again.
        """
        server = self._servers[name]
        server.health, server.reason = Health.UP, ""
        server.models = None if models is None else frozenset(models)
        if loads is None or loads == server.loads:
            self._residency.observed(server, None if loaded is None else frozenset(loaded), fresh=fresh)
        else:
            self._residency.looks.add(name)
        server.looked(now, self._queue.last_number)
        self.attendance.note(server)
        self._agenda.reopen()

    def down(self, name: str, reason: str, now: float, *, by_call: bool = False) -> None:
        """A server could not be reached. What it holds is still believed; what it had loaded is not.

        `by_call`: only a call has failed there. That may be the call's own bad luck, so that another one that has no
        other server has it looked at before it gives up.
        """
        server = self._servers[name]
        server.health, server.reason = Health.DOWN, reason
        self._residency.lost(server)
        server.looked(now, self._queue.last_number, seen=not by_call)
        self.attendance.note(server)
        self._agenda.reopen()

    def lacks(self, name: str, model: str) -> None:
        """A server said that it does not have this model."""
        server = self._servers[name]
        if server.models is not None:
            server.models -= {model}
        server.evict([model])
        self._agenda.reopen()

    # ------------------------------------------------------------------------------------- who is there
    def add(self, name: str, slots: int | None, places: int | None) -> None:
        """A further server, of which nothing is known yet.

        Args:
            name: its URL.
            slots: of one lane; None: learned.
            places: how many models it holds in memory at once; None: learned.
        """
        server = self._servers[name] = ServerState(name, slots, places=places)
        self._order.append(server)
        self._agenda.reopen()

    def resize(self, name: str, slots: int | None, places: int | None) -> None:
        """A server has other numbers of slots and places from now on; see `add`."""
        self._servers[name].resize(slots, places)
        self._agenda.reopen()

    def remove(self, name: str) -> None:
        """A server is gone for good; none of its slots may be taken."""
        server = self._servers[name]
        if server.in_flight:
            raise LookupError(f"{name} has {server.in_flight} calls in flight")
        del self._servers[name]
        self.attendance.forget(name)
        self._order.remove(server)
        self._residency.lost(server)
        self._agenda.forget(name)
        self._agenda.reopen()

    def set_draining(self, name: str, draining: bool, *, leaving: bool = False) -> None:
        """Give a server no new calls, or calls again. What is in flight there goes on.

        `leaving`: it will not be back.
        """
        server = self._servers[name]
        server.draining = draining
        server.leaving = draining and (leaving or server.leaving)
        self.attendance.note(server)
        if draining and server.move is not None and server.move.ticket is None:
            server.move = None
        self._agenda.reopen()

    # --------------------------------------------------------------------------------- lanes left alone
    def failed(self, name: str, lane: Lane, now: float) -> bool:
        """A call of the lane failed there by the server's fault; whether the lane gets none there for a while."""
        opens_at = self._servers[name].breakers.failed(lane, now)
        self.tries_at = min(self.tries_at, opens_at)
        return opens_at < math.inf

    def shut(self, name: str, lane: Lane) -> None:
        """The lane gets no calls there until `reopen`."""
        self._servers[name].breakers.shut(lane)

    def reopen(self, name: str, lane: Lane) -> None:
        """Nothing speaks against the lane there any more."""
        self._servers[name].breakers.succeeded(lane)
        self._agenda.reopen()

    def try_again(self, now: float) -> None:
        """Let one call each try the lanes that have been left alone for long enough."""
        self.tries_at = math.inf
        for server in self._order:
            for lane in server.breakers.half_open(now):
                self._agenda.freed[server.name, lane] = None
            self.tries_at = min(self.tries_at, server.breakers.opens_at)
        self._residency.changed()
