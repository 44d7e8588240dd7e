"""The conversations: every session's turn, from a person's message to the last word.

Owns the life of a turn: taken, run as a task of its own, waiting, gone on with, cancelled, ended. Who watches may come
and go. What a turn does is the graph's; what was said is the session's; whether it is over says the `turns` table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, TypeVar

from agents.conversation.chunks import StreamChunk
from agents.conversation.roster import AgentType
from agents.conversation.router import AgentRouter
from agents.conversation.talking import message_key
from agents.model import Message
from infrastructure.conversation.calls import CallRecord, CallState
from infrastructure.conversation.driving import ConversationParts, Driver, LiveTurn, conclude
from infrastructure.conversation.errors import Draining, EmptyMessage, NothingToStop, SessionBusy, UnknownCall
from infrastructure.conversation.ports import Decided, ToolOutcome
from infrastructure.conversation.results import ended_event, keep_result, result_chunk
from infrastructure.conversation.saying import Said, ended
from infrastructure.conversation.turns import TurnRecord, TurnState
from infrastructure.conversation.unkept import UnkeptEnds
from infrastructure.conversation.using import Waiting, waiting_chunk
from infrastructure.conversation.watching import Watching
from infrastructure.events.catalogue import ApprovalDecided, SessionDeleted
from infrastructure.events.log import Stored
from infrastructure.ids import RunId, new_id
from infrastructure.running.steering import Steering

T = TypeVar("T")

DELETED = "the session was deleted"
HEARD = ("approval.decided", "session.deleted")
"""The kinds of events that `hear` wants to be told of."""

_logger = logging.getLogger(__name__)


class MultiAgentOrchestrator:
    """Begins, follows, answers, cancels and recovers turns; one a session at a time. Of one event loop.

    Every awaited change is on disk when it returns. What is asked of a session is done in turn, and to its end, also
    when whoever asked is cancelled.
    """

    def __init__(self, parts: ConversationParts) -> None:
        self._parts = parts
        self._driver = Driver(parts)
        self._live: dict[str, LiveTurn] = {}
        self._unkept = UnkeptEnds(self._driver)
        self._steering = Steering()
        self._watching = Watching()
        self._draining = False

    @property
    def router(self) -> AgentRouter:
        """Which agents there are."""
        return self._driver.router

    def use_agents(self, router: AgentRouter) -> None:
        """Other custom agents, for turns that begin from here on."""
        self._driver.use_agents(router)

    # ------------------------------------------------------------------------------------ speaking
    async def process_message(
        self,
        session_id: str,
        message: str,
        agent_type: AgentType | str | None = None,
        *,
        unattended: bool = False,
        ends_when_waiting: bool = False,
    ) -> AsyncGenerator[StreamChunk, None]:
        """Say something in a session, and watch the answer. Leaving early stops nothing.

        Args:
            session_id: The session.
            message: What the person says.
            agent_type: Who is to answer; None leaves it to whoever spoke last, at first the orchestrator.
            unattended: Nobody is there to be asked: tools that would ask are left out, and the answer says so.
            ends_when_waiting: Whether to stop watching where a person or the client is waited for.

        Raises:
            SessionBusy: the turn before is not over.
            NoSuchAgent, EmptyMessage, Draining: nothing was begun.
            Whatever the session's store raises.
        """
        live = await self._begun(session_id, Said(message, agent_type, unattended))
        async with aclosing(live.feed.follow(ends_when_waiting=ends_when_waiting)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def begin(self, session_id: str, said: Said) -> str:
        """Take a person's message and begin the turn; its id. The message is on disk when this returns.

        Raises as `process_message`, and KeyReused: the message's key stands for another one.
        """
        return (await self._begun(session_id, said)).record.turn

    async def begin_watched(
        self, session_id: str, said: Said, *, ends_when_waiting: bool = True
    ) -> tuple[str, AsyncGenerator[StreamChunk, None]]:
        """As `begin`, and the turn's chunks from the first until it ends, or waits. Leaving early stops nothing.

        Of a turn that its key began before and that is over, only the end is told.
        """
        live = await self._begun(session_id, said)
        return live.record.turn, live.feed.follow(ends_when_waiting=ends_when_waiting)

    async def follow(self, session_id: str, *, ends_when_waiting: bool = False) -> AsyncGenerator[StreamChunk, None]:
        """The session's turn from its first chunk of this process, then the new ones; nothing where none is open."""
        live = await self._watchable(session_id)
        if live is None:
            return
        async with aclosing(live.feed.follow(ends_when_waiting=ends_when_waiting)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def watch(self, session_id: str) -> AsyncGenerator[tuple[str, StreamChunk], None]:
        """The session's turns from now on, one after another: each chunk with its turn. Ends when this is drained.

        A turn that is open comes first, from its first chunk of this process.
        """
        with self._watching.listen(session_id) as turns:
            seen: LiveTurn | None = None
            live = await self._watchable(session_id)
            while True:
                if live is not None and live is not seen:
                    seen = live
                    async with aclosing(live.feed.follow()) as chunks:
                        async for chunk in chunks:
                            yield live.record.turn, chunk
                if (live := await turns.get()) is None:
                    return

    async def waiting(self, session_id: str) -> tuple[CallRecord, ...]:
        """The calls of a session that wait for a person or the client."""
        records = await self._parts.calls.open_of(session_id)
        return tuple(each for each in records if each.state in (CallState.APPROVAL, CallState.WAITING))

    # ------------------------------------------------------------------------------------ answering
    async def decide(self, approval: str, decided: Decided, by: str = "") -> str:
        """Answer an approval; the turn that waits for it goes on. Returns the session.

        Raises the manager's own error where the approval is not pending.
        """
        session = await self._parts.approvals.decide(approval, decided, by)
        await self.resume(session)
        return session

    async def resume(self, session_id: str) -> None:
        """Look again at what the session's turn waits for. Nothing to do where none waits."""
        if not self._draining:
            await self._alone(session_id, lambda: self._resume(session_id))

    async def submit_tool_result(self, session_id: str, call: str, text: str, ok: bool = True) -> bool:
        """The client has done a call. Whether this was the first word of it; a second changes nothing.

        Raises:
            UnknownCall: the session has no such call for its client.
        """
        return await self._alone(session_id, lambda: self._submit(session_id, call, text, ok))

    async def cancel(self, session_id: str, reason: str = "cancelled by a person") -> None:
        """End the session's turn now. What was said so far stays; half an answer is not kept.

        Raises:
            NothingToStop: no turn is open.
        """
        await self._alone(session_id, lambda: self._cancel(session_id, reason))

    async def between_turns(self, session_id: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something to a session while no turn of it is open, and let none begin meanwhile. Raises SessionBusy."""

        async def alone() -> T:
            if (record := await self._parts.turns.open_of(session_id)) is not None:
                raise await self._busy(session_id, record.turn)
            return await work()

        return await self._alone(session_id, alone)

    async def delete(self, session_id: str) -> None:
        """Take a session away; its open turn ends with it, and what comes meanwhile finds no session.

        Raises:
            Whatever the session's store raises: then it is as it was, and its turn goes on.
        """
        await self._steering.alone(RunId(session_id), lambda: self._delete(session_id))

    async def forget(self, session_id: str) -> None:
        """End the turn of a session that was deleted elsewhere, and drop what is kept of its turns."""
        with suppress(NothingToStop):
            await self.cancel(session_id, DELETED)
        await self._parts.turns.forget(session_id)
        await self._driver.forget(session_id)

    # ------------------------------------------------------------------------------------ the process
    async def hear(self, stored: Stored) -> None:
        """The subscriber: an approval that has its answer is looked at, a session that is deleted is forgotten."""
        if isinstance(stored.event, ApprovalDecided):
            await self.resume(stored.run)
        elif isinstance(stored.event, SessionDeleted):
            await self.forget(stored.run)

    async def recover(self) -> int:
        """Go on with the turns that another process left; how many of them ran.

        Those that wait look once whether they still have to: what they wait for may have come when nobody could go on.
        """
        left = await self._parts.turns.unfinished()
        for record in left:
            await self._alone(record.session, lambda record=record: self._recover(record))
        return sum(record.state is TurnState.RUNNING for record in left)

    async def drain(self, seconds: float = 1.0) -> None:
        """Begin nothing new, wait a little for what runs, stop the rest. The next process goes on with it."""
        self._draining = True
        await self._steering.settled()
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if tasks:
            _, running = await asyncio.wait(tasks, timeout=seconds)
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        for live in self._live.values():
            live.feed.close()
        self._live.clear()
        try:
            await self._unkept.settle_all()
        finally:
            self._watching.close()

    # ------------------------------------------------------------------------- each session's in turn
    async def _begun(self, session: str, said: Said) -> LiveTurn:
        if self._draining:
            raise Draining
        if not said.text.strip():
            raise EmptyMessage
        return await self._alone(session, lambda: self._begin(session, said))

    async def _begin(self, session: str, said: Said) -> LiveTurn:
        facts = await self._parts.sessions.facts(session)
        request = said.request
        if request and (known := await self._parts.turns.keyed(session, request)):
            await self._parts.sessions.flush(session)
            return await self._again(known)
        agent = self._agent(said.agent, facts.agent)
        if (holder := await self._parts.turns.open_of(session)) is not None:  # before anything of it is kept
            raise await self._busy(session, holder.turn)
        message = Message("user", said.text, images=await self._parts.images.keep(said.images, agent))
        if agent != facts.agent:
            await self._parts.sessions.switch_agent(session, agent, reason="", by="person")
        turn = new_id()
        record, begin = self._parts.turns.beginning(turn, session, agent, unattended=said.unattended, request=request)
        try:
            await self._parts.sessions.append_message(session, message, key=message_key(turn), along=begin)
        except BaseException:
            await self._driver.annul(record, "the message could not be kept")
            raise
        live = self._launch(record)
        if request:  # it counts as sent from now on; where this fails, the same request finds the turn
            await self._parts.sessions.flush(session)
        return live

    async def _busy(self, session: str, turn: str) -> SessionBusy:
        waits = ", ".join(f"{each.tool} ({each.approval or each.call})" for each in await self.waiting(session))
        return SessionBusy(session, turn, waits)

    async def _again(self, record: TurnRecord) -> LiveTurn:
        """The turn of a message that is sent again."""
        live = self._live.get(record.session) or await self._left_waiting(record.session)
        if live is not None and live.record.turn == record.turn:
            return live
        return ended(await self._parts.turns.get(record.turn) or record)

    def _agent(self, wanted: AgentType | str | None, current: str) -> str:
        if wanted is not None:
            return str(self.router.profile(wanted).name)
        return current if current in self.router else str(AgentType.ORCHESTRATOR)

    async def _watchable(self, session: str) -> LiveTurn | None:
        """The turn that is open. Looking writes nothing, so it does not wait for what a disk refuses."""
        if (live := self._live.get(session)) is not None:
            return live
        return await self._steering.alone(RunId(session), lambda: self._left_waiting(session))

    async def _left_waiting(self, session: str) -> LiveTurn | None:
        """A turn that waits since before this process, told of as if it had just begun to."""
        record = await self._parts.turns.open_of(session)
        if record is None or session in self._live or session in self._unkept:
            return self._live.get(session)
        live = self._live[session] = LiveTurn(record)
        for call in await self.waiting(session):
            live.feed.tell(waiting_chunk(record.agent, Waiting(call)))
            live.told.add(f"{call.call}/{call.state}")
        live.feed.rest()
        return live

    async def _resume(self, session: str) -> None:
        record = await self._parts.turns.open_of(session)
        if record is None:
            return
        live = self._live.get(session)
        if live is not None and live.running:
            live.woken = True
        else:
            await self._take_up(record)

    async def _recover(self, record: TurnRecord) -> None:
        """Go on with a turn; one whose message a crash took ends, and the message may be sent again."""
        if await self._parts.sessions.is_kept(record.session, message_key(record.turn)):
            await self._take_up(record)
        else:
            await self._driver.annul(record, "its message was lost in a crash")

    async def _take_up(self, record: TurnRecord) -> None:
        await self._parts.turns.move(record.turn, TurnState.RUNNING)
        self._launch(record)

    async def _submit(self, session: str, call: str, text: str, ok: bool) -> bool:
        record = await self._parts.calls.get(session, call)
        if record is None or record.where != "client":
            raise UnknownCall(session, call)
        if record.state is not CallState.WAITING:
            if record.state is CallState.ENDED:
                return False
            raise UnknownCall(session, call)  # it was not handed to the client yet
        await self._end(record, self._parts.tools.received(record.tool, text, ok))
        if not self._draining:
            await self._resume(session)
        return True

    async def _cancel(self, session: str, reason: str) -> None:
        record = await self._parts.turns.open_of(session)
        live = self._live.get(session)
        if record is None:
            raise NothingToStop(session)
        if live is not None and live.task is not None:
            live.task.cancel()
            await asyncio.wait([live.task])
        stopped = live or LiveTurn(record)
        if (await self._parts.turns.open_of(session)) is None:  # its end was written before it could be stopped
            await self._driver.conclude(stopped)
        else:
            await self._driver.end(stopped, "cancelled", reason)
        self._live.pop(session, None)

    async def _delete(self, session: str) -> None:
        live = self._live.get(session)
        running = live is not None and live.running
        if live is not None:
            await self._driver.cut_off(live)
        try:
            await self._driver.delete(session)
        except Exception:
            if running and (record := await self._parts.turns.open_of(session)) is not None and not self._draining:
                await self._driver.forget(session)
                self._launch(record).feed.tell(StreamChunk(kind="restarted", agent=record.agent))
            raise
        if live is not None:
            conclude(live, replace(live.record, status="cancelled", reason=DELETED))
        self._live.pop(session, None)
        self._unkept.drop(session)

    async def _end(self, record: CallRecord, outcome: ToolOutcome) -> None:
        """Write a call's result."""
        parts = self._parts
        number = await keep_result(parts.sessions, parts.calls, record, outcome)
        parts.log.post(RunId(record.session), 0, ended_event(record, outcome, number))
        live = self._live.get(record.session)
        if live is not None:
            live.feed.tell(result_chunk(live.record.agent, record, outcome, number))

    # ------------------------------------------------------------------------------------ running
    def _launch(self, record: TurnRecord) -> LiveTurn:
        live = self._live.get(record.session)
        if live is None or live.record.turn != record.turn:
            live = self._live[record.session] = LiveTurn(record)
            self._watching.tell(live)
        live.woken, live.resting = False, False
        live.feed.go_on()
        task = asyncio.get_running_loop().create_task(self._run(live), name=f"turn {record.turn}")
        live.task = task
        return live

    async def _run(self, live: LiveTurn) -> None:
        """One launch of a turn, whose errors end here: they are how it ended."""
        try:
            over = await self._driver.run(live)
        except asyncio.CancelledError:
            raise  # whoever cancelled it writes down how it ended, or leaves it to the next process
        except Exception as error:  # its end could not be kept, or a fault of ours: a turn's errors are its ending
            _logger.exception("turn %s broke", live.record.turn)
            over = True
            self._unkept.add(live, error)
        if over and self._live.get(live.record.session) is live:
            del self._live[live.record.session]

    async def _alone(self, session: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def once_settled() -> T:
            await self._unkept.settle(session)
            return await work()

        return await self._steering.alone(RunId(session), once_settled)
