"""What a talking agent needs of the world: a session to read and write, and a model that streams into it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.conversation.chunks import StreamChunk
from agents.model import Message, Options, Think, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What an agent is told besides the history. All of it is data from the workspace or the user, not instructions.

    Attributes:
        turn: Id of the turn; what is written twice under one turn and step is written once.
        step: Number of the model call in the turn, from 1.
        workspace: The folder that tools work in, as people write it; empty where the session has none.
        todos: The session's list, in order, as agents wrote it.
        handed_over: Why another agent gave this turn to this one; empty where none did.
        notes: What Corral has to say to the agent in this step.
        closing: Added to the words with which the turn ends; for the person.
        tools: The only tools of this step; None for all that the agent has.
        result_keep: Characters of either end of a tool's result that are shown; 0 for as many as usual.
    """

    turn: str
    step: int = 1
    workspace: str = ""
    todos: tuple[str, ...] = ()
    handed_over: str = ""
    notes: tuple[str, ...] = ()
    closing: str = ""
    tools: tuple[str, ...] | None = None
    result_keep: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Messages of a session, oldest first, each call followed by its result where there is one.

    Attributes:
        messages: Those of the session, in order. A store may leave out, from the beginning, those that the last summary
            covers (`compacting.covered`); the summary itself, a message whose role is `system`, is always there.
        first: Number of the first of them in the session, from 1; of a summary the last number that it stands for.
        numbers: Of each message; where there are none, they follow on the first.
    """

    messages: tuple[Message, ...] = ()
    first: int = 1
    numbers: tuple[int, ...] = ()


class SessionPort(Protocol):
    """A store of sessions as agents see it. Every awaited write is as durable as its mode promises.

    A cancelled write may have happened; the same `key` writes once. Failures are the store's own errors.
    """

    def get_history(self, session_id: str) -> History:
        """The messages of a loaded session, without those that its last summary covers."""
        ...

    async def append_message(self, session_id: str, message: Message, *, agent: str = "", key: str = "") -> int:
        """Append a message with all its tool calls; returns its number. A `key` that was written gives its number."""
        ...

    async def append_tool_result(self, session_id: str, call: ToolCall, content: str, *, ok: bool = True) -> int:
        """Append the result of a call that the session has asked for; a second result of it is the first one's."""
        ...


def _no_options() -> Options:
    return dict[str, "str | int | float | bool | Sequence[str]"]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """For whom a service streams.

    Attributes:
        agent: Who speaks; says which lane answers.
        key: Under which the answer is written once; empty for one of its own.
        closing: Added to an answer that asks for no tool.
        options: Of the call.
        think: Whether the model thinks first; None leaves it to the server.
    """

    agent: str = ""
    key: str = ""
    closing: str = ""
    options: Options = field(default_factory=_no_options)
    think: Think | None = None


class StreamService(Protocol):
    """A model that answers a history and writes what it said into the session.

    Closing the generator stops the generation on the server.
    """

    def bound(self, speaker: Speaker) -> StreamService:
        """The same service for one answer of one agent."""
        ...

    def stream_response(
        self, session_id: str, history: Sequence[Message], allowed_tools: Sequence[str], session_mgr: SessionPort
    ) -> AsyncGenerator[StreamChunk, None]:
        """Stream one answer. The assistant's message, with its calls, is one append, before its last chunk."""
        ...
