"""What calls show of a server's slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest

from infrastructure.pool.calls import Call
from infrastructure.pool.fairness import Shares
from infrastructure.pool.lanes import Lane
from infrastructure.pool.learning import SlotLearner
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import CallState
from infrastructure.pool.ticket import Ticket
from infrastructure.transport.messages import Metrics

LANE = Lane("a:latest")
FIRST, SECOND = 0.005, 1_000_000_000


@dataclass
class Server:
    """So many slots, first come first served, and a scheduler that is not told how many."""

    slots: int
    seconds: float
    aside: float = 0.0
    """Seconds of a call that a slot has taken and the server counts nowhere."""
    now: float = 0.0
    most_waiting: int = 0
    done: int = 0
    running: list[tuple[float, int, float, Ticket]] = field(default_factory=list)
    waiting: list[Ticket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler({"one": None}, queue_length=1000)
        self.scheduler.roster.up("one", models=["a:latest"], loaded=["a:latest"], now=0)

    @property
    def proven(self) -> int:
        return self.scheduler.servers["one"].berths[LANE].learner.proven

    def serve(self, calls: int, *, at_once: int) -> None:
        """So many calls, of which so many are always in hand."""
        for _ in range(at_once):
            self.ask()
        self.place()
        while self.done < calls:
            self.now, _, began, ticket = heappop(self.running)
            self.end(ticket, began)
            self.ask()
            self.place()

    def ask(self) -> None:
        self.scheduler.enqueue(LANE, Call(), now=self.now, expires_at=1e9)

    def place(self) -> None:
        for ticket in self.scheduler.place(self.now):
            for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
                self.scheduler.advance(ticket, state)
            self.waiting.append(ticket)
        while self.waiting and len(self.running) < self.slots:
            ticket = self.waiting.pop(0)
            # Calls that begin at the same moment do not end at the same one.
            ends = self.now + self.aside + FIRST + self.seconds * (1 + 0.1 * (ticket.number % 3))
            self.scheduler.answered(ticket, "one", self.now + self.aside + FIRST)
            heappush(self.running, (ends, ticket.number, self.now, ticket))
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def end(self, ticket: Ticket, began: float) -> None:
        waited, busy = began - ticket.placed_at + self.aside, self.now - began - self.aside
        metrics = Metrics(total_ns=int((waited + busy) * SECOND), decode_ns=int(busy * SECOND), completion_tokens=10)
        self.scheduler.served(ticket, metrics, waited + busy, self.now)
        self.scheduler.end(ticket)
        self.done += 1


@pytest.mark.parametrize("slots", [1, 2, 4, 7])
@pytest.mark.parametrize("seconds", [0.08, 0.5, 5.0])
def test_slots_are_known_after_some_calls_and_never_more_than_one_waits_for_finding_out(slots: int, seconds: float):
    server = Server(slots, seconds)
    server.serve(20 * slots, at_once=3 * slots + 2)

    assert server.proven == slots
    assert server.most_waiting <= 1


@pytest.mark.parametrize("slots", [2, 4])
def test_time_that_a_server_counts_nowhere_is_no_wait_for_a_slot(slots: int):
    """As it seems to be on a GPU, where of two slots one was believed in."""
    server = Server(slots, seconds=0.8, aside=0.06)
    server.serve(100 * slots, at_once=3 * slots + 2)

    assert server.proven == slots
    assert server.most_waiting <= 1


def test_one_that_waited_for_the_slot_of_another_proves_none_for_a_third():
    """Two slots: of two calls sent at once the second waits until a call that was there before has ended."""
    scheduler = Scheduler({"one": None}, queue_length=10)
    scheduler.roster.up("one", models=["a:latest"], loaded=["a:latest"], now=0)
    calls = [scheduler.enqueue(LANE, Call(), now=0, expires_at=100)[0] for _ in range(3)]
    scheduler.servers["one"].take(calls[0], 0)  # makes the berth
    berth = scheduler.servers["one"].berths[LANE]
    for ticket, placed_at, first in zip(calls, (0.0, 1.0, 1.0), (0.1, 1.1, 1.6), strict=True):
        ticket.placed_at, ticket.first_byte_at = placed_at, first
        berth.in_flight[ticket.number] = ticket
    berth.learner.proven = 2
    berth.learns_from(calls[0], 0.0, 0.0, 1.5)
    del berth.in_flight[calls[0].number]
    berth.learns_from(calls[1], 0.0, 0.0, 2.0)

    assert berth.learner.proven == 2


def test_single_waits_among_calls_that_did_not_wait_prove_nothing():
    learner = SlotLearner()
    learner.proven = 4
    for number in range(20):
        ticket = Ticket(
            number=number, lane=LANE, call=Call(), account=Shares().enter("ann"), enqueued_at=0, expires_at=1
        )
        ticket.beside = 3
        ticket.overlaps = (-0.3,) if number % 2 else ()
        learner.ended(ticket, [], 0.3 if number % 2 else 0.0, 0.0, now=float(number))

    assert (learner.proven, learner.limit) == (4, 5)


@pytest.mark.parametrize(("away", "settled"), [(0.0, False), (0.06, True)])
def test_the_way_to_a_far_server_and_back_is_no_part_of_its_wait(away: float, settled: bool):
    """Two slots; each third call waited for a second by the server's clock, for 60 ms more by ours."""
    learner = SlotLearner()
    learner.proven = 2
    for number in range(4):
        ticket = Ticket(
            number=number, lane=LANE, call=Call(), account=Shares().enter("ann"), enqueued_at=0, expires_at=1
        )
        ticket.beside, ticket.overlaps = 2, (-1.06,)
        learner.ended(ticket, [], 1.0, away, now=float(number))

    assert learner.settled is settled
