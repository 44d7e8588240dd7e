"""Who is told that a server is out, or back."""

from __future__ import annotations

import pytest

from infrastructure.pool.scheduler import Scheduler


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def scheduler(told: list[tuple[str, str]]) -> Scheduler:
    scheduler = Scheduler({"one": 1, "two": 1}, queue_length=10)
    scheduler.attendance.listeners.append(lambda name, why: told.append((name, why)))
    return scheduler


def up(scheduler: Scheduler, name: str) -> None:
    scheduler.roster.up(name, models=("m:latest",), loaded=(), now=1.0)


def test_a_server_that_stays_down_is_told_of_once_and_then_that_it_is_back(
    scheduler: Scheduler, told: list[tuple[str, str]]
) -> None:
    up(scheduler, "one")
    assert told == []  # nothing was known of it before: it is not back
    scheduler.roster.down("one", "connection refused", 2.0)
    scheduler.roster.down("one", "connection refused", 3.0)
    up(scheduler, "one")
    up(scheduler, "one")
    assert told == [("one", "connection refused"), ("one", "")]


def test_a_server_that_is_drained_is_out_until_it_gets_calls_again(
    scheduler: Scheduler, told: list[tuple[str, str]]
) -> None:
    scheduler.roster.set_draining("two", True)
    scheduler.roster.down("two", "connection refused", 2.0)
    scheduler.roster.set_draining("two", False)
    assert told == [("two", "drained")]  # it is still down
    up(scheduler, "two")
    assert told == [("two", "drained"), ("two", "")]


def test_one_that_was_removed_does_not_come_back(scheduler: Scheduler, told: list[tuple[str, str]]) -> None:
    scheduler.roster.down("two", "gone", 2.0)
    scheduler.roster.remove("two")
    scheduler.roster.add("two", 1, None)
    up(scheduler, "two")
    assert told == [("two", "gone")]
