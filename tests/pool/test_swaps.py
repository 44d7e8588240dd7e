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

    def __init__(self, servers: dict[str, Lane | None], *, slots: int = 2, places: int | None = 1) -> None:
        self.now = 0.0
        self.scheduler = Scheduler(
            dict.fromkeys(servers, slots), queue_length=1000, places=dict.fromkeys(servers, places)
        )
        for name, lane in servers.items():
            loaded = () if lane is None else (lane.model,)
            self.scheduler.roster.up(name, models=None, loaded=loaded, now=0.0)
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

    def finish_all(self, calls: list[Ticket]) -> None:
        assert set(self.place()) == set(calls)
        for ticket in calls:
            self.finish(ticket)


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


def loading(pool: Pool) -> Lane | None:
    """The lane for which something is changed on server one."""
    move = pool.scheduler.servers["one"].move
    return None if move is None else move.lane


def late_lanes() -> tuple[Pool, list[Ticket]]:
    """One server has just loaded B; calls of A wait for it, and have for long, and so do more of B."""
    pool = Pool({"one": A}, slots=1)
    running = [pool.call(lane) for lane in (A, A, A, B, B, B, B, B, B)][:1]
    assert pool.place() == running
    pool.now = 6 * LOAD
    pool.place()
    assert loading(pool) == B
    pool.finish(running[0])
    (loader,) = pool.place()
    pool.now += LOAD + SERVICE
    pool.finish(loader)
    return pool, pool.place()


def test_a_lane_that_was_just_loaded_is_not_sent_away_at_once_for_one_whose_calls_are_late_too():
    pool, running = late_lanes()

    assert [ticket.lane for ticket in running] == [B]
    assert loading(pool) is None


def test_it_is_sent_away_after_a_while_although_its_calls_wait():
    pool, (running,) = late_lanes()
    while loading(pool) is None:
        assert pool.now < 20 * LOAD
        pool.now += SERVICE
        pool.finish(running)
        pool.call(B)
        placed = pool.place()
        running = placed[0] if placed else running

    assert loading(pool) == A


def test_a_decision_that_is_due_at_a_moment_is_taken_at_that_moment():
    pool = Pool({"one": A}, slots=1)
    pool.now = 0.1
    running = pool.call(A)
    pool.call(A), pool.call(B)
    assert pool.place() == [running]
    while loading(pool) is None:
        before, pool.now = pool.now, pool.scheduler.wake_at
        assert pool.now > before
        pool.place()


def test_where_nobody_waits_for_the_last_server_of_a_lane_another_one_waits_for_less():
    pool = Pool({"one": A}, slots=2)
    running = pool.call(A)
    pool.place()
    pool.call(B)
    pool.place()
    assert loading(pool) is None
    pool.now = 3 * LOAD + 6 * SERVICE
    pool.place()

    assert loading(pool) == B
    assert running.slot is not None


def test_a_server_that_has_idled_for_a_loads_time_loads_what_waits():
    pool = Pool({"one": A}, slots=1)
    first = pool.call(A)
    assert pool.place() == [first]
    pool.now = 0.5
    pool.call(B)
    pool.place()
    pool.now = 2.0
    pool.finish(first)
    last = pool.call(A)
    assert pool.place() == [last]
    pool.now = 3.0
    pool.finish(last)
    pool.place()
    assert loading(pool) is None
    pool.now = 3.0 + LOAD - 0.01
    pool.place()
    assert loading(pool) is None
    pool.now = 3.0 + LOAD
    pool.place()

    assert loading(pool) == B


def test_the_time_of_a_call_that_was_cancelled_is_no_idling():
    pool = Pool({"one": A}, slots=1)
    long = pool.call(A)
    assert pool.place() == [long]
    pool.now = LOAD
    pool.call(B)
    pool.place()
    pool.now += LOAD / 2
    pool.scheduler.free(pool.scheduler.stop(long, CallState.CANCELLED))
    pool.place()
    assert loading(pool) is None
    pool.now += LOAD
    pool.place()

    assert loading(pool) == B


