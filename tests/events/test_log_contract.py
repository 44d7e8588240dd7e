"""What every event log promises: the real one and the fake run the same tests."""

import asyncio
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.events.catalogue import (
    Noted,
    PatchApplied,
    RunCreated,
    RunFinished,
    RunInterrupted,
    RunStarted,
    TextStreamed,
)
from infrastructure.events.log import PAGE, SqliteEventLog
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import new_run_id
from infrastructure.storage.database import Database
from infrastructure.storage.errors import StorageError

RUN = new_run_id()
CREATED = RunCreated(task="do it", repo="/repo")
STARTED = RunStarted()
RESUMED = RunStarted(resumed=True)
INTERRUPTED = RunInterrupted(reason="its user stopped it")
FINISHED = RunFinished(status="done", judge="given", exit_code=0)
APPLIED = PatchApplied(files=("a.py",))


def text(piece):
    return TextStreamed(call="coder:0", role="coder", text=piece, node="coder", candidate=1, round=1)


class Clock:
    def __init__(self):
        self.time = datetime(2026, 7, 1, 12, tzinfo=UTC)

    def __call__(self):
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture(params=["sqlite", "memory"])
async def log(request, tmp_path):
    if request.param == "memory":
        yield MemoryEventLog(Clock())
        return
    async with Database(tmp_path / "corral.db", window=0.001) as database:
        yield SqliteEventLog(database, Clock())


async def append_all(log, *events, run=RUN):
    return [await log.append(run, 1, event) for event in events]


async def collect(log, after=0, run=RUN, **options):
    return [stored async for stored in log.follow(run, after, **options)]


async def follower_that_has(log, count, **options):
    """A task that follows, once it has seen so many events."""
    seen, reached = [], asyncio.Event()

    async def follow():
        async for stored in log.follow(RUN, **options):
            seen.append(stored.event)
            if len(seen) >= count:
                reached.set()
        return seen

    task = asyncio.ensure_future(follow())
    if count:
        await reached.wait()
    return task


async def test_event_reads_back_as_it_was_with_its_place(log):
    stored = await log.append(RUN, 3, text("hé"))
    assert (stored.run, stored.seq, stored.execution, stored.event) == (RUN, 1, 3, text("hé"))
    assert stored.at == datetime(2026, 7, 1, 12, 0, 1, tzinfo=UTC)
    assert await log.read(RUN) == (stored,)


async def test_each_run_counts_from_one_without_a_gap(log):
    other = new_run_id()
    for number in range(1, 6):
        assert (await log.append(RUN, 1, text(str(number)))).seq == number
        assert (await log.append(other, 1, text(str(number)))).seq == number


async def test_read_begins_after_a_number_and_stops_at_a_limit(log):
    await append_all(log, *(text(str(number)) for number in range(6)))
    assert [stored.seq for stored in await log.read(RUN, after=2, limit=3)] == [3, 4, 5]
    assert await log.read(RUN, after=6) == ()
    assert await log.read(new_run_id()) == ()


async def test_posted_and_appended_events_keep_the_order_of_the_calls(log):
    for number in range(50):
        log.post(RUN, 1, text(str(number)))
        if number % 7 == 0:
            await log.append(RUN, 1, Noted(text=str(number)))
    await log.flush()
    read = [stored.event.text for stored in await log.read(RUN)]
    expected = [str(number) for number in range(50) for _ in range(2 if number % 7 == 0 else 1)]
    assert read == expected
    assert [stored.seq for stored in await log.read(RUN)] == list(range(1, len(expected) + 1))


async def test_follower_of_a_finished_run_gets_everything_and_ends(log):
    await append_all(log, CREATED, STARTED, text("a"), FINISHED)
    assert [stored.event for stored in await collect(log)] == [CREATED, STARTED, text("a"), FINISHED]
    assert [stored.event for stored in await collect(log, after=3)] == [FINISHED]


async def test_follower_that_comes_back_after_the_last_event_ends_at_once(log):
    await append_all(log, STARTED, FINISHED)
    assert await collect(log, after=2) == []


async def test_patch_applied_after_the_end_is_delivered_too(log):
    await append_all(log, STARTED, FINISHED, APPLIED)
    assert [stored.event for stored in await collect(log)] == [STARTED, FINISHED, APPLIED]


