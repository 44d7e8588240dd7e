"""What a turn's steps act with, and how a function becomes a step of the graph.

Owns `TurnScope`, the context the graph is run with. A scope belongs to one turn of one process and is never stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from langgraph.runtime import Runtime

from agents.conversation.chunks import StreamChunk
from agents.conversation.ports import StreamService
from agents.conversation.router import AgentRouter
from agents.model import Message
from infrastructure.conversation.calls import CallStore
from infrastructure.conversation.ports import Approvals, SessionFacts, Sessions, Toolbox, ToolPlace
from infrastructure.events.catalogue import AnyEvent
from infrastructure.workflow.ports import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """What one turn may do.

    Attributes:
        calls: Answers of models; the last of them is to be in words.
        handovers: From one agent to another.
    """

    calls: int = 20
    handovers: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnScope:
    """The dependencies of one turn.

    Attributes:
        session: Whose turn it is.
        turn: Its id.
        unattended: Whether nobody is there to be asked.
        router: Which agents there are.
        service: Streams answers.
        source: Answers the summariser, and knows windows.
        sessions: The session's messages.
        tools: Its tools.
        approvals: Asks people.
        calls: The table of calls.
        limits: Of the turn.
        announce: Puts an event into the session's log, in order.
        passed: Writes down who has the turn from here on: a summary may stand for the words that say it.
        tell: Hands a chunk to whoever watches the turn. An answer has one a token, for each of which the graph's own
            stream would wake the loop through a pipe.
        told: Ids of calls that watchers were told wait; once a process is enough.
        landing: Results that are being written, which go on when the turn is cut off: its end waits for them.
    """

    session: str
    turn: str
    unattended: bool = False
    router: AgentRouter
    service: StreamService
    source: ModelSource
    sessions: Sessions
    tools: Toolbox
    approvals: Approvals
    calls: CallStore
    limits: TurnLimits
    announce: Callable[[AnyEvent], None]
    passed: Callable[[str], Awaitable[None]]
    tell: Callable[[StreamChunk], None]
    told: set[str] = field(default_factory=set[str])
    landing: set[asyncio.Future[None]] = field(default_factory=set[asyncio.Future[None]])

    def messages(self) -> tuple[Message, ...]:
        """What the session holds now."""
        return self.sessions.get_history(self.session).messages

    async def place(self, agent: str, facts: SessionFacts | None = None) -> ToolPlace:
        """Where an agent's calls are done."""
        facts = facts or await self.sessions.facts(self.session)
        return ToolPlace(
            session=self.session,
            workspace=facts.workspace,
            agent=agent,
            writes_only=self.router.profile(agent).writes_only,
            agents=self.router.names,
        )


class NodeFunction(Protocol):
    """A node: reads a part of the state, speaks or acts, returns what it writes."""

    def __call__(self, state: Any, scope: TurnScope, /) -> Awaitable[Any]:
        """Run the step."""
        ...


def as_node(function: NodeFunction) -> Any:
    """The function as LangGraph calls it, whose own type of a node a strict checker cannot match."""

    async def run(state: Any, runtime: Runtime[TurnScope]) -> Any:
        return await function(state, runtime.context)

    return run
