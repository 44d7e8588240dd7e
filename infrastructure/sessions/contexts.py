"""`AsyncAgentContextManager`: who speaks in a session, and who did.

Owns the table `switches` and the current agents in memory. That memory is changed by one thing only, the subscriber to
`AgentSwitched`, so it says what the log says.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal
from weakref import WeakValueDictionary

from agents.model import JsonObject, JsonValue
from infrastructure.events.catalogue import AgentSwitched, SessionDeleted, SessionUpdated
from infrastructure.events.log import Stored
from infrastructure.ids import RunId, SessionId
from infrastructure.sessions.errors import BadChange, SessionNotLoaded, UnknownSession
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.sessions.ports import EventSource, SessionLog
from infrastructure.sessions.records import Switch
from infrastructure.storage.database import Database
from infrastructure.storage.times import from_text, to_text

_log = logging.getLogger(__name__)

MOST = 2_000
"""Contexts in memory; a small thing each."""
APPLIED_WITHIN = 5.0
"""Seconds a switch waits for its own event to come round."""
KINDS = ("agent.switched", "session.deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """Who speaks in a session, and the session's settings."""

    session: SessionId
    agent: str
    switched: int
    """Number of the event that made it so; 0 where nobody ever switched."""
    settings: JsonObject


@dataclass(slots=True)
class _Current:
    agent: str
    seq: int
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class AsyncAgentContextManager:
    """The contexts of all sessions. Everything awaited raises StorageError when nothing of it is stored."""

    def __init__(
        self,
        sessions: AsyncSessionManager,
        database: Database,
        log: SessionLog,
        events: EventSource,
        *,
        most: int = MOST,
        applied_within: float = APPLIED_WITHIN,
    ) -> None:
        self._sessions, self._database, self._log = sessions, database, log
        self._most, self._applied_within = most, applied_within
        self._current: OrderedDict[SessionId, _Current] = OrderedDict()
        self._loading: dict[SessionId, list[tuple[str, int]]] = {}
        self._switching: WeakValueDictionary[SessionId, asyncio.Lock] = WeakValueDictionary()
        events.subscribe("agent contexts", self._apply, kinds=KINDS)

    def get(self, session_id: str) -> AgentContext:
        """The context of a session that is in memory.

        Raises:
            UnknownSession: there is none.
            SessionNotLoaded: it is not in memory; `get_or_create` reads it.
        """
        current = self._current.get(SessionId(session_id))
        if current is None:
            raise SessionNotLoaded(session_id) if self._sessions.exists(session_id) else UnknownSession(session_id)
        settings = self._sessions.get(session_id).settings
        return AgentContext(session=SessionId(session_id), agent=current.agent, switched=current.seq, settings=settings)

    def get_current_agent(self, session_id: str) -> str:
        """Who speaks in a session that is in memory; raises as `get`."""
        current = self._current.get(SessionId(session_id))
        return self.get(session_id).agent if current is None else current.agent

    async def get_or_create(self, session_id: str, agent: str = "") -> AgentContext:
        """The context of a session, read where it is not in memory; a new session begins with this agent.

        Raises:
            BadSessionId: it cannot be one.
        """
        await self._sessions.get_or_create(session_id, agent=agent)
        async with self._sessions.held(session_id) as record:
            if record.session not in self._current:
                await self._load(record.session)
            self._current.move_to_end(record.session)
            return self.get(session_id)

    async def get_switch_history(self, session_id: str, limit: int = 100) -> tuple[Switch, ...]:
        """The last switches of a session, oldest first.

        Raises:
            UnknownSession: there is none.
        """
        if not self._sessions.exists(session_id):
            raise UnknownSession(session_id)
        return await self._database.read(partial(_switches, session=session_id, limit=limit))

    async def switch_agent(
        self, session_id: str, agent: str, *, reason: str = "", by: Literal["agent", "person"] = "agent"
    ) -> AgentContext:
        """Have another agent speak from here on. Returns once that is on disk and holds in memory.

        To the agent that speaks already it is no switch. A cancelled switch may have happened.

        Raises:
            UnknownSession: there is none.
            BadChange: no agent is named.
        """
        if not agent.strip():
            raise BadChange("name the agent to switch to")
        return await asyncio.shield(asyncio.create_task(self._switch(session_id, agent.strip(), reason, by)))

    async def update_settings(self, session_id: str, settings: Mapping[str, JsonValue]) -> AgentContext:
        """Put settings over those there are; None takes one away.

        Raises:
            UnknownSession: there is none.
            BadChange: one cannot be kept.
        """
        await self._sessions.update(session_id, settings=settings)
        return await self._known(session_id)

    async def delete(self, session_id: str) -> None:
        """Forget who spoke: the switches go, and the agent that speaks stays.

        Raises:
            UnknownSession: there is none.
        """
        session = (await self._sessions.load(session_id)).session

        def work(connection: sqlite3.Connection, events: tuple[Stored, ...]) -> None:
            connection.execute("DELETE FROM switches WHERE session = ?", (session,))

        async with self._lock(session):
            await asyncio.shield(self._log.keep([(RunId(session), SessionUpdated(fields=("switches",)))], work))
            self._current.pop(session, None)

    async def _switch(self, session_id: str, agent: str, reason: str, by: Literal["agent", "person"]) -> AgentContext:
        async with self._sessions.held(session_id) as record, self._lock(record.session):
            session = record.session
            previous = (await self._known(session)).agent
            if previous == agent:
                return self.get(session)
            await self._sessions.flush(session)  # what was said before the switch stands before it
            event = AgentSwitched(previous=previous, agent=agent, reason=reason, by=by)
            (stored,) = await self._log.keep([(RunId(session), event)], partial(_switched, session=session))
            await self._applied(session, stored.seq)
            return await self._known(session)

    async def _known(self, session_id: str) -> AgentContext:
        """As `get_or_create`, of a session that is there."""
        async with self._sessions.held(session_id):
            return await self.get_or_create(session_id)

    async def _applied(self, session: SessionId, seq: int) -> None:
        """Wait until the subscriber has had the event; if it does not come, the store is read anew."""
        current = self._current.get(session)
        if current is None:
            return  # out of memory meanwhile: whoever reads it next reads the store, which has the switch
        try:
            async with asyncio.timeout(self._applied_within), current.changed:
                await current.changed.wait_for(lambda: current.seq >= seq)
        except TimeoutError:
            _log.warning("event %d of session %s did not come back within %s s", seq, session, self._applied_within)
            self._current.pop(session, None)

    async def _apply(self, stored: Stored) -> None:
        """The subscriber. An event that memory has already changes nothing."""
        session = SessionId(stored.run)
        if isinstance(stored.event, SessionDeleted):
            self._current.pop(session, None)
        if not isinstance(stored.event, AgentSwitched):
            return
        self._sessions.note_agent(session, stored.event.agent)
        if session in self._loading:
            self._loading[session].append((stored.event.agent, stored.seq))
        current = self._current.get(session)
        if current is not None and stored.seq > current.seq:
            async with current.changed:
                current.agent, current.seq = stored.event.agent, stored.seq
                current.changed.notify_all()

    async def _load(self, session: SessionId) -> None:
        """Read who speaks; a switch that comes round meanwhile is later than what was read, or the same."""
        meanwhile = self._loading.setdefault(session, [])
        try:
            found = await self._database.read(partial(_speaking, session=session))
        finally:
            self._loading.pop(session, None)
        agent, seq = max(found, *meanwhile, key=lambda each: each[1]) if meanwhile else found
        self._current.setdefault(session, _Current(agent, seq))
        self._sessions.note_agent(session, self._current[session].agent)
        while len(self._current) > self._most:
            self._current.popitem(last=False)
        while len(self._current) > self._most:
            self._current.popitem(last=False)

    def _lock(self, session: SessionId) -> asyncio.Lock:
        lock = self._switching.get(session)
        if lock is None:
            lock = self._switching[session] = asyncio.Lock()
        return lock


