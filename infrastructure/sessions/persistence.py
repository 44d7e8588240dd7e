"""When a message reaches the disk: at once, or some seconds later and many together.

Owns the three modes. In each the messages of a session are stored in their order, and a message and its event are
stored together or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from infrastructure.config.settings import SessionSettings
from infrastructure.events.catalogue import AnyEvent, MessageAdded
from infrastructure.events.log import Stored
from infrastructure.ids import RunId, SessionId
from infrastructure.sessions.errors import SessionError
from infrastructure.sessions.loaded import LoadedSession
from infrastructure.sessions.ports import Clock, SessionLog
from infrastructure.sessions.records import StoredMessage
from infrastructure.sessions.store import appended
from infrastructure.storage.connection import Work

_log = logging.getLogger(__name__)


class Persistence(Protocol):
    """One of the modes."""

    async def room(self) -> None:
        """Return when another message may come.

        Raises:
            StorageError: too many wait, and they cannot be stored.
        """
        ...

    async def keep(self, session: LoadedSession, stored: StoredMessage, along: Work[None] | None = None) -> None:
        """Take a message that has its place; takes its own before it waits. Returns when it is acknowledged.

        `along` is done in the transaction of a message that is stored at once; the others leave it to the caller.

        Raises:
            StorageError: it is not kept. What the session has in memory is void.
            OutOfOrder: one before it was not kept.
        """
        ...

    def holds(self, session: SessionId) -> bool:
        """Whether a message of the session is only in memory."""
        ...

    async def flush(self, session: SessionId | None = None) -> None:
        """Return when all that was acknowledged is on disk: a session's, or everybody's.

        A message that has its place is in memory then, or refused: also one whose caller was cancelled.

        Raises:
            StorageError: some of it is not; it is kept in memory and tried again.
        """
        ...

    def drop(self, session: SessionId) -> None:
        """Forget what waits for a session that is gone."""
        ...

    async def aclose(self) -> None:
        """Flush and end. Idempotent.

        Raises:
            StorageError: some of it could not be stored.
        """
        ...


class Strict:
    """Acknowledged is on disk. Appends that come together share a commit."""

    def __init__(self, log: SessionLog, lost: Callable[[LoadedSession], None]) -> None:
        self._log, self._lost = log, lost
        self._on_their_way: dict[asyncio.Future[tuple[Stored, ...]], SessionId] = {}

    async def room(self) -> None:
        """There always is."""

    async def keep(self, session: LoadedSession, stored: StoredMessage, along: Work[None] | None = None) -> None:
        """Store it, then acknowledge it. A cancelled caller does not take it back."""
        future = _submit(self._log, [stored], along)
        session.waiting[stored.number] = future
        self._on_their_way[future] = session.record.session
        future.add_done_callback(partial(self._stored, session, stored))
        await asyncio.shield(future)

    def holds(self, session: SessionId) -> bool:
        """Never: `waiting` of the session says what is on its way."""
        return False

    async def flush(self, session: SessionId | None = None) -> None:
        """Wait for what is on its way. What is refused was told to whoever said it."""
        if writes := [future for future, whose in self._on_their_way.items() if session in (None, whose)]:
            await asyncio.wait(writes)

    def drop(self, session: SessionId) -> None:
        """There is nothing."""

    async def aclose(self) -> None:
        """There is nothing."""

    def _stored(
        self, session: LoadedSession, stored: StoredMessage, future: asyncio.Future[tuple[Stored, ...]]
    ) -> None:
        session.waiting.pop(stored.number, None)
        del self._on_their_way[future]
        if future.cancelled() or future.exception() is not None:
            self._lost(session)
        else:
            session.acknowledge(stored)


class Delayed:
    """Acknowledged is in memory; a loop writes what has waited long enough.

    `event_driven` writes when nothing came for `debounce_seconds`, and at the latest `interval_seconds` after the
    first message that waits; `timer` writes every `interval_seconds`. A failed write is told in the log, counted, and
    tried again an interval later.
    """

    def __init__(self, log: SessionLog, settings: SessionSettings, clock: Clock) -> None:
        self._log, self._settings, self._clock = log, settings, clock
        self._queues: dict[SessionId, list[StoredMessage]] = {}
        self._some = asyncio.Event()
        self._first = self._last = self._not_before = 0.0
        self._waiting = 0
        self._one = asyncio.Lock()
        self._closed = False
        self._ticked = clock.monotonic()
        self.failures = 0
        """Writes that failed so far."""
        self._loop = asyncio.create_task(self._run(), name="session persistence")

    @property
    def waiting(self) -> int:
        """Messages that are only in memory."""
        return self._waiting

    async def room(self) -> None:
        """Write first where too many wait."""
        if self._waiting >= self._settings.waiting:
            await self.flush()

    async def keep(self, session: LoadedSession, stored: StoredMessage, along: Work[None] | None = None) -> None:
        """Acknowledge it now and write it later."""
        now = self._clock.monotonic()
        if not self._waiting:
            self._first = now
        self._last = now
        self._queues.setdefault(stored.session, []).append(stored)
        self._waiting += 1
        session.acknowledge(stored)
        self._some.set()

    def holds(self, session: SessionId) -> bool:
        """Whether a message of the session is only in memory."""
        return session in self._queues

    async def flush(self, session: SessionId | None = None) -> None:
        """Write what waits, all of it: a session's is no cheaper. To the end, also when cancelled.

        What another session cannot store is no matter of this one's: it is counted, and tried again.
        """
        if self._queues if session is None else session in self._queues:
            try:
                await asyncio.shield(asyncio.ensure_future(self._write()))
            except Exception:
                if session is None or session in self._queues:
                    raise

    def drop(self, session: SessionId) -> None:
        """Forget what waits for a session that is gone."""
        self._waiting -= len(self._queues.pop(session, ()))

    async def aclose(self) -> None:
        """End the loop and write the rest."""
        if self._closed:
            return
        self._closed = True
        self._loop.cancel()
        await asyncio.wait([self._loop])
        try:
            await self.flush()
        except BaseException:
            _log.exception("%d messages of sessions are lost: the last write failed", self._waiting)
            raise

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            while (left := self._due() - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - the loop goes on: what waits is tried again
                self._not_before = self._clock.monotonic() + self._settings.interval_seconds
                _log.warning("%d messages of sessions could not be stored yet: %s", self._waiting, error)

    def _due(self) -> float:
        if self._settings.persistence == "timer":
            due = self._ticked + self._settings.interval_seconds
        else:
            latest = self._first + self._settings.interval_seconds
            due = min(self._last + self._settings.debounce_seconds, latest)
        return max(due, self._not_before)

    async def _write(self) -> None:
        async with self._one:
            self._some.clear()
            self._ticked = self._first = self._clock.monotonic()
            writes = [
                (batch, _submit(self._log, batch))
                for queue in self._queues.values()
                for batch in _batches(queue, self._settings.batch)
            ]
            errors: list[BaseException] = []
            for batch, future in writes:
                try:
                    await future
                except Exception as error:  # noqa: BLE001 - told below, the first of them
                    errors.append(error)
                else:
                    self._written(batch)
            if self._waiting:
                self._some.set()
            if errors:
                self.failures += 1
                raise next((each for each in errors if not isinstance(each, SessionError)), errors[0])

    def _written(self, batch: Sequence[StoredMessage]) -> None:
        session = batch[0].session
        queue = self._queues.get(session)
        if queue is None or queue[0] is not batch[0]:
            return  # dropped meanwhile
        del queue[: len(batch)]
        self._waiting -= len(batch)
        if not queue:
            del self._queues[session]


def opened(
    log: SessionLog, settings: SessionSettings, clock: Clock, lost: Callable[[LoadedSession], None]
) -> Strict | Delayed:
    """The mode that the settings name."""
    return Strict(log, lost) if settings.persistence == "strict" else Delayed(log, settings, clock)


def told_of(stored: StoredMessage) -> tuple[RunId, AnyEvent]:
    """The event of a message, and under which name it stands."""
    event = MessageAdded(number=stored.number, role=stored.message.role, agent=stored.agent, calls=stored.calls)
    return RunId(stored.session), event


def _submit(
    log: SessionLog, batch: Sequence[StoredMessage], along: Work[None] | None = None
) -> asyncio.Future[tuple[Stored, ...]]:
    append = appended(batch)

    def work(connection: sqlite3.Connection, events: tuple[Stored, ...]) -> None:
        if along is not None:
            along(connection)
        append(connection)

    return log.keep([told_of(each) for each in batch], work)


def _batches(queue: Sequence[StoredMessage], size: int) -> list[Sequence[StoredMessage]]:
    return [queue[start : start + size] for start in range(0, len(queue), size)]