def test_a_lane_gives_up_a_server_only_if_the_others_can_do_what_it_is_asked():
    pool = Pool({"one": A, "slow": A, "two": B})
    estimates = pool.scheduler.estimates
    for second in range(60):
        if second % 10 == 0:
            estimates.of(A).served("slow", 10 * SERVICE, second)
        estimates.of(A).served("one", SERVICE, second)
        estimates.of(B).served("two", SERVICE, second)
    pool.now = 60.0
    for lane in (*[A] * 4, *[B] * 300):
        pool.call(lane)
    pool.place()
    moves = {name: server.move for name, server in pool.scheduler.servers.items()}

    assert moves["one"] is None
    assert moves["slow"] is not None
    assert moves["slow"].lane == B


def test_a_look_that_shows_a_load_to_be_over_also_shows_what_had_to_go():
    pool = Pool({"one": A}, slots=1, places=None)
    loader = pool.call(B)
    assert pool.place() == [loader]
    pool.now = LOAD
    pool.scheduler.roster.up("one", models=None, loaded=[B.model], now=pool.now)
    assert pool.scheduler.servers["one"].places == 1
    pool.call(A)
    pool.place()
    pool.now = 100 * LOAD
    pool.place()

    assert loading(pool) == A


def test_a_lane_whose_last_server_has_idled_is_still_wanted_if_it_was_used_elsewhere_lately():
    pool = Pool({"one": A, "two": B, "three": C})
    pool.now = 100.0
    pool.finish_all([pool.call(B), pool.call(C)])
    pool.scheduler.roster.up("one", models=None, loaded=[B.model], now=pool.now)
    pool.scheduler.roster.up("two", models=None, loaded=[A.model], now=pool.now)
    for _ in range(200):
        pool.call(C)
    pool.place()

    assert loading(pool) is None  # B was used on server two a moment ago, and now is on server one alone
    assert pool.scheduler.servers["two"].move is not None


def test_where_nobody_knows_what_fits_a_lane_that_has_a_server_takes_its_time_to_try():
    pool = Pool({"one": A, "two": B}, slots=1, places=None)
    pool.now = 100.0
    pool.finish_all([pool.call(A), pool.call(B)])
    for _ in range(200):
        pool.call(B)
    pool.call(A), pool.call(A)
    pool.place()
    assert loading(pool) is None
    pool.now += 3 * LOAD
    pool.place()

    assert loading(pool) == B


def test_a_model_that_has_to_go_is_not_believed_in_memory_because_it_is_still_listed():
    """A real server lists it until the load has come so far; a call sent to it then would wait behind the new one."""
    scheduler = Scheduler({"one": 2}, queue_length=10, places={"one": 1})
    scheduler.roster.up("one", models=["a:latest", "b:latest"], loaded=["a:latest"], now=0)
    loader, _ = scheduler.enqueue(Lane("b:latest"), Call(), now=0, expires_at=100)
    assert scheduler.place(0) == [loader]
    scheduler.roster.up(
        "one", models=["a:latest", "b:latest"], loaded=["a:latest"], now=0.1, loads=scheduler.servers["one"].loads
    )
    for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
        scheduler.advance(loader, state)
    scheduler.answered(loader, "one", 0.3)
    scheduler.enqueue(Lane("a:latest"), Call(), now=0.3, expires_at=100)

    assert list(scheduler.servers["one"].resident()) == ["b:latest"]
    assert scheduler.place(0.3) == []
    assert scheduler.residency.looks == {"one"}


def test_a_load_of_which_the_server_said_nothing_does_not_count():
    pool = Pool({"one": A})
    pool.scheduler.estimates.loaded(B, 0.0)
    assert pool.scheduler.estimates.load(B) == LOAD
    pool.scheduler.estimates.loaded(Lane("d:latest"), 0.0)
    assert pool.scheduler.estimates.load(Lane("d:latest")) > 0


def test_a_list_from_before_a_load_is_not_believed():
    scheduler = Scheduler({"one": 2}, queue_length=10, places={"one": 1})
    scheduler.roster.up("one", models=["a:latest", "b:latest"], loaded=["a:latest"], now=0)
    asked = scheduler.servers["one"].loads
    loader, _ = scheduler.enqueue(Lane("b:latest"), Call(), now=0, expires_at=100)
    scheduler.place(0)
    for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
        scheduler.advance(loader, state)
    scheduler.answered(loader, "one", 0.3)
    scheduler.roster.up("one", models=["a:latest", "b:latest"], loaded=["a:latest"], now=0.4, loads=asked)

    assert list(scheduler.servers["one"].resident()) == ["b:latest"]
