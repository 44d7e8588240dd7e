"""Which old things go: decided by the age of what has ended, and by nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.codegen import Plan
from backend.cli.runs import age
from backend.retention import Kept, plan_cleaning, shas_in
from infrastructure.batch import BatchView
from infrastructure.config.settings import RetentionSettings
from infrastructure.ids import RunId
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.workflow.values import Candidate, FileRef, Outcome

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMITS = RetentionSettings(trees_days=7, tokens_days=3, runs_days=90)
SHA = "ab" * 32


def run(name: str, days: float | None, state: RunState = RunState.FINISHED) -> RunRecord:
    ended = None if days is None else NOW - timedelta(days=days)
    return RunRecord(
        run=RunId(name), thread=name, task="t", repo="/r", request_json="{}", state=state,
        created=NOW - timedelta(days=200), ended=ended,
    )  # fmt: skip


def kept(records: list[RunRecord], *folders: str) -> Kept:
    return Kept(records=records, folders=dict.fromkeys(folders, 1))


def batch(state: str, days: float) -> BatchView:
    since = NOW - timedelta(days=days)
    told = {"id": state, "name": "n", "jobs": 1, "out": "/out", "state": state, "started": since, "updated": since}
    return BatchView.model_validate(told)


def test_trees_of_runs_that_ended_long_enough_ago_go() -> None:
    cleaning = plan_cleaning(kept([run("old", 7), run("new", 6.9)], "old", "new"), LIMITS, NOW)
    assert cleaning.trees == ("old",)
    assert cleaning.runs == ()


@pytest.mark.parametrize("state", [RunState.INTERRUPTED, RunState.WAITING, RunState.RUNNING, RunState.QUEUED])
def test_run_that_can_still_go_on_loses_nothing_however_old(state: RunState) -> None:
    cleaning = plan_cleaning(kept([run("r", None, state)], "r"), LIMITS, NOW)
    assert (cleaning.trees, cleaning.runs) == ((), ())


def test_forgotten_run_loses_its_tree_too_even_where_trees_are_kept_longer() -> None:
    limits = RetentionSettings(trees_days=365, runs_days=90)
    cleaning = plan_cleaning(kept([run("r", 91)], "r"), limits, NOW)
    assert cleaning.runs == ("r",)
    assert cleaning.trees == ("r",)


def test_folder_of_no_run_goes() -> None:
    assert plan_cleaning(kept([], "stray"), LIMITS, NOW).trees == ("stray",)


def test_text_goes_by_its_own_limit() -> None:
    assert plan_cleaning(kept([]), LIMITS, NOW).text_before == NOW - timedelta(days=3)


@pytest.mark.parametrize(
    ("state", "has_records", "days", "goes"),
    [
        ("finished", True, 90, True),
        ("finished", True, 89, False),
        ("finished", False, 90, True),
        ("finished", False, 89, False),
        ("interrupted", False, 90, True),
        ("interrupted", True, 900, False),
        ("stopped", False, 90, True),
        ("stopped", True, 900, False),
        ("running", False, 900, False),
        ("waiting", False, 900, False),
    ],
)
def test_batch_goes_when_it_is_as_old_as_its_runs_may_be_and_no_command_can_go_on_with_it(
    state: str, has_records: bool, days: float, goes: bool
) -> None:
    there = Kept(records=[], folders={}, batches=[(batch(state, days), has_records)])
    assert plan_cleaning(there, LIMITS, NOW).batches == ((state,) if goes else ())


def test_every_hash_in_a_state_is_found_however_deep() -> None:
    candidate = Candidate(
        number=1, round=1, outcome=Outcome.DONE, reason="r", attempts=1, files=(FileRef("a", SHA), FileRef("b", None)),
        patch="cd" * 32,
    )  # fmt: skip
    plan = Plan(summary="ef" * 32, steps=["s"], files=["f"])
    state = {"tried": [candidate], "plan": plan, "names": {"x": ["01" * 32, "not a hash", SHA.upper()]}, "n": 3}
    assert set(shas_in(state)) == {SHA, "cd" * 32, "ef" * 32, "01" * 32}


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(minutes=61), "1 h"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(days=3, hours=5), "3 d"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_age_is_said_in_the_largest_unit(passed: timedelta, said: str) -> None:
    assert age(NOW - passed, NOW) == said