async def test_follower_gets_events_as_they_come_until_the_run_is_finished(log):
    await append_all(log, STARTED)
    follower = await follower_that_has(log, 1)
    log.post(RUN, 1, text("a"))
    await append_all(log, text("b"), FINISHED)
    assert await follower == [STARTED, text("a"), text("b"), FINISHED]


async def test_follower_may_come_before_the_run(log):
    follower = await follower_that_has(log, 0)
    await append_all(log, STARTED, FINISHED)
    assert await follower == [STARTED, FINISHED]


async def test_events_of_other_runs_are_not_delivered(log):
    await append_all(log, STARTED, run=new_run_id())
    await append_all(log, FINISHED)
    assert [stored.event for stored in await collect(log)] == [FINISHED]


async def test_follower_stays_through_an_interruption_unless_told_otherwise(log):
    await append_all(log, STARTED, INTERRUPTED)
    stays = await follower_that_has(log, 2)
    assert [s.event for s in await collect(log, ends_when_interrupted=True)] == [STARTED, INTERRUPTED]
    assert await collect(log, after=2, ends_when_interrupted=True) == []
    await append_all(log, RESUMED, FINISHED)
    assert await stays == [STARTED, INTERRUPTED, RESUMED, FINISHED]


async def test_interruption_that_is_over_ends_nothing(log):
    await append_all(log, STARTED, INTERRUPTED, RESUMED)
    follower = await follower_that_has(log, 3, ends_when_interrupted=True)
    assert not follower.done()
    await append_all(log, text("on"), INTERRUPTED)
    assert await follower == [STARTED, INTERRUPTED, RESUMED, text("on"), INTERRUPTED]


async def test_slow_follower_loses_nothing_over_many_pages(log):
    total = 2 * PAGE + 7
    seen = []
    log.post(RUN, 1, text("0"))
    async with aclosing(log.follow(RUN)) as events:
        async for stored in events:
            if not seen:  # it has one page at most; now far more comes than that
                for number in range(1, total):
                    log.post(RUN, 1, text(str(number)))
                await log.append(RUN, 1, FINISHED)
            seen.append(stored)
    assert [stored.seq for stored in seen] == list(range(1, total + 2))
    assert [stored.event.text for stored in seen[:-1]] == [str(number) for number in range(total)]


async def test_run_whose_events_fill_pages_exactly_ends_too(log):
    for number in range(PAGE - 1):
        log.post(RUN, 1, text(str(number)))
    await log.append(RUN, 1, FINISHED)
    assert len(await collect(log)) == PAGE


async def test_many_followers_see_the_same(log):
    followers = [await follower_that_has(log, 0) for _ in range(20)]
    await append_all(log, STARTED, *(text(str(number)) for number in range(20)), FINISHED)
    everything = [stored.event for stored in await log.read(RUN)]
    assert await asyncio.gather(*followers) == [everything] * 20


async def test_follower_that_leaves_is_forgotten(log):
    await append_all(log, STARTED)
    follower = await follower_that_has(log, 1)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    await append_all(log, FINISHED)
    assert log._bells._bells == {}


async def test_closing_the_log_ends_every_follower_with_what_is_there(log):
    await append_all(log, STARTED)
    follower = await follower_that_has(log, 1)
    log.post(RUN, 1, text("last"))
    await log.aclose()
    await log.aclose()
    assert await follower == [STARTED, text("last")]
    assert [stored.event for stored in await collect(log)] == [STARTED, text("last")]


async def test_pruning_takes_the_text_of_runs_that_finished_before(log):
    young, live = new_run_id(), new_run_id()
    await append_all(log, STARTED, text("a"), text("b"), FINISHED, APPLIED)
    await append_all(log, STARTED, text("c"), run=live)
    limit = (await log.append(young, 1, text("d"))).at
    await append_all(log, FINISHED, run=young)
    assert await log.prune_text(limit) == 2
    assert [(stored.seq, stored.event) for stored in await log.read(RUN)] == [(1, STARTED), (4, FINISHED), (5, APPLIED)]
    assert len(await log.read(young)) == 2
    assert len(await log.read(live)) == 2
    assert await log.prune_text(limit) == 0


