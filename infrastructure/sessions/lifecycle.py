"""How sessions begin, change and end.

Owns these writes: each is one transaction with its event, and memory follows once it is on disk. They are durable in
every mode of persistence; only messages wait.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeVar

from agents.model import JsonObject, JsonValue
from infrastructure.events.catalogue import AnyEvent, SessionCreated, SessionDeleted, SessionUpdated
from infrastructure.events.log import Kept, Stored
from infrastructure.ids import RunId, SessionId, new_id
from infrastructure.sessions import store
from infrastructure.sessions.cache import SessionCache, checked_id
from infrastructure.sessions.checking import changed_settings, checked_title, checked_todos
from infrastructure.sessions.errors import SessionExists, UnknownSession
from infrastructure.sessions.forking import fork_of
from infrastructure.sessions.loaded import LoadedSession, as_json
from infrastructure.sessions.persistence import Persistence
from infrastructure.sessions.ports import SessionLog
from infrastructure.sessions.records import SessionRecord
from infrastructure.storage.connection import Work
from infrastructure.storage.database import Database
from infrastructure.storage.run_record import UNNAMED, RequestKey
from infrastructure.storage.times import Now

T = TypeVar("T")
Change: TypeAlias = Callable[[SessionRecord], SessionRecord]

_COLUMNS: Mapping[str, Callable[[SessionRecord], tuple[str, str]]] = {
    "title": lambda record: ("title", record.title),
    "workspace": lambda record: ("workspace", record.workspace),
    "settings": lambda record: ("settings_json", as_json(record.settings)),
    "todos": lambda record: ("todos_json", as_json(record.todos)),
}


class Lifecycle:
    """The writes, each to be awaited to its end: whoever may be cancelled shields it."""

    def __init__(self, database: Database, log: SessionLog, cache: SessionCache, now: Now) -> None:
        self._database, self._log, self._cache, self._now = database, log, cache, now
        self._making: dict[SessionId, asyncio.Task[SessionRecord]] = {}
        self._naming = asyncio.Lock()

    def making(self, session: SessionId) -> asyncio.Task[SessionRecord] | None:
        """The creation of this session that is under way, if one is."""
        return self._making.get(session)

    async def keyed(self, request: RequestKey) -> SessionRecord | None:
        """The session that this request began before; None where it is new.

        Raises:
            KeyReused: the key stands for another session.
        """
        session = await self._database.read(partial(store.keyed, request=request))
        return None if session is None else (await self._cache.load(session)).record

    async def begin_named(self, record: SessionRecord, request: RequestKey) -> SessionRecord:
        """Begin a session, unless the same request has: one at a time, so that of many one begins it."""
        async with self._naming:
            return await self.keyed(request) or await self.begin(record, request)

    def begin(self, record: SessionRecord, request: RequestKey = UNNAMED) -> asyncio.Task[SessionRecord]:
        """Begin a session.

        Raises:
            SessionExists: the id is taken.
        """
        if record.session in self._cache or record.session in self._making:
            raise SessionExists(record.session)
        task = self._making[record.session] = asyncio.create_task(
            self._create(record, request), name="session creation"
        )
        return task

    async def change(self, session_id: str, fields: Sequence[str], change: Change) -> SessionRecord:
        """Change title, workspace, settings or things to do; what stays the same is not written."""
        async with self._cache.held(session_id) as session, session.changing:
            wanted = change(session.record)
            if wanted == session.record:
                return wanted
            now = self._now()
            values = dict(_COLUMNS[field](wanted) for field in fields)
            work = store.changed(session.record.session, values, now)
            await self._keep(session.record.session, SessionUpdated(fields=tuple(fields)), work)
            session.record = replace(
                session.record,
                title=wanted.title,
                workspace=wanted.workspace,
                settings=wanted.settings,
                todos=wanted.todos,
                updated=max(session.record.updated, now),
            )
            return session.record

    async def delete(
        self, session_id: str, mode: Persistence, before: Sequence[AnyEvent] = (), along: Work[None] | None = None
    ) -> None:
        """Remove a session; from here on it takes no message."""
        async with self._cache.held(session_id) as session:
            if session.leaving:
                raise UnknownSession(session_id)
            name = session.record.session
            session.leaving = True
            try:
                await mode.flush(name)
                await self._log.keep(
                    [(RunId(name), event) for event in (*before, SessionDeleted())],
                    _together(store.removed(name), along),
                )
            except BaseException:
                session.leaving = False
                raise
            mode.drop(name)
            self._cache.remove(name)

    async def fork(self, session_id: str, upto: int | None, title: str | None, mode: Persistence) -> SessionRecord:
        """Begin a session with the first messages of another one."""
        async with self._cache.held(session_id) as session:
            source = session.record  # before the flush: what comes meanwhile is not in the fork
            await mode.flush(source.session)
            cut = source.last if upto is None else upto
            record, events, work = await fork_of(self._database, source, cut, title, self._now())
            await self._log.keep(events, lambda connection, stored: work(connection))
        self._cache.note(record.session)
        return (await self._cache.load(record.session)).record

    async def _create(self, record: SessionRecord, request: RequestKey) -> SessionRecord:
        try:
            created = SessionCreated(title=record.title, workspace=record.workspace, agent=record.agent)
            await self._keep(record.session, created, store.inserted(record, request))
            self._cache.add(LoadedSession(record))
        finally:
            del self._making[record.session]
        return record

    async def _keep(self, session: SessionId, event: AnyEvent, work: store.Change) -> None:
        await self._log.keep([(RunId(session), event)], _together(work))


def _together(work: store.Change, along: Work[None] | None = None) -> Kept:
    def both(connection: sqlite3.Connection, stored: Sequence[Stored]) -> None:
        work(connection)
        if along is not None:
            along(connection)

    return both


def new_record(
    session_id: str | None, title: str, workspace: str, agent: str, settings: JsonObject, now: datetime
) -> SessionRecord:
    """A session that begins; under an id of its own where none is given.

    Raises:
        BadSessionId, BadChange: it cannot be kept.
    """
    return SessionRecord(
        session=checked_id(new_id() if session_id is None else session_id),
        title=checked_title(title),
        workspace=workspace,
        agent=agent,
        settings=changed_settings({}, settings),
        created=now,
        updated=now,
    )


def changing(title: str | None, workspace: str | None, settings: Mapping[str, JsonValue] | None) -> Change:
    """The change that sets what is given.

    It raises BadChange where one of them cannot be kept.
    """

    def change(record: SessionRecord) -> SessionRecord:
        return replace(
            record,
            title=record.title if title is None else checked_title(title),
            workspace=record.workspace if workspace is None else workspace,
            settings=record.settings if settings is None else changed_settings(record.settings, settings),
        )

    return change


def listing_todos(todos: Sequence[str]) -> Change:
    """The change that replaces the list of things to do; it raises BadChange where that is too long."""
    items = checked_todos(todos)
    return lambda record: replace(record, todos=items)


async def to_the_end(work: Coroutine[object, object, T]) -> T:
    """Do it also when the caller is cancelled."""
    return await asyncio.shield(asyncio.create_task(work))
