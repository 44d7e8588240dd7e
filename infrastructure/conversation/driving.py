"""One turn driven through the graph: from where it stands to its end, or until somebody is waited for.

Owns what the graph is given (a beginning, or a word to go on), the passage from its stream to who watches, and how a
turn's ending is written down: open calls closed first, so that no session is left with a call that nobody will answer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType] - its own types are partly unknown

from agents.conversation.chunks import StreamChunk
from agents.conversation.ports import StreamService
from agents.conversation.roster import AgentType
from agents.conversation.router import AgentRouter
from infrastructure.conversation.calls import CallStore
from infrastructure.conversation.closing import close_calls
from infrastructure.conversation.feed import Feed
from infrastructure.conversation.graph import ConversationGraph, compile_conversation_graph
from infrastructure.conversation.handing import speaker_in
from infrastructure.conversation.images import Images
from infrastructure.conversation.ports import Approvals, Sessions, Toolbox, TurnLog
from infrastructure.conversation.scope import TurnLimits, TurnScope
from infrastructure.conversation.state import TurnInput, turn_input
from infrastructure.conversation.turns import Outcome, TurnRecord, TurnState, TurnStore
from infrastructure.events.catalogue import AnyEvent, TurnEnded
from infrastructure.ids import RunId
from infrastructure.storage.connection import Work
from infrastructure.storage.errors import StorageError
from infrastructure.workflow.ports import ModelSource

_logger = logging.getLogger(__name__)

GraphInput = TurnInput | Command[Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationParts:
    """What conversations are made with.

    Attributes:
        sessions: The messages.
        tools: What can be done.
        approvals: Who is asked.
        source: Who answers: a model for each agent.
        service: Streams their answers.
        log: Where events go.
        turns: The table of turns.
        calls: The table of calls.
        router: Which agents there are at first.
        checkpointer: Of the graph.
        images: Those of messages.
        limits: Of one turn.
    """

    sessions: Sessions
    tools: Toolbox
    approvals: Approvals
    source: ModelSource
    service: StreamService
    log: TurnLog
    turns: TurnStore
    calls: CallStore
    router: AgentRouter
    checkpointer: BaseCheckpointSaver[Any]
    images: Images
    limits: TurnLimits = field(default_factory=TurnLimits)


class LiveTurn:
    """A turn in this process: who watches it, and the task that drives it."""

    def __init__(self, record: TurnRecord) -> None:
        self.record = record
        self.feed = Feed()
        self.told: set[str] = set()
        self.landing: set[asyncio.Future[None]] = set()
        self.task: asyncio.Task[None] | None = None
        self.woken = False
        """Somebody has said something since it last looked."""
        self.resting = False
        self.agents: tuple[AgentRouter, ConversationGraph] | None = None
        """Those it is driven with, from its first launch in this process to its end."""

    @property
    def running(self) -> bool:
        """Whether it will still look at what is said."""
        return self.task is not None and not self.task.done() and not self.resting


class Driver:
    """Drives turns. Stateless but for which agents there are."""

    def __init__(self, parts: ConversationParts) -> None:
        self._parts = parts
        self.router = parts.router
        self._graph = compile_conversation_graph(parts.router, parts.checkpointer)

    def use_agents(self, router: AgentRouter) -> None:
        """Take other agents, for turns that are launched for the first time from here on."""
        self.router, self._graph = router, compile_conversation_graph(router, self._parts.checkpointer)

    async def run(self, live: LiveTurn) -> bool:
        """Drive the turn; whether it is over, else it rests. A turn's errors are its ending."""
        router, graph = live.agents = live.agents or (self.router, self._graph)
        try:
            async with self._parts.sessions.held(live.record.session):
                await self._parts.tools.ready(live.record.session)
                over = await self._run(live, graph, router)
        except Exception as error:  # the boundary of a turn: whatever it is becomes its ending
            _logger.info("turn %s failed", live.record.turn, exc_info=error)  # where it came from, for who asks for it
            await self.end(live, "failed", in_words(error))
            return True
        if over is not None:
            await self.end(live, "failed" if over else "done", over)
        return over is not None

    async def _run(self, live: LiveTurn, graph: ConversationGraph, router: AgentRouter) -> str | None:
        """Drive the turn; why it ended unwell, empty where it ended well, None where it rests."""
        given = await self._given(live.record, graph, router)
        while (over := await self._drive(live, graph, router, given)) is None:
            if await self._rests(live):
                return None
            given = Command(resume=True)
        return over

    async def end(self, live: LiveTurn, status: Outcome, reason: str = "") -> None:
        """Close what is open, write down how the turn ended, and tell who watches; what was written first holds."""
        session, turn = live.record.session, live.record.turn
        agent = live.record.agent
        try:
            async with self._parts.sessions.held(session):
                if status != "done":
                    await self._landed(live)
                agent = self._agent_now(live.record)
                await close_calls(self._parts, live, agent, reason or "the turn ended")
        except Exception:  # the session may be gone, or its store: the turn ends all the same
            _logger.warning("turn %s: its open calls could not be closed", turn, exc_info=True)
        ended = replace(live.record, agent=agent, status=status, reason=reason)
        if await self._finish(session, self._parts.turns.ending(turn, status, reason)):
            conclude(live, ended)
        else:
            await self.conclude(live, ended)
        try:
            await self._parts.checkpointer.adelete_thread(session)
        except (StorageError, sqlite3.Error):  # it has ended all the same, and no other turn goes on with them
            _logger.warning("turn %s: its checkpoints could not be deleted", turn, exc_info=True)

    async def conclude(self, live: LiveTurn, otherwise: TurnRecord | None = None) -> None:
        """Tell who watches how the turn ended by its row; by `otherwise` where that is gone with its session."""
        record = await self._parts.turns.get(live.record.turn) or otherwise or live.record
        conclude(live, record)

    async def annul(self, record: TurnRecord, reason: str) -> None:
        """Write down that a turn's message was never kept; nothing of it is open, and nobody watches it."""
        await self._finish(record.session, self._parts.turns.annulment(record.turn, reason))

    async def _finish(self, session: str, ending: Work[tuple[bool, TurnEnded | None]]) -> bool:
        """Write down how a turn ended, in one transaction with its event; what was posted before is there then.

        Whether this is how it ended: False where another ending was written before.
        """
        try:
            return await self._parts.log.append_with(RunId(session), 0, ending)
        except Exception:  # that of an event of before, which is told once, or this one's own: both are tried again
            _logger.warning("session %s: not all events of its turn were kept", session, exc_info=True)
            return await self._parts.log.append_with(RunId(session), 0, ending)

    async def cut_off(self, live: LiveTurn) -> None:
        """Stop what drives a turn, and write nothing of that: it can be gone on with as after a crash."""
        if live.task is not None:
            live.task.cancel()
            await asyncio.wait([live.task])
        await self._landed(live)

    async def delete(self, session: str) -> None:
        """Take a session away with its turns, calls and questions, and tell that its turn ended: all of it or nothing.

        Nothing drives a turn of it meanwhile.
        """
        parts = self._parts
        record = await parts.turns.open_of(session)
        forgetting, withdrawal = parts.turns.forgetting(session), parts.approvals.withdrawal(session)

        def along(connection: sqlite3.Connection) -> None:
            forgetting(connection)
            withdrawal.work(connection)

        before = () if record is None else (TurnEnded(turn=record.turn, outcome="cancelled"),)
        await parts.sessions.delete(session, before, along)
        withdrawal.tell()
        await self.forget(session)

    async def forget(self, session: str) -> None:
        """Drop a session's checkpoints."""
        await self._parts.checkpointer.adelete_thread(session)

    # ------------------------------------------------------------------------------------ one passage
    async def _given(self, record: TurnRecord, graph: ConversationGraph, router: AgentRouter) -> GraphInput:
        """What the graph goes on with. Where its checkpoint is not this turn's, the messages say where that stands."""
        agent = self._agent_now(record)
        agent = agent if agent in router else str(AgentType.ORCHESTRATOR)
        config = config_of(record.session)
        if await self._parts.checkpointer.aget_tuple(config) is not None:
            snapshot = await graph.aget_state(config)
            values = cast("dict[str, object]", snapshot.values)
            known = values.get("turn") == record.turn and values.get("agent") == agent
            if known and snapshot.next and all(node in graph.builder.nodes for node in snapshot.next):
                return Command(resume=True) if snapshot.interrupts else None
        messages = self._parts.sessions.get_history(record.session).messages
        begun = bool(messages) and messages[-1].role != "user"
        answers = await self._parts.calls.answers(record.session, record.turn) if begun else 0
        return turn_input(record.session, record.turn, agent, answers)

    def _agent_now(self, record: TurnRecord) -> str:
        """Who has the turn, by its messages, and by its row where they do not say."""
        return speaker_in(self._parts.sessions.get_history(record.session).messages, record.agent)

    async def _drive(
        self, live: LiveTurn, graph: ConversationGraph, router: AgentRouter, given: GraphInput
    ) -> str | None:
        """Run the graph; why it ended unwell, empty where it ended well, None where it waits."""
        session = live.record.session
        live.woken = False
        scope = self._scope(live, router)
        waits, over = False, ""
        # Tracing to an outside service is off whatever the environment says: what is said would leave the machine.
        with tracing_context(enabled=False):
            stream = cast("Any", graph).astream(
                given, config_of(session), context=scope, stream_mode="updates", durability="exit"
            )
            async for update in stream:
                waits = waits or "__interrupt__" in update
                over = _over_in(update) or over
        if not waits:
            return over
        await self._parts.log.flush(RunId(session))
        return None

    async def _rests(self, live: LiveTurn) -> bool:
        """Write down that the turn waits; False where somebody has said something meanwhile."""
        turns = self._parts.turns
        await turns.move(live.record.turn, TurnState.WAITING, self._agent_now(live.record))
        if not live.woken:
            live.resting = True
            live.feed.rest()
            return True
        await turns.move(live.record.turn, TurnState.RUNNING)
        return False

    def _scope(self, live: LiveTurn, router: AgentRouter) -> TurnScope:
        parts, session = self._parts, RunId(live.record.session)

        def announce(event: AnyEvent) -> None:
            parts.log.post(session, 0, event)

        async def passed(agent: str) -> None:
            live.record = replace(live.record, agent=agent)
            await parts.turns.move(live.record.turn, TurnState.RUNNING, agent)

        return TurnScope(
            session=live.record.session,
            turn=live.record.turn,
            unattended=live.record.unattended,
            router=router,
            service=parts.service,
            source=parts.source,
            sessions=parts.sessions,
            tools=parts.tools,
            approvals=parts.approvals,
            calls=parts.calls,
            limits=parts.limits,
            announce=announce,
            passed=passed,
            tell=live.feed.tell,
            told=live.told,
            landing=live.landing,
        )

    # ------------------------------------------------------------------------------------ its end
    async def _landed(self, live: LiveTurn) -> None:
        """Wait for what a turn that was cut off was writing: an answer, whose calls are open then, or results."""
        if live.landing:
            await asyncio.wait(live.landing)
        with suppress(StorageError):  # it is in memory, which is what is looked at
            await self._parts.sessions.flush(live.record.session)


def conclude(live: LiveTurn, record: TurnRecord) -> None:
    """Tell who watches how the turn ended, once."""
    if not live.feed.closed:
        well = record.status == "done"
        live.feed.tell(StreamChunk(kind="done" if well else "failed", agent=record.agent, text=record.reason, ok=well))
        live.feed.close()


def in_words(error: Exception) -> str:
    """An error as the reason of a turn's end: what it says, and what to do."""
    hint = str(getattr(error, "hint", ""))
    said = str(error) or type(error).__name__
    return f"{said}. {hint}" if hint else said


def _over_in(update: Mapping[str, Mapping[str, object] | Sequence[object] | None]) -> str:
    """What a step wrote of why the turn ends unwell; empty where it does not. An interrupt is no mapping."""
    return next((str(wrote.get("over", "")) for wrote in update.values() if isinstance(wrote, Mapping)), "")


def config_of(session: str) -> RunnableConfig:
    """The graph's configuration of a session. The limits of a turn end it long before this does."""
    return {"configurable": {"thread_id": session}, "recursion_limit": 1_000}
