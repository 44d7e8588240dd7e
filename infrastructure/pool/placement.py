"""Decisions: which waiting call gets a free slot, which free slot a waiting call gets, which guess gives way.

Owns the rules and no state: functions from the queue and the servers' present state to a decision. What may be loaded
where is `swaps`' to say.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from infrastructure.pool.queue import head_order
from infrastructure.pool.quiet import disturbs, holding_up, short
from infrastructure.pool.states import BATCH, INTERACTIVE, SPECULATIVE, Health

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from infrastructure.pool.estimates import Estimates
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.line import Line
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.server_state import ServerState
    from infrastructure.pool.ticket import Ticket

AGED_SECONDS = 60.0
"""A batch call that has waited for so long takes part in the share below."""
AGED_SHARE = 8
"""Of so many slots that persons' calls would get, one goes to an aged batch call that waits for the same lane."""
FAIR_TOKENS = 8192.0
"""How much more a client may have had than the one that had least, and still go first for its cached prefix. It bounds
what affinity can take from fairness."""
AFFINITY_SECONDS = 10.0
"""The oldest call of a client goes first for a cached prefix of another one only while it has waited for less."""
_SURELY = 2
"""See `ServerState.loaded`."""
_FIRST_HALF = 0.5
"""So much of a server is filled before another one is tried that has the model too, perhaps with other options."""
_LOOKED_AT = 8
"""Calls of a line that are looked at for one that suits, beyond the one whose turn it is."""


