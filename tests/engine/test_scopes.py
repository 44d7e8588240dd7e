"""What a further execution of a run starts from: who had won, what was used already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.config.settings import BudgetSettings, Settings
from infrastructure.events.catalogue import CandidateEnded, NodeCompleted, RunCreated, RunInterrupted, RunStarted
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import new_run_id
from infrastructure.running.scopes import ScopeMaker
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.calls import CallStore
from infrastructure.storage.database import Database
from infrastructure.storage.recordings import RecordingStore
from infrastructure.tasks import TaskSpec
from infrastructure.workflow.budget import BudgetExhausted
from tests.storage.test_calls import CALL
from tests.workflow.scenario import Checked, scripted

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Times:
    """Says the given seconds after the beginning, one after another."""

    def __init__(self, *seconds: float) -> None:
        self._left: Iterator[float] = iter(seconds)

    def __call__(self) -> datetime:
        return BEGIN + timedelta(seconds=next(self._left))


def ended(number: int, outcome: str, round_number: int = 1) -> CandidateEnded:
    return CandidateEnded(node="coder", candidate=number, round=round_number, outcome=outcome, attempts=1)


@pytest.fixture
async def scope_after(tmp_path):
    """Make a run's scope from what its log holds."""
    async with Database(tmp_path / "corral.db") as database:

        async def made(*told, times=None, budget=None, calls=()):
            run = new_run_id()
            for call in calls:
                await CallStore(database).record(replace(call, run=run))
            log = MemoryEventLog(times or Times(*range(len(told))))
            for execution, event in told:
                await log.append(run, execution, event)
            maker = ScopeMaker(
                data=tmp_path, log=log, calls=CallStore(database), blobs=MemoryBlobs(),
                recordings=RecordingStore(database),
            )  # fmt: skip
            spec = TaskSpec(task="t", repo=tmp_path, budget=budget)
            return await maker.make(run, spec, Settings(model="m"), scripted(), Checked())

        yield made


async def test_race_remembers_who_had_won_each_round(scope_after):
    scope = await scope_after(
        (1, ended(1, "failed")),
        (1, ended(2, "done")),
        (1, ended(3, "lost")),
        (2, ended(5, "done", 2)),
        (2, ended(4, "done", 2)),
    )
    assert (scope.race.winner_of(1), scope.race.winner_of(2), scope.race.winner_of(3)) == (2, 5, None)
    assert not scope.race.won(1, 3)


async def test_unverified_candidate_has_not_won(scope_after):
    scope = await scope_after((1, ended(1, "unverified")))
    assert scope.race.winner_of(1) is None


async def test_time_of_all_executions_counts_and_time_between_them_does_not(scope_after):
    told = [
        (0, RunCreated(task="t", repo="/")), (1, RunStarted()), (1, RunInterrupted(reason="lunch")),
        (2, RunStarted(resumed=True)), (2, NodeCompleted(node="intent", seconds=1)),
    ]  # fmt: skip
    times = (0.0, 10.0, 40.0, 9000.0, 9020.0)
    fits = await scope_after(*told, times=Times(*times), budget=BudgetSettings(seconds=3600))
    assert 3000 < fits.budget.seconds_left() <= 3550
    spent = await scope_after(*told, times=Times(*times), budget=BudgetSettings(seconds=50))
    with pytest.raises(BudgetExhausted):
        spent.budget.check()


async def test_run_without_a_past_starts_fresh(scope_after):
    scope = await scope_after(budget=BudgetSettings(seconds=100, calls=7))
    assert scope.budget.calls == scope.budget.tokens == 0
    assert 0 < scope.budget.seconds_left() <= 100
    assert scope.budget.limits.calls == 7


async def test_time_of_servers_counts_over_all_executions(scope_after):
    calls = [
        replace(CALL, ordinal=number, load_seconds=1.0, prompt_seconds=2.0, decode_seconds=3.0) for number in (0, 1)
    ]
    fits = await scope_after(calls=calls, budget=BudgetSettings(gpu_seconds=12.5))
    fits.budget.check()
    spent = await scope_after(calls=calls, budget=BudgetSettings(gpu_seconds=12))
    with pytest.raises(BudgetExhausted) as over:
        spent.budget.check()
    assert over.value.budget == "gpu_seconds"
