"""What a talking agent needs of the world: a session to read and write, and a model that streams into it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.conversation.chunks import StreamChunk
from agents.model import Message, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What an agent is told besides the history. All of it is data from the workspace or the user, not instructions.

    Attributes:
        turn: Id of the turn; what is written twice under one turn and step is written once.
        step: Number of the model call in the turn, from 1.
        workspace: The folder that tools work in, as people write it; empty where the session has none.
        todos: The session's list, in order, as agents wrote it.
        handed_over: Why another agent gave this turn to this one; empty where none did.
    """

    turn: str
    step: int = 1
    workspace: str = ""
    todos: tuple[str, ...] = ()
    handed_over: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Messages of a session, oldest first, each call followed by its result where there is one.

    Attributes:
        messages: What the model is shown.
        first: Number of the first of them in the session, from 1.
    """

    messages: tuple[Message, ...] = ()
    first: int = 1


class SessionPort(Protocol):
    """A store of sessions as agents see it. Every awaited write is as durable as its mode promises.

    A cancelled write may have happened; the same `key` writes once. Failures are the store's own errors.
    """

    def get_history(self, session_id: str) -> History:
        """The messages of a loaded session since its last summary, summary first."""
        ...

    async def append_message(self, session_id: str, message: Message, *, agent: str = "", key: str = "") -> int:
        """Append a message with all its tool calls; returns its number. A `key` that was written gives its number."""
        ...

    async def append_tool_result(self, session_id: str, call: ToolCall, content: str, *, ok: bool = True) -> int:
        """Append the result of a call that the session has asked for; a second result of it is the first one's."""
        ...


class StreamService(Protocol):
    """A model that answers a history and writes what it said into the session.

    Closing the generator stops the generation on the server.
    """

    def stream_response(
        self, session_id: str, history: Sequence[Message], allowed_tools: Sequence[str], session_mgr: SessionPort
    ) -> AsyncGenerator[StreamChunk, None]:
        """Stream one answer. The assistant's message, with its calls, is one append, before its last chunk."""
        ...
