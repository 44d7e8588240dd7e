"""`AsyncSessionManager`: sessions and their messages, in memory and on disk.

Owns the two together. What reads memory is a plain function; what may touch the disk is awaited. A write goes on when
its caller is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agents.conversation.ports import History
from agents.model import JsonObject, JsonValue, Message, ToolCall
from infrastructure.config.settings import SessionSettings
from infrastructure.events.catalogue import AnyEvent
from infrastructure.ids import SessionId
from infrastructure.sessions import searching, store
from infrastructure.sessions.cache import SessionCache
from infrastructure.sessions.checking import checked_message
from infrastructure.sessions.errors import BadMessage, UnknownSession
from infrastructure.sessions.images import images_of
from infrastructure.sessions.lifecycle import Lifecycle, changing, listing_todos, new_record, to_the_end
from infrastructure.sessions.persistence import Delayed, Strict, opened
from infrastructure.sessions.ports import Clock, LoopClock, SessionLog
from infrastructure.sessions.records import Draft, Found, SessionRecord, StoredMessage
from infrastructure.storage.connection import Work
from infrastructure.storage.database import Database
from infrastructure.storage.errors import StorageClosed
from infrastructure.storage.run_record import RequestKey
from infrastructure.storage.times import Now, utc_now

if TYPE_CHECKING:
    from agents.conversation.ports import SessionPort


class AsyncSessionManager:
    """All sessions of a database: use it in `async with`, on one event loop.

    Every awaited write raises StorageError when nothing of it is stored.
    """

    def __init__(
        self,
        database: Database,
        log: SessionLog,
        settings: SessionSettings | None = None,
        *,
        now: Now = utc_now,
        clock: Clock | None = None,
    ) -> None:
        self._database, self._log, self._now = database, log, now
        self._settings = settings or SessionSettings()
        self._clock = clock or LoopClock()
        self._cache = SessionCache(database, self._settings.loaded, self._busy)
        self._mode: Strict | Delayed | None = None
        self._life = Lifecycle(database, log, self._cache, now)

    async def __aenter__(self) -> Self:
        await self._cache.open()
        self._mode = opened(self._log, self._settings, self._clock, self._cache.forsake)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write what waits, and refuse more. Idempotent.

        Raises:
            StorageError: some acknowledged messages of a mode that is not strict could not be stored.
        """
        mode, self._mode = self._mode, None
        if mode is not None:
            await mode.aclose()

    # -- what reads memory

    def exists(self, session_id: str) -> bool:
        """Whether there is such a session."""
        return session_id in self._cache

    def get(self, session_id: str) -> SessionRecord:
        """A loaded session.

        Raises:
            UnknownSession: there is none.
            SessionNotLoaded: it is not in memory; `load` it.
        """
        return self._cache.get(session_id).record

    def get_history(self, session_id: str) -> History:
        """The messages of a loaded session since its last summary, summary first; raises as `get`.

        `first` is the number of the first message; of a summary, the last number that it stands for.
        """
        return self._cache.get(session_id).history

    def get_in_order(self, session_id: str) -> History:
        """The same messages in the order they were appended, whatever was said between a call and its result."""
        return self._cache.get(session_id).in_order

    def get_messages(self, session_id: str) -> tuple[StoredMessage, ...]:
        """The same messages with number, key and time, in the order they were appended; raises as `get`."""
        return tuple(self._cache.get(session_id).messages)

    def get_todos(self, session_id: str) -> tuple[str, ...]:
        """A loaded session's list of things to do; raises as `get`."""
        return self._cache.get(session_id).record.todos

    @property
    def waiting(self) -> int:
        """Acknowledged messages that are only in memory; always 0 in `strict`."""
        return self._mode.waiting if isinstance(self._mode, Delayed) else 0

    @property
    def failures(self) -> int:
        """Delayed writes that failed so far; what they were to write is tried again."""
        return self._mode.failures if isinstance(self._mode, Delayed) else 0

    @property
    def loaded(self) -> int:
        """How many sessions are in memory."""
        return self._cache.loaded

    def __len__(self) -> int:
        return len(self._cache)

    # -- what may read the disk

    async def load(self, session_id: str) -> SessionRecord:
        """Bring a session into memory, where it is until many others were used since.

        Raises:
            UnknownSession: there is none.
        """
        return (await self._cache.load(session_id)).record

    @asynccontextmanager
    async def held(self, session_id: str) -> AsyncGenerator[SessionRecord]:
        """Keep a session in memory for as long as something works on it, such as a turn; raises as `load`."""
        async with self._cache.held(session_id) as session:
            yield session.record

    async def list(self, limit: int = 50, before: str = "") -> tuple[SessionRecord, ...]:
        """Sessions, those that changed last first; those after `before`, a `SessionRecord.place`, if it is given.

        Raises:
            UnknownSession: `before` is an id, and there is no such session.
        """
        await self.flush()
        return await self._database.read(partial(store.listed, limit=limit, before=before))

    async def search(self, text: str, limit: int = 20) -> tuple[Found, ...]:
        """Where a text occurs in titles and messages, whatever its case, newest sessions first.

        Raises:
            BadChange: the text is empty or too long.
        """
        await self.flush()
        return await searching.search(self._database, text, limit)

    async def keyed(self, request: RequestKey) -> SessionRecord | None:
        """The session that this request began before; None where it is new. Raises KeyReused as `create`."""
        return await self._life.keyed(request)

    async def page(self, session_id: str, before: int | None = None, limit: int = 50) -> tuple[StoredMessage, ...]:
        """Messages of a session, newest first; those with a smaller number than `before` if it is given.

        Raises:
            UnknownSession: there is none.
        """
        if session_id not in self._cache:
            raise UnknownSession(session_id)
        await self.flush(session_id)
        highest = 2**62 if before is None else before
        return await self._database.read(partial(store.page, session=session_id, before=highest, limit=limit))

    async def images(self, session_id: str) -> frozenset[str]:
        """Names of the images of a session's messages."""
        await self.flush(session_id)
        return await images_of(self._database, session_id)

    async def is_kept(self, session_id: str, key: str) -> bool:
        """Whether there is a message that was written under this key."""
        return session_id in self._cache and key in (await self._cache.load(session_id)).keys

    # -- what writes

    async def create(
        self,
        session_id: str | None = None,
        *,
        title: str = "",
        workspace: str = "",
        agent: str = "",
        settings: JsonObject | None = None,
        request: RequestKey | None = None,
    ) -> SessionRecord:
        """Begin a session; durable in every mode. A request that began one before gives that one.

        Raises:
            SessionExists: the id is taken.
            BadSessionId: it cannot be one.
            BadChange: the title or a setting cannot be kept.
            KeyReused: the request's key stands for another session.
        """
        self._opened()
        record = new_record(session_id, title, workspace, agent, settings or {}, self._now())
        if request is not None:
            return await to_the_end(self._life.begin_named(record, request))
        return await asyncio.shield(self._life.begin(record))

    async def get_or_create(
        self, session_id: str, *, title: str = "", workspace: str = "", agent: str = ""
    ) -> SessionRecord:
        """The session, loaded; begun with these where there is none. Raises as `create`, but for a taken id."""
        if (making := self._life.making(SessionId(session_id))) is not None:
            return await asyncio.shield(making)
        if session_id in self._cache:
            return await self.load(session_id)
        return await self.create(session_id, title=title, workspace=workspace, agent=agent)

    async def append_message(
        self, session_id: str, message: Message, *, agent: str = "", key: str = "", along: Work[None] | None = None
    ) -> int:
        """Append a message with all its tool calls; returns its number. A `key` that was written gives its number.

        `along` is kept with it in one transaction; in a mode that writes later, at once and before it.

        Raises:
            UnknownSession: there is none.
            BadMessage: it cannot be kept.
            CallReused: it asks under an id that the session has used.
            UnknownCall: it is the result of a call that nobody asked for.
        """
        return await self._append(session_id, Draft(message=self._checked(message), agent=agent, key=key), along)

    async def append_tool_result(self, session_id: str, call: ToolCall, content: str, *, ok: bool = True) -> int:
        """Append the result of a call that the session has asked for; a second result of it is the first one's.

        Raises:
            UnknownSession: there is none.
            UnknownCall: nobody asked for it.
            BadMessage: it cannot be kept.
        """
        message = Message("tool", content, tool_name=call.name, tool_call_id=call.id)
        return await self._append(session_id, Draft(message=self._checked(message), ok=ok))

    async def append_summary(self, session_id: str, text: str, upto: int, key: str, *, agent: str = "") -> int:
        """Append a summary of all messages up to a number; from then on it stands for them in the history.

        Raises:
            UnknownSession: there is none.
            BadCut: there is a later summary, no such message, or a call before it has its result after it.
            BadMessage: it cannot be kept.
        """
        if upto < 1:
            raise BadMessage(f"a summary stands for messages up to one from 1 on, not {upto}")
        message = self._checked(Message("system", text))
        return await self._append(session_id, Draft(message=message, agent=agent, key=key, upto=upto))

    async def update(
        self,
        session_id: str,
        *,
        title: str | None = None,
        workspace: str | None = None,
        settings: Mapping[str, JsonValue] | None = None,
    ) -> SessionRecord:
        """Change what is given; durable in every mode. `settings` go over those there are, None takes one away.

        Raises:
            UnknownSession: there is none.
            BadChange: the title or a setting cannot be kept.
        """
        self._opened()
        given = {"title": title, "workspace": workspace, "settings": settings}
        fields = [name for name, value in given.items() if value is not None]
        return await to_the_end(self._life.change(session_id, fields, changing(title, workspace, settings)))

    async def set_todos(self, session_id: str, todos: Sequence[str]) -> None:
        """Replace the list of things to do; durable in every mode.

        Raises:
            UnknownSession: there is none.
            BadChange: it is too long.
        """
        self._opened()
        await to_the_end(self._life.change(session_id, ["todos"], listing_todos(todos)))

    async def delete(
        self, session_id: str, *, before: Sequence[AnyEvent] = (), along: Work[None] | None = None
    ) -> None:
        """Remove a session with its messages and switches. Its events stay: they hold no text.

        `before` are told before the word that it is gone, and `along` is done, in the same transaction.

        Raises:
            UnknownSession: there is none.
        """
        await to_the_end(self._life.delete(session_id, self._opened(), before, along))

    async def fork(self, session_id: str, upto: int | None = None, *, title: str | None = None) -> SessionRecord:
        """Begin a session with the first messages of another one: up to a number, or all.

        A call among them whose result came later, or not yet, is answered in the fork as not done.

        Raises:
            UnknownSession: there is none.
            BadCut: it has no such message.
        """
        return await to_the_end(self._life.fork(session_id, upto, title, self._opened()))

    async def flush(self, session_id: str | None = None) -> None:
        """Return when all that was acknowledged is on disk: a session's, or everybody's.

        What was on its way when its caller was cancelled is in memory then, too, or refused.

        Raises:
            StorageError: some of it is not; it is tried again.
        """
        await self._opened().flush(None if session_id is None else SessionId(session_id))

    def note_agent(self, session_id: str, agent: str) -> None:
        """Say who speaks now; for the subscriber to switches, which were stored before."""
        if self._cache.has(session_id):
            session = self._cache.get(session_id)
            session.record = replace(session.record, agent=agent)

    # -- how

    def _opened(self) -> Strict | Delayed:
        if self._mode is None:
            raise StorageClosed(self._database.path)
        return self._mode

    def _busy(self, session: SessionId) -> bool:
        return self._mode is not None and self._mode.holds(session)

    def _checked(self, message: Message) -> Message:
        return checked_message(message, self._settings.message_bytes)

    async def _append(self, session_id: str, draft: Draft, along: Work[None] | None = None) -> int:
        mode = self._opened()
        await mode.room()
        if along is not None and isinstance(mode, Delayed):
            await self._database.write(along)
        session = await self._cache.load(session_id)
        if session.leaving:
            raise UnknownSession(session_id)
        # From here to the write's own place in the order nothing is awaited.
        placed = session.place(draft, self._now())
        if isinstance(placed, int):
            if (writing := session.waiting.get(placed)) is not None:
                await asyncio.shield(writing)
            return placed
        await mode.keep(session, placed, along)
        return placed.number


if TYPE_CHECKING:
    _port: type[SessionPort] = AsyncSessionManager
