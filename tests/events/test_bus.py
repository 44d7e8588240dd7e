"""The bus: everything once and in order, whatever one subscriber does to itself."""

import asyncio
import logging
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.events.bus import EventBus
from infrastructure.events.catalogue import Noted, RunStarted
from infrastructure.events.causes import correlated
from infrastructure.events.log import SqliteEventLog
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import new_run_id
from infrastructure.storage.database import Database
from tests.fuzzing import examples

RUN, OTHER = new_run_id(), new_run_id()


class Pauses:
    """A sleep that only remembers how long it was to be."""

    def __init__(self):
        self.taken = []

    async def __call__(self, seconds):
        self.taken.append(seconds)


class Ear:
    """A subscriber that hears what it is let hear."""

    def __init__(self, *, shut=False, most=0):
        self.heard = []
        self.most, self.full = most, asyncio.Event()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        if not shut:
            self.gate.set()

    async def __call__(self, stored):
        self.waiting.set()
        await self.gate.wait()
        self.heard.append((stored.run, stored.seq))
        if len(self.heard) == self.most:
            self.full.set()


@pytest.fixture
def log():
    return MemoryEventLog()


@pytest.fixture
async def bus(log):
    async with EventBus(log, sleep=Pauses(), pauses=()) as bus:
        log.observe(bus.publish)
        yield bus


async def write(log, count, run=RUN):
    for number in range(count):
        await log.append(run, 1, Noted(text=str(number)))


async def test_what_a_subscriber_hears_is_on_disk(tmp_path):
    path, seen = tmp_path / "corral.db", []

    def on_disk(run):
        connection = sqlite3.connect(path)
        try:
            return connection.execute("SELECT MAX(seq) FROM events WHERE run = ?", (run,)).fetchone()[0]
        finally:
            connection.close()

    async def handle(stored):
        seen.append(stored.seq <= await asyncio.to_thread(on_disk, stored.run))

    async with Database(path, window=0.001) as database:
        log = SqliteEventLog(database)
        async with EventBus(log) as bus:
            log.observe(bus.publish)
            bus.subscribe("reader", handle)
            for number in range(20):
                log.post(RUN, 1, Noted(text=str(number)))
            await log.flush()
            await bus.drain()
    assert seen == [True] * 20


async def test_one_that_hangs_harms_neither_the_log_nor_the_others(log, bus):
    stuck, well = Ear(shut=True), Ear(most=50)
    bus.subscribe("stuck", stuck, queue=3)
    bus.subscribe("well", well)
    await write(log, 50)
    await well.full.wait()
    assert stuck.heard == []
    standing = {each.name: each for each in bus.standing()}
    assert (standing["stuck"].queued, standing["stuck"].behind) == (2, 1)  # and one in hand
    stuck.gate.set()


async def test_one_whose_queue_was_full_hears_the_rest_from_the_log_once_and_in_order(log, bus):
    slow = Ear(shut=True)
    bus.subscribe("slow", slow, queue=2)
    for number in range(30):
        await write(log, 1, RUN)
        await write(log, number % 3, OTHER)
    slow.gate.set()
    await bus.drain()
    assert [seq for run, seq in slow.heard if run == RUN] == list(range(1, 31))
    assert [seq for run, seq in slow.heard if run == OTHER] == list(range(1, 31))
    assert bus.standing()[0].caught_up >= 50


async def test_what_is_caught_up_is_only_of_the_kinds_that_were_asked_for(log, bus):
    slow = Ear(shut=True)
    bus.subscribe("slow", slow, queue=1, kinds={"run.started"})
    for _ in range(10):
        await log.append(RUN, 1, RunStarted())
        await log.append(RUN, 1, Noted(text="no"))
    slow.gate.set()
    await bus.drain()
    assert [seq for _, seq in slow.heard] == list(range(1, 20, 2))


async def test_a_failure_is_handed_again_after_each_pause_and_then_left(log, caplog):
    pauses, heard = Pauses(), []

    async def fails(stored):
        heard.append(stored.seq)
        if stored.seq == 2:
            raise ValueError("no")

    well = Ear()
    with caplog.at_level(logging.ERROR):
        async with EventBus(log, sleep=pauses, pauses=(1.0, 2.0)) as bus:
            log.observe(bus.publish)
            bus.subscribe("fails", fails)
            bus.subscribe("well", well)
            await write(log, 3)
            await bus.drain()
            standing = {each.name: each for each in bus.standing()}
    assert heard == [1, 2, 2, 2, 3]
    assert pauses.taken == [1.0, 2.0]
    assert (standing["fails"].failures, standing["fails"].skipped, standing["fails"].delivered) == (3, 1, 2)
    assert (standing["well"].failures, len(well.heard)) == (0, 3)
    assert caplog.text.count("fails failed on event 2") == 3


