"""`corral.db`: one writer, group commit, readers beside it.

Owns how SQLite is opened (write-ahead log, every commit on disk before anybody hears of it) and how writes that come
within a few milliseconds share one commit; where they keep coming, within some more. Measured: facts of SQLite under
kill -9, and the price of a commit.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from infrastructure.storage.connection import AnyJob, ConnectionThread, Patience, Work
from infrastructure.storage.directory import make_private_file
from infrastructure.storage.errors import CorruptDatabase, MissingDatabase, StorageError, from_sqlite, from_system
from infrastructure.storage.schema import MIGRATIONS, Migration, check_version, migrate

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

WINDOW_SECONDS = 0.002
"""How long a write waits for others to share its commit."""
GAP_SECONDS = 0.006
"""How long a group waits for one more where writes keep coming."""
LONGEST_SECONDS = 0.025
"""How long it waits in all; with the commit itself that is still below 50 ms."""
LAZY_SECONDS = 0.025
"""How long a write that nobody waits for waits for the commit of another one."""
GROUP_SIZE = 500
_ENDED = "a work ended the transaction it was given"
BUSY_SECONDS = 5.0
"""How long a lock of another program is waited for."""


class Readable(Protocol):
    """Something that runs reads on a snapshot of the database."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` in one read transaction, in another thread, and return its value.

        Raises:
            StorageError: the database cannot be read.
        """
        ...


class Database:
    """The holder's database: use it in `async with`; only the holder of the engine's lock may.

    Raises on opening: NewerDatabase, CorruptDatabase, ReadOnly, DiskFull.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
        window: float = WINDOW_SECONDS,
        lazy: float = LAZY_SECONDS,
        group_size: int = GROUP_SIZE,
    ) -> None:
        self.path = path
        self._writing = _Writer(path, migrations)
        patience = Patience(window, gap=GAP_SECONDS, longest=LONGEST_SECONDS, lazy=lazy)
        self._writer = ConnectionThread(path, self._writing, patience=patience, most=group_size)
        self._reader = ConnectionThread(path, _Reader(path, migrations))

    async def __aenter__(self) -> Self:
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def commits(self) -> int:
        """Transactions written so far, each one wait for the disk."""
        return self._writing.commits

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return its value once that is on disk.

        Works that come close together share a commit; one that raises is undone alone. `work` may run twice, when the
        transaction it shared was lost to another work's error, so it must do nothing but use its connection. A
        cancelled waiter does not take the write back.

        Raises:
            StorageError: nothing of it is stored.
        """
        return await self.submit(work)

    def submit(self, work: Work[T], *, lazy: bool = False) -> asyncio.Future[T]:
        """As `write`, but takes its place in the order now, without waiting.

        A lazy one shares the commit of the next write that is not, and has one of its own only when none comes for a
        while, or somebody hurries.
        """
        return self._writer.submit(work, lazy=lazy)

    def hurry(self) -> None:
        """Let lazy writes wait no longer."""
        self._writer.hurry()

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot that has every write that was acknowledged before."""
        return await self._reader.submit(work)

    async def aclose(self) -> None:
        """Finish what was handed over, empty the write-ahead log, close. Idempotent; finishes when cancelled."""
        self._reader.stop()
        try:
            await self._reader.ended()
        finally:
            self._writer.stop()
            await self._writer.ended()


