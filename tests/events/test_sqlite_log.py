"""What only the log in a file can be asked: durability, restarts, other processes."""

import asyncio
import sqlite3
from datetime import UTC

import pytest

from infrastructure.events.catalogue import ANY_EVENT, RunFinished, RunInterrupted, RunStarted, TextStreamed
from infrastructure.events.log import SqliteEventLog, UnreadableEvent, follow_file, read_file
from infrastructure.ids import new_run_id
from infrastructure.storage.database import Database, ReadOnlyDatabase
from infrastructure.storage.errors import StorageClosed

RUN = new_run_id()
STARTED = RunStarted()
FINISHED = RunFinished(status="done", judge="given", exit_code=0)


def text(piece):
    return TextStreamed(call="coder:0", role="coder", text=piece)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corral.db"


@pytest.fixture
async def database(path):
    async with Database(path, window=0.001) as database:
        yield database


@pytest.fixture
def log(database):
    return SqliteEventLog(database)


def rows_outside(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT seq, kind, body FROM events WHERE run = ? ORDER BY seq", (RUN,)).fetchall()
    connection.close()
    return rows


async def test_what_a_follower_sees_is_already_committed(log, path):
    seen = 0
    log.post(RUN, 1, STARTED)
    for number in range(20):
        log.post(RUN, 1, text(str(number)))
    log.post(RUN, 1, FINISHED)
    async for stored in log.follow(RUN):
        rows = await asyncio.to_thread(rows_outside, path)
        assert rows[stored.seq - 1][:2] == (stored.seq, stored.event.kind)
        assert ANY_EVENT.validate_json(rows[stored.seq - 1][2]) == stored.event
        seen += 1
    assert seen == 22


async def test_appended_event_is_committed_when_the_call_returns(log, path):
    await log.append(RUN, 1, STARTED)
    assert [row[:2] for row in await asyncio.to_thread(rows_outside, path)] == [(1, "run.started")]


async def test_numbers_go_on_after_a_restart(path):
    async with Database(path) as database:
        await SqliteEventLog(database).append(RUN, 1, STARTED)
    async with Database(path) as database:
        log = SqliteEventLog(database)
        assert (await log.append(RUN, 2, FINISHED)).seq == 2
        assert [(stored.seq, stored.execution) for stored in await log.read(RUN)] == [(1, 1), (2, 2)]
        assert all(stored.at.tzinfo == UTC for stored in await log.read(RUN))


async def test_cancelled_append_is_kept_and_its_followers_are_woken(path):
    async with Database(path, window=60, group_size=2) as database:
        log = SqliteEventLog(database)
        follower = asyncio.ensure_future(anext(aiter(log.follow(RUN))))
        await database.read(lambda connection: None)  # the follower has looked once and waits
        append = asyncio.ensure_future(log.append(RUN, 1, FINISHED))
        await asyncio.sleep(0)
        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append
        log.post(new_run_id(), 1, STARTED)  # fills the group
        assert (await follower).event == FINISHED


async def test_flush_of_a_run_does_not_wait_for_what_others_posted(path):
    async with Database(path, window=60, group_size=2) as database:
        log = SqliteEventLog(database)
        for event in (STARTED, FINISHED):
            log.post(RUN, 1, event)  # they fill a group
        log.post(new_run_id(), 1, STARTED)  # nothing fills this one
        await log.flush(RUN)
        assert len(await log.read(RUN)) == 2


async def test_half_a_character_of_a_model_is_replaced_not_refused(log):
    stored = await log.append(RUN, 1, text("half \ud83d of a pair"))
    assert stored.event.text == "half ? of a pair"
    assert await log.read(RUN) == (stored,)


async def test_event_of_a_newer_program_is_named_not_dropped(log, database):
    await log.append(RUN, 1, STARTED)
    await database.write(lambda connection: connection.execute("UPDATE events SET kind='x', body='{\"kind\": \"x\"}'"))
    with pytest.raises(UnreadableEvent) as unreadable:
        await log.read(RUN)
    assert (unreadable.value.seq, unreadable.value.kind) == (1, "x")


async def test_log_of_a_closed_database_is_a_named_error(path):
    async with Database(path) as database:
        log = SqliteEventLog(database)
    with pytest.raises(StorageClosed):
        await log.append(RUN, 1, STARTED)
    with pytest.raises(StorageClosed):
        log.post(RUN, 1, STARTED)


async def test_another_process_follows_to_the_same_end(log, path):
    await log.append(RUN, 1, STARTED)
    async with ReadOnlyDatabase(path) as reader:
        seen, first = [], asyncio.Event()

        async def follow():
            async for stored in follow_file(reader, RUN, poll=0.001):
                seen.append(stored)
                first.set()

        following = asyncio.ensure_future(follow())
        await first.wait()
        for number in range(10):
            log.post(RUN, 1, text(str(number)))
        await log.append(RUN, 1, FINISHED)
        await following
        assert tuple(seen) == await log.read(RUN) == await read_file(reader, RUN)
        assert [stored.seq async for stored in follow_file(reader, RUN, 11)] == [12]
        assert [stored async for stored in follow_file(reader, RUN, 12)] == []


async def test_another_process_ends_at_an_interruption_when_asked(log, path):
    await log.append(RUN, 1, STARTED)
    await log.append(RUN, 1, RunInterrupted(reason="shutdown"))
    async with ReadOnlyDatabase(path) as reader:
        events = follow_file(reader, RUN, ends_when_interrupted=True)
        assert [stored.event.kind async for stored in events] == ["run.started", "run.interrupted"]
