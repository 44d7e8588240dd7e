"""Free slots are filled.

Owns the loop over what is worth a look, until nothing more can be given: for a slot that was freed the call that goes
there, for a lane whose calls came the slot where each goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.agenda import Agenda
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.placement import Placement
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.residency import Residency
    from infrastructure.pool.seating import Seating
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket


class Filling:
    """The loop; what goes where is `placement`'s to say."""

    def __init__(
        self,
        servers: dict[str, ServerState],
        queue: CallQueue,
        residency: Residency,
        agenda: Agenda,
        placement: Placement,
        seating: Seating,
    ) -> None:
        self._servers = servers
        self._queue = queue
        self._residency = residency
        self._agenda = agenda
        self._placement = placement
        self._seating = seating

    def seat(self, ticket: Ticket, now: float) -> bool:
        """Give a new call a free slot; whether it got one. Only while no call waits: then `fill` would do the same.

        Nearly all calls of a pool with room go this way, past the queue.
        """
        agenda, lane = self._agenda, ticket.lane
        if agenda.freed or agenda.arrived or agenda.quiet or lane in agenda.full:
            return False
        hosts = [server for server in self._residency.hosts(lane) if server.room(lane) and server.open_to(lane)]
        if ticket.conversation is not None:
            ticket.owner = ticket.conversation.server
        server = self._placement.slot_for(ticket, hosts, now)
        if server is None:
            return False
        agenda.quiet.clear()  # what was kept from it elsewhere is kept from nobody
        self._seating.give(ticket, server, now)
        return True

    def fill(self, now: float, placed: list[Ticket]) -> None:
        """Calls for the slots that were freed, and slots for the calls that arrived."""
        freed, arrived = self._agenda.freed, self._agenda.arrived
        while freed or arrived:
            while freed:
                name, lane = here = next(iter(freed))
                del freed[here]
                server = self._servers[name]
                if self._queue.of(lane):
                    self._fill_slots(server, lane, now, placed)
                elif server.room(lane):
                    self._agenda.full.discard(lane)
                berth = server.berths.get(lane)
                if berth is None or not berth.in_flight:
                    self._residency.idle()
            while arrived:
                lane = next(iter(arrived))
                del arrived[lane]
                if lane not in self._agenda.full:
                    self._spread(lane, now, placed)

    def _fill_slots(self, server: ServerState, lane: Lane, now: float, placed: list[Ticket]) -> None:
        """Calls for the free slots of a lane on a server."""
        while server.room(lane):
            ticket = None
            if server in self._residency.hosts(lane) and server.open_to(lane):
                ticket = self._placement.next_for(lane, server, now)
            if ticket is None:
                self._agenda.full.discard(lane)
                return
            self._seating.give(ticket, server, now)
            placed.append(ticket)

    def _spread(self, lane: Lane, now: float, placed: list[Ticket]) -> None:
        """Free slots for the calls of a lane."""
        hosts = [server for server in self._residency.hosts(lane) if server.room(lane) and server.open_to(lane)]
        if not hosts:
            self._agenda.full.add(lane)
            return
        while (ticket := self._placement.first(lane, now)) is not None:
            server = self._placement.slot_for(ticket, hosts, now)
            if server is None:
                break
            self._seating.give(ticket, server, now)
            placed.append(ticket)
        if ticket is not None:  # others of the lane may still fit, by server or by prompt
            for server in hosts:
                self._fill_slots(server, lane, now, placed)
