"""The conversations of an application: opened over its parts, recovered, and drained when they are left.

Owns which concrete parts a conversation is made of. A custom agent's file that cannot be used is told in the log.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from langgraph.checkpoint.memory import InMemorySaver

from agents.conversation.router import AgentRouter
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.conversation.calls import CallStore
from infrastructure.conversation.custom_agents import AgentFiles, agents_folder, read_agents, told
from infrastructure.conversation.driving import ConversationParts
from infrastructure.conversation.keeping import KeptSessions
from infrastructure.conversation.leaks import read_leaked_calls
from infrastructure.conversation.models import AgentModels
from infrastructure.conversation.orchestrator import MultiAgentOrchestrator
from infrastructure.conversation.ports import Approvals, TurnLog
from infrastructure.conversation.scope import TurnLimits
from infrastructure.conversation.streaming import LLMStreamService
from infrastructure.conversation.toolbox import Outside, SessionTools
from infrastructure.conversation.turns import TurnStore
from infrastructure.events.catalogue import AnyEvent
from infrastructure.ids import RunId
from infrastructure.sandbox import Limits, Sandbox
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.database import Database
from infrastructure.tools.journal import WriteJournal
from infrastructure.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What conversations stand on; `settings` and `outside_tools` are asked for each time, since they may change."""

    settings: Callable[[], Settings]
    include: Callable[[AgentFiles], Awaitable[None]]
    """Has the files of custom agents read again with the settings."""
    pool: OllamaConnectionPool
    database: Database
    log: TurnLog
    sessions: AsyncSessionManager
    contexts: AsyncAgentContextManager
    approvals: Approvals
    journal: WriteJournal
    blobs: Blobs
    open_sandbox: Callable[[], Awaitable[Sandbox]]
    tools: ToolRegistry
    outside_tools: Outside


@asynccontextmanager
async def open_conversations(on: Foundation, *, recover: bool = True) -> AsyncGenerator[MultiAgentOrchestrator]:
    """The conversations.

    Args:
        on: What they stand on.
        recover: Whether to go on with turns that a killed process left.

    Raises:
        StorageError: the tables cannot be read.
    """
    settings = on.settings()
    custom = await read_agents(agents_folder(settings.paths.config))
    told(custom)
    router = AgentRouter(custom.profiles)
    sessions = KeptSessions(on.sessions, on.contexts)
    source = AgentModels(on.pool, on.settings, lambda: conversations.router, on.blobs)
    tools = SessionTools(
        on.sessions,
        on.tools,
        outside=on.outside_tools,
        todos=sessions,
        journal=on.journal,
        sandbox=on.open_sandbox,
        limits=Limits.of(settings.sandbox),
    )

    def announce(session: str, event: AnyEvent) -> None:
        on.log.post(RunId(session), 0, event)

    conversations = MultiAgentOrchestrator(
        ConversationParts(
            sessions=sessions,
            tools=tools,
            approvals=on.approvals,
            source=source,
            service=LLMStreamService(source, tools, announce, read_leaked_calls),
            log=on.log,
            turns=TurnStore(on.database),
            calls=CallStore(on.database),
            router=router,
            images=source.images,
            checkpointer=InMemorySaver(),  # the messages say all of it, and outlive the process
            limits=TurnLimits(calls=settings.conversation.calls, handovers=settings.conversation.handovers),
        )
    )
    await on.include(AgentFiles(settings.paths.config, conversations.use_agents, custom.profiles))
    try:
        if recover:
            await conversations.recover()
        yield conversations
    finally:
        await conversations.drain()
