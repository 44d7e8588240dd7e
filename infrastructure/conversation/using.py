"""Doing what an answer asked for: each open call in order, until all are done or one has to wait.

Owns what becomes of one call: refused, done here, or waited for (a person, the client). The result in the session is
what ends a call, so this may be run again at any time and does nothing twice: a call that may change something and was
begun before a crash is not begun again, and the model is told so.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TypeAlias

from agents.conversation.chunks import StreamChunk
from agents.conversation.history import EXPIRED, open_calls
from agents.conversation.roster import SWITCH_MODE, AgentProfile
from agents.model import JsonObject, ToolCall
from infrastructure.conversation.calls import CallRecord, CallState
from infrastructure.conversation.errors import ApprovalRefused
from infrastructure.conversation.handing import Handover, handover_result, refused_handover
from infrastructure.conversation.ports import Asked, Decided, ToolOutcome, ToolPlace, ToolSheet, Verdict
from infrastructure.conversation.results import ended_event, keep_result, result_chunk
from infrastructure.conversation.scope import TurnScope
from infrastructure.conversation.streaming import UNREADABLE
from infrastructure.events.catalogue import (
    ToolApprovalRequired,
    ToolCompleted,
    ToolFailed,
    ToolRequested,
    ToolStarted,
)

_UNKNOWN_EFFECT = (
    "Corral was stopped while this call was being done, so it is not known whether it took effect. Look before you"
    " repeat it."
)
_UNATTENDED = "A person would have to allow this, and nobody is there to be asked. Do without it."


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that cannot go on by itself: for a person where there is an approval, else for the client."""

    record: CallRecord
    description: str = ""

    @property
    def for_person(self) -> bool:
        """Whether a person is waited for."""
        return bool(self.record.approval) and self.record.state is CallState.APPROVAL


@dataclass(frozen=True, slots=True)
class _Allowed:
    """A call as it may be done now.

    Attributes:
        held: The only sandbox that it may be done in, where there is one.
        unasked: Whether it is done for nobody's yes, since it was judged to be safe.
    """

    call: ToolCall
    held: str = ""
    unasked: bool = False


_Fate: TypeAlias = "ToolOutcome | Waiting | _Allowed"
"""A call's outcome, its wait, or the leave to do it."""


