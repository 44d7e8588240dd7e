"""People who are asked, over the manager of approvals: danger judged by code, an answer taken once, for one call.

Owns the passage between a turn's words for an answer and the manager's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import assert_never

from agents.model import ToolCall
from infrastructure.conversation.describing import described
from infrastructure.conversation.errors import ApprovalRefused
from infrastructure.conversation.ports import Approvals, Asked, Decided, ToolPlace, ToolSheet, Verdict, Withdrawal
from infrastructure.danger.judging import classify
from infrastructure.danger.levels import Danger
from infrastructure.sessions.approvals import (
    ActionRequest,
    Approval,
    ApprovalError,
    ApprovalState,
    Approve,
    Decision,
    Edit,
    Reject,
    Respond,
    call_sha,
)
from infrastructure.sessions.asking import held_by
from infrastructure.sessions.hitl import HITLManager
from infrastructure.tools.containing import CONTAINED, Containment


class AskedPeople(Approvals):
    """Asks through `HITLManager`: the session is the owner, the call's id the key.

    Args:
        manager: Of the approvals.
        containment: Which calls the sandbox holds.
    """

    def __init__(self, manager: HITLManager, containment: Containment) -> None:
        self._manager, self._containment = manager, containment

    async def judge(self, call: ToolCall, sheet: ToolSheet, place: ToolPlace) -> Verdict:
        """Whether the call may be made at once, or a person is asked unless the sandbox holds it."""
        declared = Danger.ASKS if sheet.asks else Danger.SAFE
        found = await asyncio.to_thread(classify, call.name, call.arguments, place.workspace or None, declared=declared)
        if found.level is Danger.SAFE:
            return Verdict(kind="run")
        held = "" if place.workspace == "" else await self._containment.of(call.name, call.arguments)
        return Verdict(kind="ask", why=found.why, danger=found.level, held=held)

    async def request(self, turn: str, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked:
        """Ask for this call; a rule that covers it, or the sandbox that holds it, answers at once."""
        approval = await self._manager.request(
            place.session, call.id or "", _action(call, verdict), workspace=place.workspace, held=verdict.held
        )
        return Asked(approval=approval.id, decided=decided_of(approval), held=held_by(approval))

    async def unasked(self, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked | None:
        """The answer of rules or of the sandbox."""
        approval = await self._manager.request_unasked(
            place.session, call.id or "", _action(call, verdict), workspace=place.workspace, held=verdict.held
        )
        if approval is None:
            return None
        return Asked(approval=approval.id, decided=decided_of(approval), held=held_by(approval))

    async def useful(self, session: str, workspace: str, names: Collection[str]) -> frozenset[str]:
        """Those that a rule names, and those that the sandbox holds."""
        ruled = {rule.tool for rule in await self._manager.rulebook.rules(session, workspace)}
        held = CONTAINED.intersection(names) if workspace and await self._containment.level() else frozenset[str]()
        return frozenset(name for name in names if name in ruled) | held

    async def use(self, approval: str, call: ToolCall) -> None:
        """Spend the yes on this call."""
        try:
            await self._manager.use(approval, call_sha(call.name, call.arguments))
        except ApprovalError as error:
            raise ApprovalRefused(str(error)) from error

    async def decide(self, approval: str, decision: Decided, by: str) -> str:
        """Answer the question as it is now; its session."""
        asked = await self._manager.get(approval)
        told = await self._manager.decide(approval, decision_of(decision), by=by, nonce=asked.nonce)
        return told.owner

    async def withdraw(self, session: str, call: str | None = None) -> None:
        """Take back what the session asked, of one call or of all."""
        await self._manager.withdraw(session, call)

    def withdrawal(self, session: str) -> Withdrawal:
        """Take it back in somebody else's transaction."""
        return Withdrawal(*self._manager.withdrawal(session))


def _action(call: ToolCall, verdict: Verdict) -> ActionRequest:
    return ActionRequest(
        tool=call.name,
        arguments=call.arguments,
        description=described(call.name, call.arguments),
        danger=Danger(verdict.danger or Danger.ASKS),
        why=verdict.why,
    )


def decided_of(approval: Approval) -> Decided | None:
    """What was said; None while nothing was."""
    if approval.state is ApprovalState.PENDING:
        return None
    if approval.state in (ApprovalState.EXPIRED, ApprovalState.WITHDRAWN) or approval.decision is None:
        return Decided(kind="expired")
    match approval.decision:
        case Approve(reason):
            return Decided(kind="approve", text=reason)
        case Edit(arguments):
            return Decided(kind="edit", arguments=arguments)
        case Reject(reason):
            return Decided(kind="reject", text=reason)
        case Respond(text):
            return Decided(kind="respond", text=text)
        case _:
            assert_never(approval.decision)


def decision_of(decided: Decided) -> Decision:
    """An answer in the manager's words; what is no yes is a no."""
    match decided.kind:
        case "approve":
            return Approve(decided.text)
        case "edit":
            return Edit(decided.arguments or {})
        case "respond":
            return Respond(decided.text)
        case "reject" | "expired":
            return Reject(decided.text)
