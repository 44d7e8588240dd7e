"""What a run may use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import BudgetSpent
from infrastructure.workflow.budget import Budget, BudgetExhausted, budget_words
from infrastructure.workflow.scripted import ScriptedSource
from tests.workflow.scenario import ROLES, WRONG, Moment, Scenario, code


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


def test_time_of_servers_has_no_limit_where_none_is_set():
    ours = budget()
    ours.end_call(1, 1e9)
    ours.begin_call()
    assert ours.spent is None


def test_time_of_servers_counts_against_the_next_call():
    ours = budget(gpu_seconds=10)
    ours.begin_call()
    ours.end_call(1, 9.5)
    ours.begin_call()
    ours.end_call(1, 0.5)
    with pytest.raises(BudgetExhausted) as spent:
        ours.begin_call()
    assert (spent.value.budget, spent.value.limit, ours.spent) == ("gpu_seconds", 10, "gpu_seconds")


@pytest.mark.parametrize("name", ["calls", "tokens", "seconds", "gpu_seconds"])
def test_budget_is_named_in_words(name):
    assert "_" not in budget_words(name)


class Slow(ScriptedSource):
    """Each answer takes its server two seconds: a half to load, a half to read, one to write."""

    async def ask(self, role, question, call, on_delta, watch):
        answered = await super().ask(role, question, call, on_delta, watch)
        return replace(answered, queued_seconds=100, load_seconds=0.5, prompt_seconds=0.5, decode_seconds=1.0)


async def test_run_whose_servers_have_worked_long_enough_ends_with_the_best_so_far(tmp_path):
    source = Slow({**ROLES, "coder": lambda _: code(WRONG)})
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(gpu_seconds=10))
    end = await scenario.run()
    assert (end["status"], len(source.calls)) == ("budget", 5)
    assert end["reason"].startswith("the budget of GPU seconds is spent; the best so far: ")
    assert "return a - b" in await scenario.patch(end)
    assert [(event.budget, event.limit) for event in scenario.of(BudgetSpent)] == [("gpu_seconds", 10)]
