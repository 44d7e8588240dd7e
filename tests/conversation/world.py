"""Conversations over a script: sessions, tools and people in memory, the tables and the graph as they are."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from langgraph.checkpoint.memory import InMemorySaver

from agents.conversation.chunks import StreamChunk
from agents.conversation.ports import History
from agents.conversation.roster import AgentProfile
from agents.conversation.router import AgentRouter
from agents.model import Completion, JsonObject, Message, Tool, ToolCall
from agents.scripted import Reply
from infrastructure.conversation.calls import CallStore
from infrastructure.conversation.driving import ConversationParts
from infrastructure.conversation.errors import ApprovalRefused
from infrastructure.conversation.images import Images
from infrastructure.conversation.orchestrator import MultiAgentOrchestrator
from infrastructure.conversation.ports import (
    Asked,
    Decided,
    Recovered,
    SessionFacts,
    ToolOutcome,
    ToolPlace,
    ToolSheet,
    Verdict,
    Withdrawal,
)
from infrastructure.conversation.scope import TurnLimits
from infrastructure.conversation.streaming import LLMStreamService
from infrastructure.conversation.turns import TurnStore
from infrastructure.events.catalogue import AgentSwitched, AnyEvent, TurnEnded
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import RunId
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.connection import Work
from infrastructure.storage.database import Database
from infrastructure.workflow.scripted import ScriptedSource

SESSION = "session-1"
T = TypeVar("T")


class MemoryTurnLog(MemoryEventLog):
    """A log in memory, beside the tables."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def append_with(
        self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[T, AnyEvent | None]]
    ) -> T:
        await self.flush(run)
        value, event = await self._database.write(work)
        if event is not None:
            await self.append(run, execution, event)
        return value