async def test_pruning_never_makes_a_number_come_twice(log):
    await append_all(log, FINISHED, text("stray"))
    await log.prune_text(datetime(2027, 1, 1, tzinfo=UTC))
    assert (await log.append(RUN, 1, APPLIED)).seq == 3


async def test_follower_passes_over_pruned_text(log):
    await append_all(log, STARTED, text("a"), FINISHED)
    await log.prune_text(datetime(2027, 1, 1, tzinfo=UTC))
    assert [stored.seq for stored in await collect(log, after=1)] == [3]


async def test_flush_of_nothing_is_fine(log):
    await log.flush()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.text(max_size=20)), max_size=30))
async def test_any_mix_of_runs_posts_and_appends_is_dense_and_in_order(log, steps):
    runs = [new_run_id() for _ in range(3)]
    expected = {run: [] for run in runs}
    for which, waits, words in steps:
        expected[runs[which]].append(words)
        if waits:
            await log.append(runs[which], 1, text(words))
        else:
            log.post(runs[which], 1, text(words))
    await log.flush()
    for run in runs:
        read = await log.read(run)
        assert [stored.event.text for stored in read] == expected[run]
        assert [stored.seq for stored in read] == list(range(1, len(read) + 1))


class Broken(StorageError):
    pass


async def fail_next(log, tmp_path):
    """Make the next event of either log fail."""
    if isinstance(log, MemoryEventLog):
        log.fail_next(Broken(tmp_path))
    else:
        await log._database.write(lambda connection: connection.execute("ALTER TABLE events RENAME TO gone") and None)


async def mend(log):
    if isinstance(log, SqliteEventLog):
        await log._database.write(lambda connection: connection.execute("ALTER TABLE gone RENAME TO events") and None)


async def test_failed_post_is_told_by_the_next_append_of_its_run_once(log, tmp_path):
    await append_all(log, STARTED)
    await fail_next(log, tmp_path)
    log.post(RUN, 1, text("lost"))
    await asyncio.wait(getattr(log, "_posted", None) or [asyncio.ensure_future(asyncio.sleep(0))])
    await mend(log)
    assert (await log.append(new_run_id(), 1, STARTED)).seq == 1  # another run is not to blame
    with pytest.raises(StorageError):
        await log.append(RUN, 1, text("never written"))
    await append_all(log, FINISHED)
    assert [stored.event for stored in await log.read(RUN)] == [STARTED, FINISHED]


async def test_failed_post_is_told_by_flush_once(log, tmp_path):
    await fail_next(log, tmp_path)
    log.post(RUN, 1, text("lost"))
    with pytest.raises(StorageError):
        await log.flush()
    await mend(log)
    await log.flush()


async def test_flush_of_a_run_neither_tells_nor_forgets_what_another_lost(log, tmp_path):
    other = new_run_id()
    await fail_next(log, tmp_path)
    log.post(other, 1, text("lost"))
    with suppress(StorageError):
        await log.append(new_run_id(), 1, STARTED)  # what was posted before is over by then
    await mend(log)
    log.post(RUN, 1, text("kept"))
    await log.flush(RUN)
    assert [stored.event for stored in await log.read(RUN)] == [text("kept")]
    with pytest.raises(StorageError):
        await log.flush(other)
    await log.flush(other)
    await log.flush()


async def test_flush_of_everything_tells_of_every_run_that_lost_something(log, tmp_path):
    await fail_next(log, tmp_path)
    log.post(RUN, 1, text("lost"))
    if isinstance(log, MemoryEventLog):
        await fail_next(log, tmp_path)
    log.post(new_run_id(), 1, text("lost too"))
    with pytest.raises(StorageError) as told:
        await log.flush()
    assert told.value.__notes__ == ["events of 1 more run were lost too"]
    await mend(log)
    await log.flush()


async def test_failed_append_tells_its_own_caller(log, tmp_path):
    await fail_next(log, tmp_path)
    with pytest.raises(StorageError):
        await log.append(RUN, 1, STARTED)
    await mend(log)
    assert (await log.append(RUN, 1, STARTED)).seq == 1