def _switched(connection: sqlite3.Connection, events: tuple[Stored, ...], session: SessionId) -> None:
    for stored in events:
        event = stored.event
        assert isinstance(event, AgentSwitched)
        values = (session, stored.seq, to_text(stored.at), event.previous, event.agent, event.reason, event.by)
        moved = connection.execute("UPDATE sessions SET agent = ? WHERE session = ?", (event.agent, session))
        if not moved.rowcount:
            raise UnknownSession(session)
        connection.execute(
            "INSERT INTO switches (session, seq, at, previous, agent, reason, by) VALUES (?, ?, ?, ?, ?, ?, ?)", values
        )


def _switches(connection: sqlite3.Connection, session: str, limit: int) -> tuple[Switch, ...]:
    sql = "SELECT seq, at, previous, agent, reason, by FROM switches WHERE session = ? ORDER BY seq DESC LIMIT ?"
    rows = connection.execute(sql, (session, limit)).fetchall()
    return tuple(
        Switch(seq=seq, at=from_text(at), previous=previous, agent=agent, reason=reason, by=by)
        for seq, at, previous, agent, reason, by in reversed(rows)
    )


def _speaking(connection: sqlite3.Connection, session: str) -> tuple[str, int]:
    """The agent, and the event that made it so."""
    sql = (
        "SELECT agent, (SELECT COALESCE(MAX(seq), 0) FROM switches WHERE session = ?1) FROM sessions WHERE session = ?1"
    )
    row: tuple[str, int] | None = connection.execute(sql, (session,)).fetchone()
    if row is None:
        raise UnknownSession(session)
    return row
