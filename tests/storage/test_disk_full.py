"""A full disk: a clear error, what was kept stays readable, and writing goes on when there is room again."""

import asyncio
import os
import sqlite3
import subprocess

import pytest

from infrastructure.events.catalogue import Noted, RunFinished, RunStarted
from infrastructure.events.log import SqliteEventLog, read_file
from infrastructure.ids import RunId, new_run_id
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import Database, ReadOnlyDatabase
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import DiskFull, ReadOnly, from_sqlite, from_system
from infrastructure.storage.runs import RunStore

RUN = new_run_id()


async def fill(kept, write):
    """Write until it fails; what was acknowledged is added to `kept`."""
    while True:
        kept.append(await write())


def limit_pages(extra):
    def work(connection):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + extra}").fetchone()

    return work


def lift_limit(connection):
    connection.execute("PRAGMA max_page_count = 1000000").fetchone()


async def test_full_database_is_a_clear_error_and_stays_readable(tmp_path):
    path = tmp_path / "corral.db"
    async with Database(path) as database:
        log = SqliteEventLog(database)
        kept = [await log.append(RUN, 1, RunStarted())]
        await database.write(limit_pages(4))
        with pytest.raises(DiskFull) as full:
            await fill(kept, lambda: log.append(RUN, 1, Noted(text="x" * 3000)))
        assert str(path) in str(full.value)
        assert "corral clean" in full.value.hint
        assert await log.read(RUN) == tuple(kept)
        async with ReadOnlyDatabase(path) as reader:
            assert await read_file(reader, RUN) == tuple(kept)
        await database.write(lift_limit)
        assert (await log.append(RUN, 1, RunFinished(status="done", judge="given", exit_code=0))).seq == len(kept) + 1


async def test_big_write_that_finds_no_room_does_not_spoil_the_small_ones_of_its_group(tmp_path):
    async with Database(tmp_path / "corral.db", window=60, group_size=3) as database:
        await asyncio.gather(*(database.write(limit_pages(3)) for _ in range(3)))
        log = SqliteEventLog(database)
        outcomes = await asyncio.gather(
            log.append(RUN, 1, Noted(text="small")),
            log.append(RUN, 1, Noted(text="x" * 1_000_000)),
            log.append(RUN, 1, Noted(text="small too")),
            return_exceptions=True,
        )
        assert [type(outcome).__name__ for outcome in outcomes] == ["Stored", "DiskFull", "Stored"]
        assert [stored.seq for stored in await log.read(RUN)] == [1, 2]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte, where this machine lets us have one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
async def test_disk_that_is_really_full_is_a_clear_error_and_loses_nothing(small_disk):
    data = DataDirectory(small_disk / "data")
    await asyncio.to_thread(data.prepare)
    async with Database(data.database) as database:
        runs, log, blobs = RunStore(database), SqliteEventLog(database), BlobStore(data.blobs)
        run = (await runs.create(run=RUN, thread=RUN, task="t", repo="/r", request_json="{}")).run
        kept = []
        ballast = await blobs.put(os.urandom(100_000))
        with pytest.raises(DiskFull):
            await fill(kept, lambda: log.append(run, 1, Noted(text="x" * 5000)))
        with pytest.raises(DiskFull):
            await blobs.put(os.urandom(400_000))
        with pytest.raises(DiskFull):
            await fill(
                [],
                lambda: runs.create(run=new_run_id(), thread="t", task="y" * 5000, repo="/r", request_json="{}"),
            )
        assert await log.read(run) == tuple(kept)
        assert len(kept) > 3
        async with ReadOnlyDatabase(data.database) as reader:
            assert await read_file(reader, run) == tuple(kept)
        assert await blobs.has(ballast)
        assert await blobs.sweep(set(), young_seconds=-60) == 100_000
        assert (await log.append(run, 1, Noted(text="on again"))).seq == len(kept) + 1
    async with Database(data.database) as database:
        assert len(await SqliteEventLog(database).read(run)) == len(kept) + 1


@pytest.mark.slow
async def test_request_on_a_full_disk_is_a_clear_error_and_the_earlier_ones_stay(small_disk):
    control = ControlStore(small_disk / "control.db")
    asked = [await control.ask_cancel(RunId("first"))]
    (small_disk / "ballast").write_bytes(b"x" * 300_000)
    with pytest.raises(DiskFull):
        await fill(asked, lambda: control.ask_cancel(RunId("r" * 4000 + str(len(asked)))))
    (small_disk / "ballast").unlink()
    assert [request.id for request in await control.pending()] == asked


@pytest.mark.slow
async def test_disk_that_turned_read_only_is_a_clear_error_and_can_be_read(small_disk):
    data = DataDirectory(small_disk / "data")
    async with Database(data.database) as database:
        await SqliteEventLog(database).append(RUN, 1, RunStarted())
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ReadOnly) as refused:
        await Database(data.database).__aenter__()
    assert "read-only" in refused.value.hint
    with pytest.raises(ReadOnly):
        await BlobStore(data.blobs).put(b"x")
    async with ReadOnlyDatabase(data.database) as reader:
        assert len(await read_file(reader, RUN)) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, "DiskFull"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "DiskFull"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "ReadOnly"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "CorruptDatabase"),
        (sqlite3.SQLITE_NOTADB, "CorruptDatabase"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "StorageBusy"),
        (sqlite3.SQLITE_IOERR_READ, "StorageError"),
    ],
)
def test_sqlites_codes_are_told_apart(tmp_path, code, kind):
    error = sqlite3.OperationalError("told so")
    error.sqlite_errorcode = code
    mapped = from_sqlite(error, tmp_path)
    assert type(mapped).__name__ == kind
    assert mapped.hint
    assert "told so" in str(mapped)


@pytest.mark.parametrize(
    ("number", "kind"), [(28, "DiskFull"), (122, "DiskFull"), (30, "ReadOnly"), (13, "ReadOnly"), (5, "StorageError")]
)
def test_systems_errors_are_told_apart(tmp_path, number, kind):
    assert type(from_system(OSError(number, "told so"), tmp_path)).__name__ == kind
