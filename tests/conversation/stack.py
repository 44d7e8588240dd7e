"""Conversations over a simulated server: everything is real but the model, and people where a test wants that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from agents.model import JsonObject
from infrastructure.config.manager import ConfigurationManager
from infrastructure.config.settings import LaneSettings, Paths, ServerSettings, SessionSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.conversation.keeping import KeptSessions
from infrastructure.conversation.opening import Foundation, open_conversations
from infrastructure.conversation.orchestrator import HEARD, MultiAgentOrchestrator
from infrastructure.conversation.people import AskedPeople
from infrastructure.conversation.undoing import Undoing
from infrastructure.events.bus import EventBus
from infrastructure.events.log import SqliteEventLog
from infrastructure.sandbox import Sandbox, open_sandbox
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.hitl import HITLManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.times import utc_now
from infrastructure.storage.writes import WriteStore
from infrastructure.tools.containing import Containment
from infrastructure.tools.journal import WriteJournal
from infrastructure.tools.local import local_tools
from tests.conversation.world import MemoryApprovals

OPEN_TAB: JsonObject = {
    "name": "open_tab",
    "description": "Open a file in the editor.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}


class Clock:
    """A time that moves when it is told to, and wakes who sleeps until then."""

    def __init__(self) -> None:
        self.now = datetime(2026, 7, 1, tzinfo=UTC)
        self._moved = asyncio.Event()

    def __call__(self) -> datetime:
        return self.now

    def move(self, time: timedelta) -> None:
        self.now += time
        self._moved.set()
        self._moved = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        due = self.now + timedelta(seconds=seconds)
        while self.now < due:
            await self._moved.wait()


def called(name: str, arguments: str) -> str:
    """A call as the simulated model prints it for its server."""
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


def simulator(*turns: str, template: str = "chatml", **settings: object) -> Simulator:
    """A server whose one model says these, by how many answers the conversation has."""
    talker = ModelSpec(name="talker", turns=turns, template=template)
    settings = {"time_scale": 0.0, "load_seconds": 0.0, "num_ctx": 32768, "num_parallel": 4, **settings}
    return Simulator(SimulatorSettings(models=(talker,), **settings))


async def no_tools() -> tuple[()]:
    """There are no servers of tools."""
    return ()


@dataclass(frozen=True)
class Stack:
    """What is open."""

    conversations: MultiAgentOrchestrator
    sessions: AsyncSessionManager
    contexts: AsyncAgentContextManager
    log: SqliteEventLog
    approvals: HITLManager
    undoing: Undoing
    database: Database

    async def session(self, workspace: Path | None = None, client_tools: Sequence[JsonObject] = ()) -> str:
        settings = {"client_tools": list(client_tools)} if client_tools else {}
        record = await self.sessions.create(workspace=str(workspace or ""), settings=settings)
        return str(record.session)

    def said(self, session: str) -> list[tuple[str, str]]:
        return [(message.role, message.content) for message in self.sessions.get_history(session).messages]


@asynccontextmanager
async def stack(
    folder: Path,
    url: str,
    approvals: MemoryApprovals | None = None,
    num_ctx: int = 32768,
    sandbox: Callable[[], Awaitable[Sandbox]] | None = None,
    clock: Clock | None = None,
    persistence: Literal["strict", "event_driven"] = "strict",
) -> AsyncIterator[Stack]:
    settings = Settings(
        servers=(ServerSettings(url=url, slots=4),),
        model="talker",
        lanes={"talker": LaneSettings(model="talker", num_ctx=num_ctx)},
        paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
    )
    directory = DataDirectory(settings.paths.data)
    await asyncio.to_thread(directory.prepare)
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(Database(directory.database))
        log = SqliteEventLog(database)
        opened.push_async_callback(log.aclose)
        bus = await opened.enter_async_context(EventBus(log))
        log.observe(bus.publish)
        sessions = await opened.enter_async_context(
            AsyncSessionManager(database, log, SessionSettings(persistence=persistence))
        )
        contexts = AsyncAgentContextManager(sessions, database, log, bus)
        manager = await opened.enter_async_context(
            HITLManager(
                database,
                log,
                now=clock or utc_now,
                pause=clock.pause if clock else asyncio.sleep,
                patience=lambda: settings.conversation.patience if clock else None,
            )
        )
        opened_sandbox: list[Sandbox] = []

        async def opener() -> Sandbox:
            if not opened_sandbox:
                opened_sandbox.append(await open_sandbox("auto"))
            return opened_sandbox[0]

        foundation = Foundation(
            settings=lambda: settings,
            pool=await opened.enter_async_context(OllamaConnectionPool(settings.servers, lanes=settings.lanes)),
            database=database,
            log=log,
            sessions=sessions,
            contexts=contexts,
            approvals=approvals or AskedPeople(manager, Containment(sandbox or opener)),
            include=ConfigurationManager.fixed(settings).include,
            journal=WriteJournal(WriteStore(database), BlobStore(directory.blobs)),
            blobs=BlobStore(directory.blobs),
            open_sandbox=sandbox or opener,
            tools=local_tools(),
            outside_tools=no_tools,
        )
        conversations = await opened.enter_async_context(open_conversations(foundation))
        bus.subscribe("conversations", conversations.hear, kinds=HEARD)
        undoing = Undoing(conversations, foundation.journal, KeptSessions(sessions, contexts))
        yield Stack(conversations, sessions, contexts, log, manager, undoing, database)
