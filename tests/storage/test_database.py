import asyncio
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from infrastructure.storage.connection import Patience
from infrastructure.storage.database import Database, ReadOnlyDatabase
from infrastructure.storage.errors import (
    CorruptDatabase,
    MissingDatabase,
    NewerDatabase,
    OlderDatabase,
    StorageBusy,
    StorageClosed,
)
from infrastructure.storage.schema import MIGRATIONS, migrate

NOTES = (("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)",),)


def note(text):
    def work(connection):
        connection.execute("INSERT INTO notes VALUES (?)", (text,))
        return text

    return work


def all_notes(connection):
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "corral.db"


@pytest.fixture
async def database(path):
    async with Database(path, migrations=NOTES) as database:
        yield database


async def test_write_returns_the_value_of_its_work_and_a_read_sees_it(database):
    assert await database.write(note("a")) == "a"
    assert await database.read(all_notes) == ["a"]


async def test_files_and_directory_are_for_their_owner_alone(database, path):
    await database.write(note("a"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"corral.db": 0o600, "corral.db-wal": 0o600, "corral.db-shm": 0o600}


async def test_every_commit_is_synced_and_the_log_is_ahead(database):
    def pragmas(connection):
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "mmap_size")
        return [connection.execute(f"PRAGMA {name}").fetchone() for name in names]

    full = 2
    assert [row and row[0] for row in await database.write(pragmas)] == ["wal", full, 1, 5000, 0]


async def test_writes_that_come_together_share_one_transaction(path):
    seen_outside = []

    def look_from_outside(connection):
        with sqlite3.connect(path) as other:
            seen_outside.extend(all_notes(other))
        other.close()

    async with Database(path, migrations=NOTES, window=60, group_size=3) as database:
        await asyncio.gather(database.write(note("a")), database.write(note("b")), database.write(look_from_outside))
        assert seen_outside == []  # the third was run before the first two were committed
        assert await database.read(all_notes) == ["a", "b"]