class Using:
    """The open calls of one step of one agent."""

    def __init__(self, scope: TurnScope, profile: AgentProfile, place: ToolPlace, handovers: int) -> None:
        self._scope = scope
        self._profile = profile
        self._place = place
        self._handovers = handovers

    async def work(self) -> tuple[Waiting, ...]:
        """Do the open calls in order; those that wait.

        What comes after one that waits is not done yet, but a person is asked for all of them at once. The answer is
        on disk before anything is done or asked for its sake: a crash must not leave a row or a question without it.
        """
        waiting: list[Waiting] = []
        if left := open_calls(self._scope.messages()):
            await self._scope.sessions.flush(self._scope.session)
        for call in left:
            record = await self._record(call)
            fate = await self._asked_ahead(record) if waiting else await self._fate(record)
            began = time.monotonic()
            if isinstance(fate, _Allowed):
                fate = await self._do(record, fate)
            if isinstance(fate, Waiting):
                waiting.append(fate)
                self._tell_waiting(fate)
            elif fate is not None:
                await self._end(record, fate, time.monotonic() - began)
        return tuple(waiting)

    # ------------------------------------------------------------------------------------ what is to become of it
    async def _record(self, call: ToolCall) -> CallRecord:
        sheet = self._sheet(call.name)
        where = "client" if sheet is not None and sheet.where == "client" else "local"
        record, new = await self._scope.calls.request(self._scope.session, self._scope.turn, call, where)
        if new:
            self._announce(ToolRequested(call=record.call, tool=record.tool, where=where))
        return record

    async def _fate(self, record: CallRecord) -> _Fate:
        """What is to become of a call whose turn it is."""
        sheet = self._sheet(record.tool)
        if record.state is CallState.WAITING:
            return Waiting(record)
        if self._may_be_done(record, sheet):
            return ToolOutcome(_UNKNOWN_EFFECT, ok=False, error_class="Interrupted")
        checked = self._checked(record.tool_call, sheet)
        if isinstance(checked, ToolOutcome):
            return checked
        if sheet is None or record.state is CallState.STARTED:
            return _Allowed(checked)
        verdict = await self._scope.approvals.judge(checked, sheet, self._place)
        if verdict.kind == "refuse":
            return ToolOutcome(verdict.why, ok=False, error_class="Refused")
        if verdict.kind == "run":
            return _Allowed(checked, unasked=True)
        if self._scope.unattended:
            asked = await self._scope.approvals.unasked(checked, self._place, verdict)
            if asked is None:
                return ToolOutcome(_UNATTENDED, ok=False, error_class="Unattended")
        else:
            asked = await self._ask(record, checked, verdict)
        if asked.decided is None:
            return self._waits(record, checked, asked, verdict)
        return await self._decided(record, checked, asked, asked.decided)

    def _may_be_done(self, record: CallRecord, sheet: ToolSheet | None) -> bool:
        """Whether it may have taken effect before a crash; of one that has ended, that took the result."""
        effects = sheet is None or sheet.effects
        if record.state is CallState.ENDED:
            return effects or record.where == "client"
        return effects and record.state is CallState.STARTED

    async def _asked_ahead(self, record: CallRecord) -> Waiting | None:
        """A call whose turn is not yet, where a person has to allow it and has not said anything."""
        sheet = self._sheet(record.tool)
        checked = self._checked(record.tool_call, sheet)
        if isinstance(checked, ToolOutcome) or sheet is None or self._scope.unattended:
            return None
        verdict = await self._scope.approvals.judge(checked, sheet, self._place)
        if verdict.kind != "ask":
            return None
        asked = await self._ask(record, checked, verdict)
        return self._waits(record, checked, asked, verdict) if asked.decided is None else None

    def _checked(self, call: ToolCall, sheet: ToolSheet | None) -> ToolCall | ToolOutcome:
        if call.name == UNREADABLE:
            return ToolOutcome(str(call.arguments.get("problem", "")), ok=False, error_class="UnreadableCall")
        if sheet is not None and not self._profile.may_use(call.name):
            offered = self._scope.tools.offered(self._scope.session, self._profile.tools, 100)
            names = ", ".join(each.tool.name for each in offered)
            said = f"{call.name} is not for {self._profile.name}. You have {names or 'no tools'}."
            return ToolOutcome(said, ok=False, error_class="NotAllowed")
        return self._scope.tools.check(self._scope.session, call)

    async def _ask(self, record: CallRecord, call: ToolCall, verdict: Verdict) -> Asked:
        asked = await self._scope.approvals.request(self._scope.turn, call, self._place, verdict)
        if asked.decided is None and record.state is CallState.REQUESTED:
            await self._scope.calls.move(record, CallState.APPROVAL, approval=asked.approval)
            self._announce(
                ToolApprovalRequired(call=record.call, tool=record.tool, approval=asked.approval, why=verdict.why)
            )
        return asked

    def _waits(self, record: CallRecord, call: ToolCall, asked: Asked, verdict: Verdict) -> Waiting:
        held = replace(record, state=CallState.APPROVAL, approval=asked.approval, arguments=call.arguments)
        return Waiting(held, verdict.why)

    async def _decided(self, record: CallRecord, call: ToolCall, asked: Asked, decided: Decided) -> _Fate:
        if decided.kind == "respond":
            return ToolOutcome(decided.text)
        if decided.kind == "reject":
            why = f": {decided.text}" if decided.text else ""
            return ToolOutcome(f"The person said no{why}", ok=False, error_class="Rejected")
        if decided.kind == "expired":
            return ToolOutcome(EXPIRED, ok=False, error_class="Expired")
        if decided.kind == "edit" and decided.arguments is not None:
            edited = replace(call, arguments=decided.arguments)
            checked = self._scope.tools.check(self._scope.session, edited)
            return checked if isinstance(checked, ToolOutcome) else await self._taken(record, edited, checked, asked)
        return await self._taken(record, call, call, asked)

    async def _taken(self, record: CallRecord, said: ToolCall, call: ToolCall, asked: Asked) -> _Fate:
        """The call that was allowed as `said`. It counts as begun before its yes is used up: rather not than twice."""
        state = CallState.WAITING if record.where == "client" else CallState.STARTED
        await self._scope.calls.move(record, state, approval=asked.approval, arguments=call.arguments)
        try:
            await self._scope.approvals.use(asked.approval, said)
        except ApprovalRefused as refused:
            return ToolOutcome(str(refused), ok=False, error_class="ApprovalRefused")
        return _Allowed(call, asked.held)

    # ------------------------------------------------------------------------------------ doing it
    async def _do(self, record: CallRecord, allowed: _Allowed) -> ToolOutcome | Waiting:
        call = allowed.call
        self._announce(ToolStarted(call=record.call, tool=record.tool, where=record.where))
        if record.where == "client":
            await self._scope.calls.move(record, CallState.WAITING, arguments=call.arguments)
            return Waiting(replace(record, state=CallState.WAITING, arguments=call.arguments))
        if call.name == SWITCH_MODE:
            return await self._hand_over(call.arguments)
        sheet = self._sheet(call.name)
        if sheet is not None and sheet.effects:
            await self._scope.calls.move(record, CallState.STARTED, arguments=call.arguments)
        place = replace(self._place, call=record.call, held=allowed.held, unasked=allowed.unasked)
        return await self._scope.tools.run(call, place)

    async def _hand_over(self, arguments: JsonObject) -> ToolOutcome:
        wanted = Handover(str(arguments.get("agent", "")), str(arguments.get("reason", "")))
        limit = self._scope.limits.handovers
        refused = refused_handover(wanted, self._profile.name, self._scope.router, self._handovers, limit)
        if refused:
            return ToolOutcome(refused, ok=False, error_class="NoHandover")
        self._handovers += 1
        await self._scope.sessions.switch_agent(self._scope.session, wanted.agent, reason=wanted.reason, by="agent")
        self._scope.tell(StreamChunk(kind="switch", agent=wanted.agent, text=wanted.reason))
        return ToolOutcome(handover_result(wanted))

    async def _end(self, record: CallRecord, outcome: ToolOutcome, seconds: float) -> None:
        """Write the result, which ends the call, and say so: all of it, also when the turn is cut off meanwhile."""
        telling = asyncio.ensure_future(self._tell_end(record, outcome, seconds))
        self._scope.landing.add(telling)
        telling.add_done_callback(self._scope.landing.discard)
        await asyncio.shield(telling)

    async def _tell_end(self, record: CallRecord, outcome: ToolOutcome, seconds: float) -> None:
        scope = self._scope
        if record.state is CallState.APPROVAL:  # ended without its answer, a question would outlive it
            await scope.approvals.withdraw(scope.session, record.call)
        number = await keep_result(scope.sessions, scope.calls, record, outcome)
        self._announce(ended_event(record, outcome, number, seconds))
        self._scope.tell(result_chunk(self._profile.name, record, outcome, number))

    # ------------------------------------------------------------------------------------ telling
    def _tell_waiting(self, waiting: Waiting) -> None:
        record = waiting.record
        mark = f"{record.call}/{record.state}"
        if mark not in self._scope.told:
            self._scope.told.add(mark)
            self._scope.tell(waiting_chunk(self._profile.name, waiting))

    def _sheet(self, name: str) -> ToolSheet | None:
        return self._scope.tools.sheet(self._scope.session, name)

    def _announce(self, event: ToolRequested | ToolApprovalRequired | ToolStarted | ToolCompleted | ToolFailed) -> None:
        self._scope.announce(event.model_copy(update={"node": "use_tools"}))


def waiting_chunk(agent: str, waiting: Waiting) -> StreamChunk:
    """What watchers are told of a call that waits."""
    record = waiting.record
    return StreamChunk(
        kind="approval" if waiting.for_person else "client_call",
        agent=agent,
        text=waiting.description,
        call=record.call,
        tool=record.tool,
        arguments=record.arguments,
        approval=record.approval if waiting.for_person else "",
    )


def interrupt_value(waiting: tuple[Waiting, ...]) -> JsonObject:
    """What the graph waits with, in the form that chat clients know; a client's calls beside it."""
    people = [each for each in waiting if each.for_person]
    clients = [each for each in waiting if not each.for_person]
    return {
        "action_requests": [
            {
                "name": each.record.tool,
                "args": each.record.arguments,
                "description": each.description,
                "id": each.record.approval,
            }
            for each in people
        ],
        "review_configs": [
            {"action_name": name, "allowed_decisions": ["approve", "edit", "reject", "respond"]}
            for name in dict.fromkeys(each.record.tool for each in people)
        ],
        "client_calls": [
            {"id": each.record.call, "name": each.record.tool, "args": each.record.arguments} for each in clients
        ],
    }