class Placement:
    """The rules over one queue."""

    def __init__(self, queue: CallQueue, estimates: Estimates, quiet: dict[tuple[str, Lane], None]) -> None:
        """Rules that note in `quiet` where a free slot was kept from a waiting call for a reader's sake."""
        self._queue = queue
        self._estimates = estimates
        self._quiet = quiet
        self._aged = 0

    def next_for(self, lane: Lane, server: ServerState, now: float) -> Ticket | None:
        """The waiting call that gets a free slot of this lane on this server.

        1. Strict bands; of every `AGED_SHARE` slots one goes to a batch call that has waited too long.
        2. The client that was served least.
        3. Of its calls, one whose prefix is cached there; also another client's, within `FAIR_TOKENS`. Age goes above.
        4. No call of a lower band whose prompt would make a person's stream beside it stall; and none finds out whether
           there is a further slot while a guess is in one that is there.
        """
        guess_first = server.guesses_first(lane)
        for line in self._in_turn(lane, now):
            if server.name in line.excluded:
                continue
            if guess_first and line.band is not SPECULATIVE:
                if self._may_start(line, server, now):
                    return None  # nor does another guess: it would have to give way at once
                continue
            ticket = self._of_line(line, server, now)
            if ticket is not None:
                return ticket
        return None

    def first(self, lane: Lane, now: float) -> Ticket | None:
        """The waiting call of the lane whose turn it is, wherever it may go."""
        for line in self._in_turn(lane, now):
            return line.served_least()[0]
        return None

    def slot_for(self, ticket: Ticket, hosts: Iterable[ServerState], now: float) -> ServerState | None:
        """Of these servers, which have the lane loaded, the one with a free slot where the call should start.

        The one with its prefix; else one where the lane is surely loaded and less than half is busy, where a slot is
        known to be there, and where least is done.
        """
        best: ServerState | None = None
        best_rank = (False, False, False, 0.0)
        lane = ticket.lane
        for server in hosts:
            if not server.room(lane) or server.name in ticket.excluded or self._held(ticket, server, now):
                continue
            sure = server.loaded(lane) == _SURELY and server.load < _FIRST_HALF
            rank = (server.name == ticket.owner, sure, not server.unproven(lane), -server.load)
            if best is None or rank > best_rank:
                best, best_rank = server, rank
        return best

    def _in_turn(self, lane: Lane, now: float) -> Sequence[Line]:
        lines = self._queue.of(lane)
        if len(lines) < 2:
            return lines
        for line in lines:
            if line.excluded:
                lines = sorted(lines, key=head_order)
                break
        if lines[0].band is not INTERACTIVE:
            return lines
        for line in lines:
            if line.band is BATCH and now - line.head.enqueued_at >= AGED_SECONDS:
                self._aged = (self._aged + 1) % AGED_SHARE
                if self._aged == 0:
                    return [line, *(each for each in lines if each is not line)]
                break
        return lines

    def _of_line(self, line: Line, server: ServerState, now: float) -> Ticket | None:
        calls = line.served_least()
        ticket = calls[0]
        if line.owned and ticket.owner != server.name and now - ticket.queued_since < AFFINITY_SECONDS:
            cached = line.owned_by(server.name)
            if cached is not None:
                if cached.account.counter - ticket.account.counter <= FAIR_TOKENS:
                    ticket = cached
            elif ticket.owner is not None:
                few = islice(calls, _LOOKED_AT)
                ticket = next((each for each in few if each.line is line and each.owner is None), ticket)
        if not self._disturbs(ticket, server, now):
            return ticket
        for each in (*line.some_owned_by(server.name, _LOOKED_AT), *line.first(_LOOKED_AT)):
            if not self._disturbs(each, server, now):
                return each
        return None

    def _held(self, ticket: Ticket, server: ServerState, now: float) -> bool:
        """Whether the call should not start there although there is room."""
        if ticket.call.band is not SPECULATIVE and server.guesses_first(ticket.lane):
            return True
        return self._disturbs(ticket, server, now)

    def _disturbs(self, ticket: Ticket, server: ServerState, now: float) -> bool:
        if ticket.call.band is INTERACTIVE:
            return False
        lane = ticket.lane
        berth = server.berths.get(lane)
        if berth is None or not berth.in_flight:
            return False
        there = self._estimates.pace_on(server.name, lane)
        if short(ticket.prompt_tokens, lane, there):
            return False  # even if nothing of it is cached
        cached = 0 if ticket.conversation is None else ticket.conversation.cached(server.name)
        if disturbs(ticket, berth, there, cached, now):
            self._quiet[server.name, lane] = None
            return True
        return False

    def choose_victims(
        self, servers: Sequence[ServerState], joined: Iterable[tuple[str, Lane]], now: float
    ) -> list[Ticket]:
        """The speculative calls that must give way now, so that waiting calls of higher bands get a slot.

        One slot for each waiting call, less those that are being freed already. First those whose caller has had
        nothing yet, since they lose nothing but time; then the newest, which has done the least. None where no waiting
        call may start for a reader's sake: the slot would be a guess's again at once. Where a model has to go for one
        that others than guesses wait for, all guesses on it give way.

        With those go the ones whose prompts would be read before a person's: there, and where one `joined` them.
        """
        crowded = dict.fromkeys(joined)
        victims: dict[int, Ticket] = {}
        promised: dict[Lane, int] = {}
        for line in self._queue.lines():
            if line.band is SPECULATIVE:
                break
            head, lane, waiting = line.head, line.lane, line.size
            fitting = [
                server
                for server in servers
                if may_serve(server, head) and server.open_to(lane) and self._may_start(line, server, now)
            ]
            soon = sum(server.cancelling(lane) for server in fitting) - promised.get(lane, 0)
            wanted = waiting - max(0, soon)
            candidates = [ticket for ticket in _speculative(fitting, lane) if ticket.number not in victims]
            candidates.sort(key=lambda ticket: (ticket.begun, -ticket.number))
            chosen = candidates[: max(0, wanted)]
            victims |= {ticket.number: ticket for ticket in chosen}
            if line.band is INTERACTIVE:
                crowded |= {(ticket.slot.server, lane): None for ticket in chosen if ticket.slot is not None}
            promised[lane] = promised.get(lane, 0) + min(waiting, max(0, soon))
        for server in servers:
            victims |= {ticket.number: ticket for ticket in _in_the_way(server, self._queue)}
            for name, lane in crowded:
                if name == server.name:
                    victims |= {ticket.number: ticket for ticket in self._holding_up(server, lane)}
        return list(victims.values())

    def _holding_up(self, server: ServerState, lane: Lane) -> list[Ticket]:
        berth = server.berths.get(lane)
        if berth is None or server.move is not None:
            return []
        there = self._estimates.pace_on(server.name, lane)
        return [ticket for ticket in holding_up(berth, there) if ticket.state.holds_slot]

    def _may_start(self, line: Line, server: ServerState, now: float) -> bool:
        """Whether a call of the line would be given a slot there."""
        return line.band is INTERACTIVE or any(
            not self._disturbs(each, server, now)
            for each in (*line.some_owned_by(server.name, _LOOKED_AT), *line.first(_LOOKED_AT))
        )


