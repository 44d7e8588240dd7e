"""What is loaded when, case by case, without a loop or a clock."""

from __future__ import annotations

from infrastructure.pool.calls import Call
from infrastructure.pool.lanes import Lane
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.ticket import Ticket
from infrastructure.transport.messages import Metrics

A, B, C = Lane("a:latest"), Lane("b:latest"), Lane("c:latest")
LOAD, SERVICE = 4.0, 1.0


class Pool:
    """A scheduler over servers that hold one model each, and short words for what is done to it."""

    def __init__(self, servers: dict[str, Lane | None], *, slots: int = 2, places: int = 1) -> None:
        self.now = 0.0
        self.scheduler = Scheduler(
            dict.fromkeys(servers, slots), queue_length=1000, places=dict.fromkeys(servers, places)
        )
        for name, lane in servers.items():
            loaded = () if lane is None else (lane.model,)
            self.scheduler.up(name, models=None, loaded=loaded, now=0.0)
        for lane in (A, B, C):
            self.scheduler.estimates.loaded(lane, LOAD)

    def call(self, lane: Lane, band: Band = Band.INTERACTIVE, client: str = "default") -> Ticket:
        call = Call(band=band, client=client)
        return self.scheduler.enqueue(lane, call, now=self.now, expires_at=1e9)[0]

    def place(self) -> list[Ticket]:
        placed = self.scheduler.place(self.now)
        for ticket in placed:
            self.scheduler.advance(ticket, CallState.CONNECTING)
            self.scheduler.advance(ticket, CallState.WAITING)
        return placed

    def finish(self, ticket: Ticket) -> None:
        """It is answered whole."""
        assert ticket.slot is not None
        self.scheduler.answered(ticket, ticket.slot.server, self.now)
        self.scheduler.advance(ticket, CallState.STREAMING)
        load = LOAD if ticket.loads else 0.0
        metrics = Metrics(load_ns=round(load * 1e9), prompt_tokens=100, completion_tokens=10)
        self.scheduler.served(ticket, metrics, SERVICE + load, self.now)
        self.scheduler.end(ticket)


def test_two_servers_that_load_the_same_model_are_each_sent_a_call_of_their_own():
    pool = Pool({"one": B, "two": B})
    jobs = [pool.call(B, Band.BATCH) for _ in range(2)]
    assert pool.place() == jobs
    waiting = [pool.call(A) for _ in range(100)]
    pool.place()
    waiting.append(pool.call(A))
    pool.place()
    assert all(server.move is not None for server in pool.scheduler.servers.values())
    for job in jobs:
        pool.finish(job)
    loaders = pool.place()

    assert len(set(loaders)) == 2
    assert set(loaders) < set(waiting)