async def test_one_that_fails_once_misses_nothing(log):
    tries = []

    async def fails_first(stored):
        tries.append(stored.seq)
        if len(tries) == 1:
            raise ValueError("not yet")

    async with EventBus(log, sleep=Pauses()) as bus:
        log.observe(bus.publish)
        bus.subscribe("one", fails_first)
        await write(log, 2)
        await bus.drain()
        assert tries == [1, 1, 2]
        assert bus.standing()[0].skipped == 0


async def test_lag_is_how_long_the_oldest_event_has_waited(log):
    now = 100.0
    slow = Ear(shut=True)
    async with EventBus(log, clock=lambda: now) as bus:
        log.observe(bus.publish)
        bus.subscribe("slow", slow, queue=1)
        assert bus.standing()[0].lag_seconds == 0
        await write(log, 1)
        await slow.waiting.wait()
        now = 103.0
        await write(log, 5)
        now = 107.0
        assert bus.standing()[0].lag_seconds == 7.0
        slow.gate.set()
        await bus.drain()
        assert bus.standing()[0].lag_seconds == 0
        assert bus.standing()[0].worst_lag_seconds == 7.0


async def test_draining_waits_for_what_was_published_and_says_when_it_was_not_heard(log):
    slow = Ear(shut=True)
    async with EventBus(log) as bus:
        log.observe(bus.publish)
        bus.subscribe("slow", slow)
        await write(log, 3)
        assert not await bus.drain(0)
        draining = asyncio.ensure_future(bus.drain())
        slow.gate.set()
        assert await draining
        assert len(slow.heard) == 3


async def test_closing_delivers_what_is_there_and_leaves_no_task(log):
    before, ear = asyncio.all_tasks(), Ear()
    async with EventBus(log) as bus:
        log.observe(bus.publish)
        bus.subscribe("ear", ear)
        await write(log, 3)
    assert len(ear.heard) == 3
    assert asyncio.all_tasks() == before
    await write(log, 1)  # and what comes later is nobody's
    assert len(ear.heard) == 3
    with pytest.raises(RuntimeError, match="closed"):
        bus.subscribe("late", ear)


async def test_one_that_ended_hears_no_more_and_its_name_is_free(log, bus):
    ear = Ear()
    end = bus.subscribe("ear", ear)
    with pytest.raises(ValueError, match="already"):
        bus.subscribe("ear", ear)
    end()
    await write(log, 1)
    bus.subscribe("ear", ear)
    await write(log, 1)
    await bus.drain()
    assert ear.heard == [(RUN, 2)]


async def test_what_a_subscriber_does_was_led_to_by_what_it_heard(log, bus):
    async def answers(stored):
        await log.append(OTHER, 1, Noted(text="answer"))

    bus.subscribe("answers", answers, kinds={"run.started"})
    with correlated("request-1"):
        await log.append(RUN, 1, RunStarted())
    await bus.drain()
    (answer,) = await log.read(OTHER)
    assert (answer.correlation, answer.causation) == ("request-1", f"{RUN}/1")


@settings(max_examples=examples(30, 300), deadline=None)
@given(
    steps=st.lists(st.sampled_from(["a", "b", "c", "hear", "turn"]), max_size=60),
    room=st.integers(1, 4),
)
def test_each_event_is_heard_once_and_in_its_runs_order_however_slow_one_is(steps, room):
    async def play():
        log, heard, turns = MemoryEventLog(), [], asyncio.Semaphore(0)

        async def handle(stored):
            await turns.acquire()
            heard.append((stored.run, stored.seq))

        async with EventBus(log) as bus:
            log.observe(bus.publish)
            bus.subscribe("ear", handle, queue=room)
            for step in steps:
                if step == "hear":
                    turns.release()
                elif step == "turn":
                    await asyncio.sleep(0)
                else:
                    await log.append(step, 1, Noted(text=step))
            for _ in steps:
                turns.release()
            await bus.drain()
        for run in "abc":
            assert [seq for of, seq in heard if of == run] == list(range(1, steps.count(run) + 1))

    asyncio.run(play())