def second_server(ticket: Ticket, hosts: Iterable[ServerState]) -> ServerState | None:
    """For a call that is late where it is: of the servers that have its lane, the least busy with a slot to spare.

    None for a guess, for a call that waits for a load, and where no slot is surely there.
    """
    slot, lane = ticket.slot, ticket.lane
    if slot is None or ticket.loads or ticket.call.band is SPECULATIVE:
        return None
    free = (
        server
        for server in hosts
        if server.name != slot.server
        and server.name not in ticket.excluded
        and server.loaded(lane) == _SURELY
        and server.room(lane)
        and server.open_to(lane)
        and not server.unproven(lane)
    )
    return min(free, key=lambda server: server.load, default=None)


def may_serve(server: ServerState, ticket: Ticket) -> bool:
    """Whether the call may go to the server as soon as there is room."""
    return server.serving and server.name not in ticket.excluded and holds(server, ticket.lane)


def holds(server: ServerState, lane: Lane) -> bool:
    """Whether the server has the model, or may have it: a cloud model needs no copy, and a list may be unknown."""
    return server.models is None or lane.cloud or lane.model in server.models


def needs_no_load(server: ServerState, lane: Lane) -> bool:
    """Whether a call of the lane can be answered there at once: it is loaded, or runs elsewhere anyway."""
    return lane.cloud or server.hosts(lane)


def _in_the_way(server: ServerState, queue: CallQueue) -> list[Ticket]:
    """The guesses on a server that hold up a load there: those on a model that has to go, or one that loads its own.

    None holds up another guess.
    """
    move = server.move
    if move is None:
        return []
    if move.ticket is None:
        if all(line.band is SPECULATIVE for line in queue.of(move.lane)):
            return []
        return [
            ticket for lane in server.berths if lane.model in move.leaving for ticket in _speculative([server], lane)
        ]
    if move.ticket.call.band is not SPECULATIVE:
        return []
    return [move.ticket] if wanted_by_others(server, move.lane, queue) else []


def wanted_by_others(server: ServerState, lane: Lane, queue: CallQueue) -> bool:
    """Whether calls of other lanes that are no guesses wait and might go there: a guess's load gives way to them."""
    others = (line for line in queue.lines() if line.band is not SPECULATIVE and line.lane != lane)
    return any(may_serve(server, line.head) for line in others)


def stranded(lines: Iterable[Line], servers: Sequence[ServerState], *, patient: bool) -> list[Line]:
    """The lines whose calls no server could take even if all slots were free.

    `patient`: nor will once it is no longer drained.
    """
    return [
        line
        for line in lines
        if not any(may_serve(server, line.head) or (patient and is_to_serve(server, line.head)) for server in servers)
    ]


def rivals(lane: Lane, excluded: frozenset[str], lines: list[Line], servers: Sequence[ServerState]) -> list[Line]:
    """Of these lines, those whose calls take places in the queue from a call of this lane.

    What only drained servers may serve takes them from its like alone: it may wait for hours.
    """
    if not any(server.draining for server in servers):
        return lines
    parks = _parks(lane, excluded, servers)
    return [line for line in lines if _parks(line.lane, line.excluded, servers) is parks]


def _parks(lane: Lane, excluded: frozenset[str], servers: Sequence[ServerState]) -> bool:
    """Whether calls of the lane wait for a drained server, and for no other one."""
    if excluded or any(server.serving and holds(server, lane) for server in servers):
        return False
    return any(_comes_back(server, lane) for server in servers)


def is_to_serve(server: ServerState, ticket: Ticket) -> bool:
    """Whether the call may wait for a server that gets no new ones for now, be it up or not.

    It is known to hold their model, and is not to be removed. A call that another server has failed does not wait: its
    error says more.
    """
    return not ticket.excluded and _comes_back(server, ticket.lane)


def _comes_back(server: ServerState, lane: Lane) -> bool:
    """Whether the server is drained, but not to be removed, and known to hold the model."""
    known = server.health is Health.UP or server.models is not None
    return server.draining and not server.leaving and known and holds(server, lane)


def _speculative(servers: Iterable[ServerState], lane: Lane) -> list[Ticket]:
    return [
        ticket
        for server in servers
        if lane in server.berths
        for ticket in server.berths[lane].serves(SPECULATIVE)
        if ticket.state.holds_slot
    ]
