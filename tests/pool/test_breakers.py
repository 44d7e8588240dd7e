"""A model that keeps failing on a server is left alone there, then tried by one call."""

from __future__ import annotations

from infrastructure.pool.breakers import FAILURES, OPEN_SECONDS, Breaker, BreakerState
from infrastructure.pool.retries import RetryBudget
from infrastructure.transport.messages import Metrics
from tests.pool.test_scheduler import A, B, Bench


def opened(now: float = 0) -> Breaker:
    breaker = Breaker()
    assert [breaker.failed(now) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    return breaker


def test_it_opens_after_some_failures_in_a_row_and_lets_one_call_try_after_a_while():
    breaker = opened()
    assert not breaker.admits(0)
    assert not breaker.half_open(OPEN_SECONDS[0] - 0.1)
    assert breaker.half_open(OPEN_SECONDS[0])
    assert (breaker.admits(0), breaker.admits(1)) == (True, False)


def test_a_failed_try_doubles_the_time_up_to_a_limit():
    breaker, now, waits = opened(), 0.0, []
    for _ in range(8):
        waits.append(breaker.opens_at - now)
        now = breaker.opens_at
        assert breaker.half_open(now)
        assert breaker.failed(now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert breaker.state is BreakerState.OPEN


def test_failures_of_calls_that_were_in_flight_already_do_not_make_it_longer():
    breaker = opened(now=0)
    breaker.failed(0.9)
    assert breaker.opens_at == OPEN_SECONDS[0]


def test_calls_go_to_the_other_server_meanwhile_and_other_models_stay():
    bench = Bench(slots={"one": 2, "two": 2})
    for name in bench.slots:
        bench.up(name, loaded=("a:latest", "b:latest"))
    for _ in range(FAILURES):
        bench.scheduler.roster.failed("one", A, bench.now)
    calls = [bench.call(A), bench.call(A), bench.call(A), bench.call(B)]
    bench.place()

    assert [call.slot and call.slot.server for call in calls] == ["two", "two", None, "one"]
    assert bench.scheduler.wake_at == OPEN_SECONDS[0]


def test_one_call_tries_when_the_time_has_come_and_its_success_opens_the_door():
    bench = Bench(slots={"one": 2})
    bench.up("one", loaded=("a:latest",))
    for _ in range(FAILURES):
        bench.scheduler.roster.failed("one", A, bench.now)
    calls = [bench.call(A) for _ in range(3)]
    assert bench.place() == []
    assert bench.scheduler.stranded() == []
    bench.now = OPEN_SECONDS[0]
    assert bench.place() == calls[:1]
    assert bench.place() == []
    bench.run(calls[0])
    bench.scheduler.served(calls[0], Metrics(), 1, bench.now)
    bench.scheduler.end(calls[0])
    assert bench.place() == calls[1:]


def test_retries_are_a_share_of_the_calls_that_were_answered():
    budget = RetryBudget(0.1, start=2, most=3)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.answered()
    assert [budget.spend() for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.answered()
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
