"""Sessions as turns see them, over the managers of sessions and of who speaks in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

from agents.conversation.ports import History
from agents.model import Message, ToolCall
from infrastructure.conversation.ports import SessionFacts, Sessions
from infrastructure.events.catalogue import AnyEvent
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.connection import Work


class KeptSessions(Sessions):
    """A session's messages, facts and speaker. Errors are the managers' own."""

    def __init__(self, sessions: AsyncSessionManager, contexts: AsyncAgentContextManager) -> None:
        self._sessions = sessions
        self._contexts = contexts

    def held(self, session_id: str) -> AbstractAsyncContextManager[object]:
        """Keep a session in memory."""
        return self._sessions.held(session_id)

    async def facts(self, session_id: str) -> SessionFacts:
        """What is known of a session."""
        async with self._sessions.held(session_id) as record:
            context = await self._contexts.get_or_create(session_id)
            return SessionFacts(workspace=record.workspace, agent=context.agent, todos=record.todos)

    def get_history(self, session_id: str) -> History:
        """The messages in the order they were appended; one turn at a time leaves calls and results together."""
        return self._sessions.get_in_order(session_id)

    async def is_kept(self, session_id: str, key: str) -> bool:
        """Whether a message was written under a key."""
        return await self._sessions.is_kept(session_id, key)

    async def flush(self, session_id: str) -> None:
        """Wait for the disk."""
        await self._sessions.flush(session_id)

    async def append_message(
        self, session_id: str, message: Message, *, agent: str = "", key: str = "", along: Work[None] | None = None
    ) -> int:
        """Append a message."""
        return await self._sessions.append_message(session_id, message, agent=agent, key=key, along=along)

    async def append_tool_result(self, session_id: str, call: ToolCall, content: str, *, ok: bool = True) -> int:
        """Append a result."""
        return await self._sessions.append_tool_result(session_id, call, content, ok=ok)

    async def append_summary(self, session_id: str, text: str, upto: int, key: str, *, agent: str = "") -> int:
        """Append a summary."""
        return await self._sessions.append_summary(session_id, text, upto, key, agent=agent)

    async def switch_agent(self, session_id: str, agent: str, *, reason: str, by: Literal["agent", "person"]) -> None:
        """Have another agent speak."""
        await self._contexts.switch_agent(session_id, agent, reason=reason, by=by)

    async def delete(self, session_id: str, before: Sequence[AnyEvent], along: Work[None]) -> None:
        """Remove a session."""
        await self._sessions.delete(session_id, before=before, along=along)

    async def write_todos(self, session: str, todos: tuple[str, ...]) -> None:
        """Replace the list of things to do."""
        await self._sessions.set_todos(session, todos)
