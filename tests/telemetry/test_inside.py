"""What is measured of the inside: events, the bus, the loop, and numbers that others have."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from infrastructure.events.bus import Standing
from infrastructure.events.catalogue import Noted, RunStarted
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.telemetry import names
from infrastructure.telemetry.events import EventMetrics, bus_samples
from infrastructure.telemetry.gauges import Gauges
from infrastructure.telemetry.loop import LoopWatch
from infrastructure.telemetry.metrics import MetricsCollector, Sample

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def stored(event: Noted | RunStarted) -> Stored:
    return Stored(RunId("r"), 1, NOW, 1, event)


async def test_events_are_counted_by_kind_and_commits_by_their_seconds() -> None:
    metrics = EventMetrics()
    for event in (Noted(text="a"), Noted(text="b"), RunStarted()):
        await metrics.hear(stored(event))
        metrics.committed(stored(event), 0.004)
    text = MetricsCollector((), metrics.families()).text().decode()
    assert 'corral_events_total{kind="run.noted"} 2.0' in text
    assert 'corral_events_total{kind="run.started"} 1.0' in text
    assert 'corral_event_commit_seconds_bucket{le="0.0025"} 0.0' in text
    assert 'corral_event_commit_seconds_bucket{le="0.005"} 3.0' in text


def test_each_subscriber_has_its_figures() -> None:
    standing = Standing("audit", queued=3, behind=1, lag_seconds=0.5, worst_lag_seconds=2.0, delivered=10, failures=4,
                        skipped=1, caught_up=6)  # fmt: skip
    text = MetricsCollector(bus_samples([standing])).text().decode()
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if 'subscriber="audit"' in line)
    assert {name.removeprefix("corral_bus_").partition("{")[0]: float(value) for name, value in told.items()} == {
        "queued": 3, "behind": 1, "lag_seconds": 0.5, "worst_lag_seconds": 2, "delivered_total": 10,
        "failures_total": 4, "skipped_total": 1, "caught_up_total": 6,
    }  # fmt: skip


class Time:
    """A clock that a sleeper moves: by what it wanted, and how late it was woken."""

    def __init__(self, *lateness: float) -> None:
        self.now = 0.0
        self.lateness = list(lateness)
        self.over = asyncio.Event()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.lateness:
            self.over.set()
            await asyncio.Event().wait()
        self.now += seconds + self.lateness.pop(0)


async def test_a_loop_that_is_held_up_shows_as_lateness(caplog: pytest.LogCaptureFixture) -> None:
    time = Time(0.0, 1.5, 0.02)
    with caplog.at_level(logging.INFO):
        async with LoopWatch(clock=time, sleep=time.sleep) as watch:
            await time.over.wait()
            text = MetricsCollector(watch.samples(), watch.families()).text().decode()
    assert watch.worst_seconds == pytest.approx(1.5)
    assert "corral_loop_lag_seconds_count 3.0" in text
    assert 'corral_loop_lag_seconds_bucket{le="0.025"} 2.0' in text
    assert "held up for 1.5 s" in caplog.text


async def test_errors_that_reach_the_loop_are_counted_and_passed_on() -> None:
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda loop, context: seen.append(context["message"]))
    time = Time()
    async with LoopWatch(clock=time, sleep=time.sleep) as watch:
        loop.call_exception_handler({"message": "Task exception was never retrieved"})
        samples = {sample.name: sample.value for sample in watch.samples()}
    assert samples[names.TASK_FAILURES] == 1
    assert samples[names.TASKS] == len(asyncio.all_tasks()) + 1  # the watch itself is over
    loop.call_exception_handler({"message": "after"})
    assert seen == ["Task exception was never retrieved", "after"]
    assert watch.failures == 1
    loop.set_exception_handler(None)


def test_numbers_of_others_are_asked_for_and_one_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    gauges, sessions = Gauges(), [1, 2]
    gauges.add(names.SESSIONS, lambda: len(sessions))
    gauges.add(names.APPROVALS_PENDING, lambda: 1 / 0)
    sessions.append(3)
    assert list(gauges.samples()) == [Sample(names.SESSIONS, 3)]
    assert "corral_approvals_pending cannot be told" in caplog.text


def test_a_number_without_a_metric_or_with_other_labels_is_a_mistake() -> None:
    gauges = Gauges()
    with pytest.raises(KeyError):
        gauges.add("corral_nothing", lambda: 1)
    with pytest.raises(ValueError, match="labels"):
        gauges.add(names.SESSIONS, lambda: 1, ("gpu0",))
