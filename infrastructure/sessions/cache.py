"""Which sessions are in memory: all ids, and the messages of those that were used last.

Owns the bound on memory. A session has one place in memory at most, so that one counter gives its numbers.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

from infrastructure.ids import SYSTEM, SessionId
from infrastructure.sessions import store
from infrastructure.sessions.errors import BadSessionId, SessionNotLoaded, UnknownSession
from infrastructure.sessions.loaded import LoadedSession
from infrastructure.storage.database import Readable

_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")


class SessionCache:
    """Loaded sessions, least recently used first to go. One that has something to write, or is held, stays."""

    def __init__(self, database: Readable, most: int, busy: Callable[[SessionId], bool]) -> None:
        self._database, self._most, self._busy = database, most, busy
        self._ids: set[SessionId] = set()
        self._loaded: OrderedDict[SessionId, LoadedSession] = OrderedDict()
        self._loading: dict[SessionId, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Read the ids."""
        self._ids = set(await self._database.read(store.all_ids))

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def loaded(self) -> int:
        """How many are in memory."""
        return len(self._loaded)

    def get(self, session_id: str) -> LoadedSession:
        """A loaded session.

        Raises:
            UnknownSession: there is none of this id.
            SessionNotLoaded: it is not in memory.
        """
        found = self._loaded.get(SessionId(session_id))
        if found is None:
            raise SessionNotLoaded(session_id) if session_id in self._ids else UnknownSession(session_id)
        self._loaded.move_to_end(found.record.session)
        return found

    async def load(self, session_id: str) -> LoadedSession:
        """The session, read from the store where it is not in memory.

        The caller has it for itself until it awaits again; whoever needs it longer holds it.

        Raises:
            UnknownSession: there is none of this id.
        """
        session = SessionId(session_id)
        while (found := self._loaded.get(session)) is None:
            if session not in self._ids:
                raise UnknownSession(session)
            task = self._loading.get(session)
            if task is None:
                task = self._loading[session] = asyncio.create_task(self._load(session), name="session load")
            await asyncio.shield(task)
        self._loaded.move_to_end(session)
        return found

    @asynccontextmanager
    async def held(self, session_id: str) -> AsyncGenerator[LoadedSession]:
        """Keep a session in memory."""
        session = await self.load(session_id)
        session.holds += 1
        try:
            yield session
        finally:
            session.holds -= 1

    def add(self, session: LoadedSession) -> None:
        """Have a session that was just created."""
        self._ids.add(session.record.session)
        self._have(session)

    def note(self, session: SessionId) -> None:
        """A session was stored that is not in memory."""
        self._ids.add(session)

    def has(self, session_id: str) -> bool:
        """Whether it is in memory."""
        return session_id in self._loaded

    def forget(self, session: SessionId) -> None:
        """Have it no more in memory; the store is asked next time."""
        self._loaded.pop(session, None)

    def forsake(self, void: LoadedSession) -> None:
        """What this one has in memory is void. One that was read from the store since is not, and stays."""
        if self._loaded.get(void.record.session) is void:
            self.forget(void.record.session)

    def remove(self, session: SessionId) -> None:
        """It is deleted."""
        self._ids.discard(session)
        self.forget(session)

    async def _load(self, session: SessionId) -> None:
        try:
            found = await self._database.read(partial(store.load, session=session))
            if session in self._ids:
                self._have(found)
        finally:
            del self._loading[session]

    def _have(self, session: LoadedSession) -> None:
        self._loaded[session.record.session] = session
        if len(self._loaded) > self._most:
            idle = (each for each in self._loaded.values() if each is not session and self._may_go(each))
            for each in [each for each, _ in zip(idle, range(len(self._loaded) - self._most), strict=False)]:
                del self._loaded[each.record.session]

    def _may_go(self, session: LoadedSession) -> bool:
        return not (session.holds or session.waiting or session.leaving or self._busy(session.record.session))


def checked_id(session_id: str) -> SessionId:
    """The id, if it can be one.

    Raises:
        BadSessionId: it cannot.
    """
    if not _ID.fullmatch(session_id) or session_id == SYSTEM:
        raise BadSessionId(session_id)
    return SessionId(session_id)
