"""A thread that owns one SQLite connection and runs what it is handed, in order.

Owns the passage between the event loop and the thread. How a group of jobs is carried out is its user's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from infrastructure.storage.errors import StorageClosed

if TYPE_CHECKING:
    from pathlib import Path

NAP_SECONDS = 0.001

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class Job(Generic[T]):
    """One piece of work, who waits for it, and how it ended."""

    work: Work[T]
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop
    lazy: bool = False
    """Nobody waits for it, so it may wait for the group of one who is waited for."""
    value: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell the waiter; runs on its loop. One who no longer waits is not told."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)  # pyright: ignore[reportArgumentType] - its own work's value


AnyJob: TypeAlias = Job[Any]


class Keeper(Protocol):
    """What is done with a connection. All three run in the connection's thread."""

    def connect(self) -> sqlite3.Connection:
        """Open it, or raise a StorageError."""
        ...

    def carry_out(self, connection: sqlite3.Connection, jobs: list[AnyJob]) -> None:
        """Do the jobs and set `value` or `error` of each."""
        ...

    def disconnect(self, connection: sqlite3.Connection) -> None:
        """Close it. Nothing can be told of a failure any more."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long jobs are gathered for one group, in seconds. A lone job waits for `window`, and never longer.

    Where jobs keep coming, a group is gathered for longer: they wait for the disk in any case, and each group is a wait
    for it. What counts as that is how many came into this group so far and into the one before. Lazy jobs do not count:
    they go with the next group, or make one of their own when `lazy` is over.
    """

    window: float = 0.0
    """After the first job."""
    gap: float = 0.0
    """After the last job, where they keep coming."""
    longest: float = 0.0
    """After the first job, where they keep coming."""
    busy: int = 5
    """Jobs of this group and the one before that mean so."""
    enough: int = 32
    """Jobs for which nobody waits longer than `window`."""
    lazy: float = 0.0
    """After the first lazy job."""

    def until(self, first: float, last: float, jobs: int, before: int) -> float:
        """When gathering ends, by when the first and the last job came, and how many there are and were before."""
        if jobs == 0:  # lazy ones alone, which have waited
            return first
        end = first + self.window
        if jobs < 2 or jobs >= self.enough or jobs + before < self.busy:
            return end
        return max(end, min(first + self.longest, last + self.gap))


class ConnectionThread:
    """Opens a connection in a thread of its own, runs jobs on it, closes it there.

    Jobs are gathered as `patience` says, and at most `most` together. A job handed over is carried
    out even when nobody waits for it any more. After `stop` new jobs are refused; those handed over before are done.
    """

    def __init__(self, path: Path, keeper: Keeper, *, patience: Patience | None = None, most: int = 1) -> None:
        self._path, self._keeper = path, keeper
        self._patience, self._most = patience or Patience(), most
        self._before = 0
        self._jobs: deque[AnyJob | None] = deque()
        self._came, self._hurry = threading.Event(), threading.Event()
        self._open = False
        self._opened: Future[None] = Future()
        self._ended: Future[None] = Future()

    async def start(self) -> None:
        """Open the connection.

        Raises:
            StorageError: it cannot be opened; the thread has ended.
        """
        for outcome in (self._opened, self._ended):
            outcome.set_running_or_notify_cancel()  # so that a cancelled waiter does not cancel the outcome
        threading.Thread(target=self._run, name=f"corral {self._path.name}", daemon=True).start()
        self._open = True
        try:
            await asyncio.wrap_future(self._opened)
        except BaseException:
            self.stop()
            raise

    def submit(self, work: Work[T], *, lazy: bool = False) -> asyncio.Future[T]:
        """Hand a job over; the future is its value.

        Raises:
            StorageClosed: not started, or stopped.
        """
        if not self._open:
            raise StorageClosed(self._path)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.append(Job(work, future, loop, lazy))
        self._ring(hurry=not lazy)
        return future

    def hurry(self) -> None:
        """Let lazy jobs wait no longer."""
        self._ring(hurry=True)

    def stop(self) -> None:
        """Refuse new jobs, and close the connection after the last one handed over."""
        if self._open:
            self._open = False
            self._jobs.append(None)
            self._ring(hurry=True)

    async def ended(self) -> None:
        """Wait until the connection is closed, to the end even when cancelled."""
        if not self._ended.running() and not self._ended.done():
            return  # never started
        ended = asyncio.wrap_future(self._ended)
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _run(self) -> None:
        try:
            connection = self._keeper.connect()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits `start`
            self._opened.set_exception(error)
            self._ended.set_result(None)
            return
        self._opened.set_result(None)
        try:
            last = False
            while not last:
                jobs, last = self._gather()
                self._carry_out(connection, jobs)
        finally:
            self._keeper.disconnect(connection)
            self._ended.set_result(None)

    def _ring(self, *, hurry: bool) -> None:
        """Have the thread look; a bell that still rings is not rung again, since the look comes after its end."""
        if hurry and not self._hurry.is_set():
            self._hurry.set()
        if not self._came.is_set():
            self._came.set()

    def _gather(self) -> tuple[list[AnyJob], bool]:
        """The next jobs to do together, and whether they are the last."""
        self._came.wait()
        if not self._hurry.is_set():
            self._hurry.wait(self._patience.lazy)
        jobs: list[AnyJob] = []
        last = self._take(jobs)
        asked = _asked(jobs)
        began = came = time.monotonic()
        while not last and len(jobs) < self._most:
            if not self._another(self._patience.until(began, came, asked, self._before)):
                break
            last = self._take(jobs)
            if (now := _asked(jobs)) > asked:
                asked, came = now, time.monotonic()
        self._before = asked
        return jobs, last

    def _take(self, jobs: list[AnyJob]) -> bool:
        """Take what is there, at most a group's worth; whether that was the last there will be."""
        self._came.clear()  # before looking, so that whoever comes after the look rings again
        self._hurry.clear()
        while self._jobs:
            if len(jobs) == self._most:
                self._ring(hurry=True)  # the rest is the next group's
                return False
            job = self._jobs.popleft()
            if job is None:
                return True
            jobs.append(job)
        return False

    def _another(self, until: float) -> bool:
        """Whether another job comes before then.

        Looked for in naps and not by waiting for the bell: a nap gathers many jobs at one wake-up.
        """
        while not self._jobs:
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, max(left / 2, NAP_SECONDS)))  # noqa: TID251 - in the connection's thread, not on the loop
        return True

    def _carry_out(self, connection: sqlite3.Connection, jobs: list[AnyJob]) -> None:
        if not jobs:
            return  # somebody hurried, and there was nothing to do
        try:
            self._keeper.carry_out(connection, jobs)
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the jobs; the thread goes on
            for job in jobs:
                job.error = error
        for loop in {job.loop for job in jobs}:
            _tell(loop, [job for job in jobs if job.loop is loop])


def _asked(jobs: list[AnyJob]) -> int:
    return sum(not job.lazy for job in jobs)


def _tell(loop: asyncio.AbstractEventLoop, jobs: list[AnyJob]) -> None:
    """Settle the jobs on their loop, all in one wake-up."""
    try:
        loop.call_soon_threadsafe(_settle, jobs)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _settle(jobs: list[AnyJob]) -> None:
    for job in jobs:
        job.settle()
