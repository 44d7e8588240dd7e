"""What a run may use."""

from __future__ import annotations

import pytest

from infrastructure.config.settings import BudgetSettings
from infrastructure.workflow.budget import Budget, BudgetExhausted
from tests.workflow.scenario import Moment


def budget(clock: Moment | None = None, **limits: float) -> Budget:
    clock = clock or Moment()
    return Budget(limits=BudgetSettings(**limits), now=clock, started=clock())


def test_call_over_the_limit_is_refused_and_not_counted():
    ours = budget(calls=2)
    ours.begin_call()
    ours.begin_call()
    with pytest.raises(BudgetExhausted) as spent:
        ours.begin_call()
    assert (spent.value.budget, spent.value.limit, ours.calls, ours.spent) == ("calls", 2, 2, "calls")


def test_tokens_of_a_finished_call_count_against_the_next():
    ours = budget(tokens=100)
    ours.begin_call()
    ours.end_call(99)
    ours.begin_call()
    ours.end_call(1)
    with pytest.raises(BudgetExhausted) as spent:
        ours.begin_call()
    assert spent.value.budget == "tokens"


def test_time_is_up_at_the_limit_itself():
    clock = Moment()
    ours = budget(clock, seconds=10)
    clock.now += 9.5
    ours.begin_call()
    assert ours.seconds_left() == 0.5
    clock.now += 0.5
    with pytest.raises(BudgetExhausted) as spent:
        ours.begin_call()
    assert (spent.value.budget, ours.seconds_left()) == ("seconds", 0)
    clock.now += 100
    assert ours.seconds_left() == 0


def test_time_that_ran_out_during_a_call_is_spent_whatever_the_clock_says():
    ours = budget(seconds=10)
    with pytest.raises(BudgetExhausted):
        ours.end_seconds()
    assert ours.spent == "seconds"


def test_what_earlier_executions_used_counts():
    clock = Moment()
    ours = Budget(limits=BudgetSettings(calls=3, seconds=60), now=clock, started=clock() - 59, calls=2)
    ours.begin_call()
    assert ours.seconds_left() == 1
    with pytest.raises(BudgetExhausted):
        ours.begin_call()