class ReadOnlyDatabase:
    """The database as another process sees it. Takes no lock; works while the holder writes and after it was killed.

    Raises on opening: MissingDatabase, OlderDatabase, NewerDatabase, CorruptDatabase.
    """

    def __init__(self, path: Path, *, migrations: Sequence[Migration] = MIGRATIONS, alone: bool = False) -> None:
        """The database of this file.

        Args:
            path: The file.
            migrations: How an older one becomes today's.
            alone: Nobody writes meanwhile, since the caller holds the engine's lock: where the last writer closed it,
                no file is made beside it, for which a full disk has no room.
        """
        self.path = path
        self._reader = ConnectionThread(path, _Reader(path, migrations, alone=alone))

    async def __aenter__(self) -> Self:
        await self._reader.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot of what was committed last."""
        return await self._reader.submit(work)

    async def aclose(self) -> None:
        """Close. Idempotent."""
        self._reader.stop()
        await self._reader.ended()


class _Writer:
    """Keeps the one connection that writes."""

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
        self._path, self._migrations = path, migrations
        self.commits = 0

    def connect(self) -> sqlite3.Connection:
        try:
            left_open = _log_is_left(self._path)
            make_private_file(self._path)
        except OSError as error:
            raise from_system(error, self._path) from error
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare(connection, left_open)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise from_sqlite(error, self._path) from error
        return connection

    def _prepare(self, connection: sqlite3.Connection, left_open: bool) -> None:
        mode: tuple[str] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode[0] != "wal":
            raise StorageError(self._path, f"no write-ahead log here (journal mode {mode[0]}); is it a network disk?")
        for pragma in (
            "synchronous = FULL",
            "fullfsync = 1",
            "foreign_keys = ON",
            "wal_autocheckpoint = 1000",
            "mmap_size = 0",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if left_open:
            check: tuple[str] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if check[0] != "ok":
                raise CorruptDatabase(self._path, check[0])
        migrate(connection, self._path, self._migrations)

    def carry_out(self, connection: sqlite3.Connection, jobs: list[AnyJob]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for job in jobs:
                job.error = from_sqlite(error, self._path)
            return
        lost = _commit(connection, jobs, self._path)
        if lost is None:
            self.commits += 1
            return
        if len(jobs) == 1:
            jobs[0].error = from_sqlite(lost, self._path)
            return
        for job in jobs:  # one of them took the transaction down with it: each for itself, to find out which
            self.carry_out(connection, [job])

    def disconnect(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA busy_timeout = 200")  # a reader may be in the way, and a shutdown does not wait
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass  # all is committed; whoever opens the file next finds the rest in its log
        finally:
            connection.close()


class _Reader:
    """Keeps a connection that cannot write."""

    def __init__(self, path: Path, migrations: Sequence[Migration], *, alone: bool = False) -> None:
        self._path, self._migrations, self._alone = path, migrations, alone

    def connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise MissingDatabase(self._path)
        try:
            if self._alone and not _log_is_left(self._path):
                return self._open("immutable=1")
            try:
                return self._open("mode=ro")
            except sqlite3.OperationalError:
                # A reader makes the files of shared memory too. Where it cannot, because the disk is read-only, and
                # no writer has left a log, the file alone is all there is.
                if os.access(self._path.parent, os.W_OK) or _log_is_left(self._path):
                    raise
                return self._open("immutable=1")
        except sqlite3.Error as error:
            raise from_sqlite(error, self._path) from error

    def _open(self, mode: str) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            check_version(connection, self._path, self._migrations)
        except BaseException:
            connection.close()
            raise
        return connection

    def carry_out(self, connection: sqlite3.Connection, jobs: list[AnyJob]) -> None:
        for job in jobs:
            try:
                connection.execute("BEGIN")
                job.value = job.work(connection)
                connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the read
                job.error = _mapped(error, self._path)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def disconnect(self, connection: sqlite3.Connection) -> None:
        connection.close()


def _commit(connection: sqlite3.Connection, jobs: list[AnyJob], path: Path) -> sqlite3.Error | None:
    """Do the jobs in the open transaction and commit it. Returns the error that lost the transaction, if one did."""
    try:
        if not _plainly(connection, jobs):
            for job in jobs:
                _in_savepoint(connection, job, path)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return error
    return None


def _plainly(connection: sqlite3.Connection, jobs: list[AnyJob]) -> bool:
    """Do them without a savepoint each, which nearly always goes well; whether it did. If not, nothing of it is left.

    A savepoint is two statements more, and after each statement the thread may wait for the interpreter's lock.
    """
    try:
        for job in jobs:
            job.error = None
            job.value = job.work(connection)
            if not connection.in_transaction:
                raise sqlite3.OperationalError(_ENDED)
    except BaseException:  # noqa: BLE001 - whatever it is, it comes again in its job's savepoint
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        return False
    return True


def _in_savepoint(connection: sqlite3.Connection, job: AnyJob, path: Path) -> None:
    """Do one job so that its failure undoes it alone. Raises the error when that took the whole transaction."""
    job.value = job.error = None
    connection.execute("SAVEPOINT work")
    try:
        job.value = job.work(connection)
    except BaseException as error:
        if not connection.in_transaction:
            if isinstance(error, sqlite3.Error):
                raise
            raise sqlite3.OperationalError(_ENDED) from error
        job.error = _mapped(error, path)
        connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")


def _mapped(error: BaseException, path: Path) -> BaseException:
    """SQLite's own troubles as storage errors; a broken constraint and a wrong call stay what they are."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        mapped = from_sqlite(error, path)
        mapped.__cause__ = error
        return mapped
    return error


def _log_is_left(path: Path) -> bool:
    """Whether the last writer did not close: then the file is checked before it is used."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0