class MemorySessions:
    """A store of sessions that keeps everything in lists, but for what goes along with a message."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.messages: dict[str, list[Message]] = {SESSION: []}
        self.agents: list[str] = []
        self.keys: dict[tuple[str, str], int] = {}
        self.todos: tuple[str, ...] = ()
        self.speaks = ""
        self.holds = 0
        self.log = MemoryTurnLog(database)

    @asynccontextmanager
    async def held(self, session_id: str) -> AsyncIterator[None]:
        if session_id not in self.messages:
            raise LookupError(f"no session {session_id}")
        self.holds += 1
        yield
        self.holds -= 1

    async def facts(self, session_id: str) -> SessionFacts:
        if session_id not in self.messages:
            raise LookupError(f"no session {session_id}")
        return SessionFacts(workspace="/w", agent=self.speaks, todos=self.todos)

    async def is_kept(self, session_id: str, key: str) -> bool:
        return (session_id, key) in self.keys

    async def flush(self, session_id: str) -> None:
        """Nothing is delayed here."""

    async def append_summary(self, session_id: str, text: str, upto: int, key: str, *, agent: str = "") -> int:
        return await self.append_message(session_id, Message("system", text), agent=agent, key=key)

    async def switch_agent(self, session_id: str, agent: str, *, reason: str, by: str) -> None:
        if agent != self.speaks:
            event = AgentSwitched(previous=self.speaks, agent=agent, reason=reason, by=by)
            await self.log.append(session_id, 0, event)
            self.speaks = agent

    async def delete(self, session_id: str, before: Sequence[AnyEvent], along: Work[None]) -> None:
        del self.messages[session_id]
        await self.database.write(along)
        for event in before:
            await self.log.append(session_id, 0, event)

    def get_history(self, session_id: str) -> History:
        return History(messages=tuple(self.messages[session_id]), first=1)

    async def append_message(
        self, session_id: str, message: Message, *, agent: str = "", key: str = "", along: Work[None] | None = None
    ) -> int:
        known = self.keys.get((session_id, key)) if key else None
        if known is not None:
            return known
        if along is not None:
            await self.database.write(along)
        self.messages[session_id].append(message)
        self.agents.append(agent)
        number = len(self.messages[session_id])
        if key:
            self.keys[session_id, key] = number
        return number

    async def append_tool_result(self, session_id: str, call: ToolCall, content: str, *, ok: bool = True) -> int:
        message = Message("tool", content, tool_name=call.name, tool_call_id=call.id)
        return await self.append_message(session_id, message, key=f"result {call.id}")


Doing = Callable[[JsonObject], Awaitable[ToolOutcome]]


@dataclass
class MemoryTool:
    """A tool and how it is done."""

    sheet: ToolSheet
    do: Doing | None = None
    done: list[JsonObject] = field(default_factory=list)


def tool(name: str, do: Doing | None = None, **about: object) -> MemoryTool:
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}}
    return MemoryTool(ToolSheet(tool=Tool(name, f"Does {name}.", parameters), **about), do)


class MemoryTools:
    """A toolbox of functions; a call with `bad` in its arguments is refused."""

    def __init__(self, *tools: MemoryTool) -> None:
        self.tools = {each.sheet.tool.name: each for each in tools}
        self.places: list[ToolPlace] = []
        self.readied = 0

    async def ready(self, session: str) -> None:
        self.readied += 1

    def offered(self, session: str, names: Sequence[str], at_most: int) -> tuple[ToolSheet, ...]:
        found = [self.tools[name].sheet for name in names if name in self.tools]
        if "*" in names:
            found += [each.sheet for name, each in self.tools.items() if name not in names]
        return tuple(found[:at_most])

    def sheet(self, session: str, name: str) -> ToolSheet | None:
        return self.tools[name].sheet if name in self.tools else None

    def check(self, session: str, call: ToolCall) -> ToolCall | ToolOutcome:
        if call.name not in self.tools:
            return ToolOutcome(f"there is no tool {call.name}", ok=False, error_class="UnknownTool")
        if "bad" in call.arguments:
            return ToolOutcome("bad arguments", ok=False, error_class="BadArguments")
        return call

    def received(self, tool: str, text: str, ok: bool) -> ToolOutcome:
        return ToolOutcome(text, ok)

    async def left(self, session: str, call: str) -> ToolOutcome | None:
        return None

    async def run(self, call: ToolCall, place: ToolPlace) -> ToolOutcome:
        found = self.tools[call.name]
        found.done.append(call.arguments)
        self.places.append(place)
        assert found.do is not None, f"{call.name} is not done here"
        return await found.do(call.arguments)


class MemoryApprovals:
    """Asks for every call of the tools named; keeps what was said."""

    def __init__(self, *asks: str) -> None:
        self.asks = set(asks)
        self.asked: dict[str, ToolCall] = {}
        self.decided: dict[str, Decided] = {}
        self.used: list[str] = []
        self.withdrawn: list[str] = []
        self.session = SESSION
        self.ruled: set[str] = set()

    async def judge(self, call: ToolCall, sheet: ToolSheet, place: ToolPlace) -> Verdict:
        return Verdict(kind="ask", why=f"{call.name} changes files") if call.name in self.asks else Verdict(kind="run")

    async def request(self, turn: str, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked:
        approval = f"approval of {call.id}"
        self.asked.setdefault(approval, call)
        return Asked(approval=approval, decided=self.decided.get(approval))

    async def unasked(self, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked | None:
        if call.name not in self.ruled:
            return None
        approval = f"approval of {call.id}"
        self.asked[approval], self.decided[approval] = call, Decided(kind="approve")
        return Asked(approval=approval, decided=self.decided[approval])

    async def useful(self, session: str, workspace: str, names: Collection[str]) -> frozenset[str]:
        return frozenset(names) & frozenset(self.ruled)

    async def use(self, approval: str, call: ToolCall) -> None:
        decided = self.decided.get(approval)
        wanted = self.asked[approval].arguments
        if decided is not None and decided.kind == "edit":
            wanted = decided.arguments or {}
        if decided is None or approval in self.used or call.arguments != wanted:
            raise ApprovalRefused
        self.used.append(approval)

    async def decide(self, approval: str, decided: Decided, by: str) -> str:
        assert approval in self.asked
        assert approval not in self.decided
        self.decided[approval] = decided
        return self.session

    async def withdraw(self, session: str, call: str | None = None) -> None:
        asked = {each for each, asked in self.asked.items() if call in (None, asked.id)}
        self.withdrawn += [each for each in self.asked if each in asked and each not in self.decided]

    def withdrawal(self, session: str) -> Withdrawal:
        gone = [each for each in self.asked if each not in self.decided]
        return Withdrawal(lambda _: None, lambda: self.withdrawn.extend(gone))


def read_calls(text: str, tools: Sequence[Tool], heard: Sequence[str]) -> Recovered:
    """Reads one dialect: a line that is `CALL name {…}`."""
    lines, calls, problems = [], [], []
    for line in text.splitlines():
        if line.startswith("CALL "):
            name, _, arguments = line[5:].partition(" ")
            try:
                calls.append(ToolCall(name, json.loads(arguments)))
            except json.JSONDecodeError:
                problems.append(f"the arguments of {name} are no JSON")
        else:
            lines.append(line)
    return Recovered("\n".join(lines), tuple(calls), tuple(problems))


def calls(*wanted: ToolCall, text: str = "") -> Completion:
    """An answer that asks for tools."""
    return Completion(text=text, tool_calls=wanted)


def switch(agent: str, reason: str = "it fits better") -> Completion:
    """An answer that hands over."""
    return calls(ToolCall("switch_mode", {"agent": agent, "reason": reason}))


async def _switched(arguments: JsonObject) -> ToolOutcome:
    raise AssertionError("the graph hands over, not the tool")


def reads(name: str = "read_file", text: str = "its text") -> MemoryTool:
    async def do(arguments: JsonObject) -> ToolOutcome:
        return ToolOutcome(text)

    return tool(name, do)


def writes(name: str = "write_file") -> MemoryTool:
    async def do(arguments: JsonObject) -> ToolOutcome:
        return ToolOutcome("written")

    return tool(name, do, effects=True, asks=True)


@dataclass
class World:
    """Everything around a conversation, and what it says."""

    database: Database
    source: ScriptedSource
    tools: MemoryTools
    sessions: MemorySessions
    log: MemoryTurnLog
    approvals: MemoryApprovals = field(default_factory=MemoryApprovals)
    saver: InMemorySaver = field(default_factory=InMemorySaver)
    limits: TurnLimits = field(default_factory=TurnLimits)
    custom: Sequence[AgentProfile] = ()

    def orchestrator(self) -> MultiAgentOrchestrator:
        """Conversations of another process: the tables, the messages and the checkpoints are the same."""
        parts = ConversationParts(
            sessions=self.sessions,
            tools=self.tools,
            approvals=self.approvals,
            source=self.source,
            service=LLMStreamService(
                self.source, self.tools, lambda session, event: self.log.post(session, 0, event), read_calls
            ),
            log=self.log,
            turns=TurnStore(self.database),
            calls=CallStore(self.database),
            router=AgentRouter(self.custom),
            checkpointer=self.saver,
            images=Images(MemoryBlobs(), self.sees),
            limits=self.limits,
        )
        return MultiAgentOrchestrator(parts)

    async def sees(self, agent: str) -> bool:
        return False

    def said(self) -> list[tuple[str, str]]:
        return [(message.role, message.content) for message in self.sessions.messages[SESSION]]

    async def outcomes(self) -> list[str]:
        """How the turns ended, each told once."""
        stored = await self.log.read(SESSION, 0, 1000)
        return [each.event.outcome for each in stored if isinstance(each.event, TurnEnded)]

    async def events(self) -> list[str]:
        return [stored.event.kind for stored in await self.log.read(SESSION, 0, 1000)]


@asynccontextmanager
async def world(
    folder: Path,
    scripts: Mapping[str, Sequence[Reply] | Callable[..., Reply]],
    *tools: MemoryTool,
    **parts: object,
) -> AsyncIterator[World]:
    async with Database(folder / "corral.db") as database:
        box = MemoryTools(tool("switch_mode", _switched), *tools)
        sessions = MemorySessions(database)
        yield World(database, ScriptedSource(scripts), box, sessions, log=sessions.log, **parts)


async def talk(chunks: AsyncIterator[StreamChunk]) -> list[StreamChunk]:
    return [chunk async for chunk in chunks]


async def followed(conversations: MultiAgentOrchestrator, session: str) -> asyncio.Task[list[StreamChunk]]:
    """What the session's turn says from its first chunk of this process to its end.

    Begin this before whatever makes the turn go on: it hears the turn from then on, however soon that is over, where
    `follow` finds nothing once it is.
    """

    async def until_its_end() -> list[StreamChunk]:
        said: list[StreamChunk] = []
        async with aclosing(conversations.watch(session)) as chunks:
            async for _, chunk in chunks:
                said.append(chunk)
                if chunk.kind in ("done", "failed"):
                    break
        return said

    following = asyncio.create_task(until_its_end())
    await asyncio.sleep(0)  # its first step is to listen
    return following


def kinds(chunks: Sequence[StreamChunk]) -> list[str]:
    return [chunk.kind for chunk in chunks if not (chunk.kind == "text" and chunk.message)]
