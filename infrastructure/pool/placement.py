"""Decisions: which waiting call goes where, and which speculative call gives way.

Owns the rules and no state: functions from the queue and the servers' present state to a decision. Ageing, fair
shares, prefix affinity and the swap gate are further rules of `choose`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.states import Band, Health, SlotState
from infrastructure.transport.encoding import is_cloud

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Placement:
    """A decision: this call goes to this server now."""

    ticket: Ticket
    server: ServerState


def choose(
    queue: CallQueue,
    servers: Sequence[ServerState],
    *,
    settling: bool = False,
    lanes: Container[Lane] | None = None,
) -> Placement | None:
    """The next call that can go, and where to.

    1. Strict bands, the oldest first; a call that fits nowhere does not hold up the next one.
    2. Of the servers with a free slot for its lane: where the lane is loaded, else where its model is loaded with
       other or unknown options, else any.
    3. Of those: the emptiest, then the first named.

    Args:
        queue: The calls that wait.
        servers: All servers, in the order of the settings.
        settling: Some servers have not yet said what they have loaded: only a loaded model is worth placing now.
        lanes: Only calls of these: for the others nothing has changed since the last decision.
    """
    for ticket, _ in queue.lines(lanes):
        server = best_server(ticket, servers, settling=settling)
        if server is not None:
            return Placement(ticket, server)
    return None


def best_server(ticket: Ticket, servers: Sequence[ServerState], *, settling: bool = False) -> ServerState | None:
    """The server on which the call should start now, if one has room."""
    best: ServerState | None = None
    best_rank = (-1, 0.0)
    for server in servers:
        if not server.room(ticket.lane) or not may_serve(server, ticket):
            continue
        loaded = server.loaded(ticket.lane)
        if settling and loaded == 0:
            continue
        rank = (loaded, -server.load)
        if best is None or rank > best_rank:
            best, best_rank = server, rank
    return best


def may_serve(server: ServerState, ticket: Ticket) -> bool:
    """Whether the call may go to the server as soon as there is room."""
    return server.health is Health.UP and server.name not in ticket.excluded and holds(server, ticket.lane)


def holds(server: ServerState, lane: Lane) -> bool:
    """Whether the server has the model, or may have it: a cloud model needs no copy, and a list may be unknown."""
    return server.models is None or lane.model in server.models or is_cloud(lane.model)


def choose_victims(queue: CallQueue, servers: Sequence[ServerState]) -> list[Ticket]:
    """The speculative calls that must give way now, so that waiting calls of higher bands get a slot.

    One slot for each waiting call, less those that are being freed already. First those whose caller has had
    nothing yet, since they lose nothing but time; then the newest, which has done the least.
    """
    victims: list[Ticket] = []
    promised: dict[Lane, int] = {}
    for head, waiting in queue.lines():
        if head.call.band is Band.SPECULATIVE:
            break
        fitting = [server for server in servers if may_serve(server, head)]
        soon = sum(server.cancelling(head.lane) for server in fitting) - promised.get(head.lane, 0)
        wanted = waiting - max(0, soon)
        candidates = [ticket for ticket in _speculative(fitting, head.lane) if ticket not in victims]
        candidates.sort(key=lambda ticket: (ticket.begun, -ticket.number))
        victims += candidates[: max(0, wanted)]
        promised[head.lane] = promised.get(head.lane, 0) + min(waiting, max(0, soon))
    return victims


def stranded(queue: CallQueue, servers: Sequence[ServerState]) -> list[Ticket]:
    """The waiting calls that no server could take even if all slots were free."""
    lost = {
        (head.lane, head.excluded)
        for head, _ in queue.lines()
        if not any(may_serve(server, head) for server in servers)
    }
    if not lost:
        return []
    return [ticket for ticket in queue.in_order() if (ticket.lane, ticket.excluded) in lost]


def _speculative(servers: Iterable[ServerState], lane: Lane) -> list[Ticket]:
    return [
        slot.ticket
        for server in servers
        for slot in server.slots_of(lane)
        if slot.state is SlotState.BUSY
        and slot.ticket is not None
        and slot.ticket.call.band is Band.SPECULATIVE
        and slot.ticket.state.holds_slot
    ]