async def test_work_that_fails_is_undone_alone_within_its_group(path):
    def half(connection):
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ValueError("no more")

    async with Database(path, migrations=NOTES, window=60, group_size=4) as database:
        outcomes = await asyncio.gather(
            database.write(note("a")),
            database.write(half),
            database.write(note("a")),
            database.write(note("b")),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [str, ValueError, sqlite3.IntegrityError, str]
        assert await database.read(all_notes) == ["a", "b"]


async def test_work_that_ends_the_shared_transaction_does_not_take_the_others_with_it(path):
    def rude(connection):
        connection.execute("ROLLBACK")
        raise ValueError("rude")

    async with Database(path, migrations=NOTES, window=60, group_size=3) as database:
        outcomes = await asyncio.gather(
            database.write(note("a")), database.write(rude), database.write(note("b")), return_exceptions=True
        )
        assert outcomes[0] == "a"
        assert outcomes[2] == "b"
        assert "ended the transaction" in str(outcomes[1])
        assert await database.read(all_notes) == ["a", "b"]


async def test_writes_keep_the_order_in_which_they_were_handed_over(database):
    futures = [database.submit(note(f"{number:03}")) for number in range(300)]
    await asyncio.gather(*futures)
    assert await database.read(all_notes) == [f"{number:03}" for number in range(300)]


async def test_cancelled_waiter_does_not_take_the_write_back(path):
    async with Database(path, migrations=NOTES, window=60, group_size=2) as database:
        waiter = asyncio.ensure_future(database.write(note("a")))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await database.write(note("b"))
        assert await database.read(all_notes) == ["a", "b"]


async def test_close_finishes_what_was_handed_over_and_empties_the_log(path):
    async with Database(path, migrations=NOTES, window=60) as database:
        future = database.submit(note("a"))
    assert await future == "a"
    assert not path.with_name("corral.db-wal").exists()


async def test_close_twice_is_once_and_use_after_it_is_a_named_error(database):
    await database.aclose()
    await database.aclose()
    with pytest.raises(StorageClosed):
        await database.write(note("a"))
    with pytest.raises(StorageClosed):
        await database.read(all_notes)


async def test_use_before_opening_is_a_named_error(path):
    with pytest.raises(StorageClosed):
        await Database(path).read(all_notes)


async def test_close_finishes_even_when_it_is_cancelled(path):
    database = await Database(path, migrations=NOTES, window=60).__aenter__()
    future = database.submit(note("a"))
    closing = asyncio.ensure_future(database.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await future == "a"
    assert not path.with_name("corral.db-wal").exists()


async def test_reader_cannot_write(database):
    with pytest.raises(Exception, match="readonly"):
        await database.read(note("a"))


async def test_one_read_sees_one_moment(database):
    await database.write(note("a"))
    loop = asyncio.get_running_loop()

    def twice(connection):
        before = all_notes(connection)
        asyncio.run_coroutine_threadsafe(database.write(note("b")), loop).result(10)
        return before, all_notes(connection)

    assert await database.read(twice) == (["a"], ["a"])
    assert await database.read(all_notes) == ["a", "b"]


async def test_database_of_a_newer_program_is_refused_and_left_alone(path):
    async with Database(path, migrations=(*NOTES, ("CREATE TABLE more (x)",))):
        pass
    with pytest.raises(NewerDatabase) as refused:
        await Database(path, migrations=NOTES).__aenter__()
    assert "Update Corral" in refused.value.hint
    with pytest.raises(NewerDatabase):
        await ReadOnlyDatabase(path, migrations=NOTES).__aenter__()


async def test_older_database_is_brought_up_to_date_by_its_holder_and_kept(path):
    async with Database(path, migrations=NOTES) as database:
        await database.write(note("a"))
    newer = (*NOTES, ("ALTER TABLE notes ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",))
    with pytest.raises(OlderDatabase):
        await ReadOnlyDatabase(path, migrations=newer).__aenter__()
    async with Database(path, migrations=newer) as database:
        rows = await database.read(lambda connection: connection.execute("SELECT * FROM notes").fetchall())
    assert rows == [("a", "calm")]


async def test_failed_migration_leaves_the_old_version(path):
    async with Database(path, migrations=NOTES) as database:
        await database.write(note("a"))
    broken = (*NOTES, ("CREATE TABLE more (x)", "CREATE NONSENSE"))
    with pytest.raises(Exception, match="NONSENSE"):
        await Database(path, migrations=broken).__aenter__()
    async with Database(path, migrations=NOTES) as database:
        assert await database.read(all_notes) == ["a"]


async def test_file_that_is_no_database_is_named_as_damaged(path):
    path.parent.mkdir()
    path.write_bytes(b"hello, this is no database at all" * 100)
    with pytest.raises(CorruptDatabase) as refused:
        await Database(path).__aenter__()
    assert str(path) in str(refused.value)


async def test_damage_is_found_when_the_last_writer_did_not_close(path):
    async with Database(path, migrations=NOTES) as database:
        for number in range(200):
            await database.write(note(f"{number:03}" * 300))
    with path.open("r+b") as file:  # an inner page
        file.seek(4096 * 3)
        file.write(os.urandom(4096))
    path.with_name("corral.db-wal").write_bytes(b"\0" * 32)
    with pytest.raises(CorruptDatabase):
        await Database(path, migrations=NOTES).__aenter__()


async def test_reader_of_another_process_needs_a_database(tmp_path):
    with pytest.raises(MissingDatabase):
        await ReadOnlyDatabase(tmp_path / "corral.db").__aenter__()
    (tmp_path / "corral.db").touch()
    with pytest.raises(MissingDatabase):
        await ReadOnlyDatabase(tmp_path / "corral.db").__aenter__()


async def test_reader_of_another_process_sees_what_the_holder_commits(database, path):
    async with ReadOnlyDatabase(path, migrations=NOTES) as reader:
        assert await reader.read(all_notes) == []
        await database.write(note("a"))
        assert await reader.read(all_notes) == ["a"]


async def test_reader_works_after_the_holder_has_closed(path):
    async with Database(path, migrations=NOTES) as database:
        await database.write(note("a"))
    async with ReadOnlyDatabase(path, migrations=NOTES) as reader:
        assert await reader.read(all_notes) == ["a"]
    async with Database(path, migrations=NOTES) as database:
        await database.write(note("b"))
        assert await database.read(all_notes) == ["a", "b"]


async def test_path_with_odd_characters_is_read_too(tmp_path):
    path = tmp_path / "what? #1 100% ü" / "corral.db"
    async with Database(path, migrations=NOTES) as database:
        await database.write(note("a"))
        assert await database.read(all_notes) == ["a"]


async def test_lock_of_another_program_is_a_named_error_for_the_whole_group(path):
    async with Database(path, migrations=NOTES, window=60, group_size=2) as database:
        await asyncio.gather(
            database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchone()),
            database.write(note("a")),
        )
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(database.write(note("b")), database.write(note("c")), return_exceptions=True)
        other.execute("ROLLBACK")
        other.close()
        assert [type(outcome) for outcome in outcomes] == [StorageBusy, StorageBusy]
        assert await asyncio.gather(database.write(note("b")), database.write(note("c"))) == ["b", "c"]


async def test_shipped_schema_opens(path):
    async with Database(path) as database:
        version = await database.read(lambda connection: connection.execute("PRAGMA user_version").fetchone())
    assert version == (len(MIGRATIONS),)


def test_two_processes_that_make_the_same_file_at_once_make_each_step_once(tmp_path):
    path = tmp_path / "new.db"
    first = sqlite3.connect(path, isolation_level=None)
    first.execute("BEGIN IMMEDIATE")
    first.execute(NOTES[0][0])
    first.execute("PRAGMA user_version = 1")
    waits = threading.Event()

    def second():
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.set_trace_callback(lambda statement: waits.set() if "IMMEDIATE" in statement else None)
            migrate(connection, path, NOTES)

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(second)
        assert waits.wait(30)  # it has seen an empty file, and now waits for the lock
        first.execute("COMMIT")
        outcome.result(30)
    assert first.execute("PRAGMA user_version").fetchone() == (1,)
    first.close()


@pytest.mark.parametrize(
    ("jobs", "before", "last", "until"),
    [
        (1, 0, 0.0, 0.002),  # alone
        (1, 400, 0.0, 0.002),  # alone, though there was a crowd
        (2, 2, 0.001, 0.002),  # two that take turns
        (2, 3, 0.001, 0.007),
        (31, 30, 0.010, 0.016),
        (31, 30, 0.024, 0.025),  # never longer than that
        (32, 30, 0.010, 0.002),  # enough: no more than are there
    ],
)
def test_a_group_is_gathered_for_longer_only_where_writes_keep_coming(jobs, before, last, until):
    patience = Patience(window=0.002, gap=0.006, longest=0.025, busy=5, enough=32)
    assert patience.until(0.0, last, jobs, before) == pytest.approx(until)


async def test_lazy_write_goes_with_the_next_that_is_waited_for_in_its_place(path):
    async with Database(path, migrations=NOTES, lazy=60) as database:
        lazy = [database.submit(note(each), lazy=True) for each in "ab"]
        assert await database.write(note("c")) == "c"
        assert [await each for each in lazy] == ["a", "b"]
        assert await database.read(all_notes) == ["a", "b", "c"]
        assert database.commits == 1


async def test_lazy_writes_share_a_commit_of_their_own_when_nobody_else_comes(path):
    async with Database(path, migrations=NOTES, lazy=0.05) as database:
        assert await asyncio.gather(*(database.submit(note(each), lazy=True) for each in "ab")) == ["a", "b"]
        assert database.commits == 1


async def test_lazy_writes_wait_no_longer_when_somebody_hurries_or_the_database_closes(path):
    async with Database(path, migrations=NOTES, lazy=60) as database:
        database.hurry()  # nobody there
        first = database.submit(note("a"), lazy=True)
        database.hurry()
        assert await first == "a"
        last = database.submit(note("b"), lazy=True)
    assert await last == "b"


async def test_work_that_fails_is_undone_alone_though_it_had_written(path):
    def halfway(connection):
        note("half")(connection)
        raise ValueError("halfway")

    async with Database(path, migrations=NOTES, window=60, group_size=3) as database:
        outcomes = await asyncio.gather(
            database.write(note("a")), database.write(halfway), database.write(note("b")), return_exceptions=True
        )
        assert [outcomes[0], str(outcomes[1]), outcomes[2]] == ["a", "halfway", "b"]
        assert await database.read(all_notes) == ["a", "b"]
        assert database.commits == 1


async def test_transactions_are_counted(path):
    async with Database(path, migrations=NOTES, window=60, group_size=2) as database:
        await asyncio.gather(database.write(note("a")), database.write(note("b")))
        assert database.commits == 1


@pytest.mark.parametrize("window", [1e-6, 3e-6, 1e-5])
async def test_lone_write_is_done_however_short_the_window_and_however_busy_the_processor(path, window):
    async with Database(path, migrations=NOTES, window=window) as database:
        for number in range(300):  # a timed wait that is over before it begins waited for ever, now and then
            assert await database.write(lambda connection, number=number: number) == number
