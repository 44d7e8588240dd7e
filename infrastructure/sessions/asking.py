"""How a question begins, what answers it without a person, and how both are told. Pure.

Owns the first state of an approval, the answers of rules and of the sandbox, and the events of a question and its
answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from infrastructure.danger.levels import Judgement
from infrastructure.events.catalogue import ApprovalAsked, ApprovalDecided
from infrastructure.ids import ApprovalId, new_id
from infrastructure.sessions import moves
from infrastructure.sessions.approvals import (
    ActionRequest,
    Approval,
    ApprovalState,
    Approve,
    DecisionKind,
    Gate,
    Reject,
    Respond,
    action_sha,
    kind_of,
)
from infrastructure.sessions.rules import Rule

BY_SANDBOX = "sandbox:"
"""Who decided where a sandbox holds the call; its level stands behind."""


def fresh(
    owner: str,
    key: str,
    gate: Gate,
    action: ActionRequest,
    *,
    workspace: str = "",
    allowed: tuple[DecisionKind, ...],
    asked: datetime,
    expires: datetime | None = None,
) -> Approval:
    """A question that nobody has answered."""
    return Approval(
        id=ApprovalId(new_id()),
        owner=owner,
        key=key,
        gate=gate,
        action=action,
        workspace=workspace,
        allowed=allowed,
        sha=action_sha(action),
        nonce=secrets.token_urlsafe(12),
        state=ApprovalState.PENDING,
        asked=asked,
        expires=expires,
    )


def raised(action: ActionRequest, judged: Judgement) -> ActionRequest:
    """The action with the danger that code finds in it, where that is more."""
    if judged.level.rank < action.danger.rank:
        return action
    return replace(action, danger=judged.level, why=judged.why or action.why)


def answered(asked: Approval, rules: Sequence[Rule], held: str) -> Approval:
    """The question with the answer of the rules that cover it, or of the sandbox that holds it; else as it was."""
    if rules:
        return replace(
            asked,
            state=ApprovalState.DECIDED,
            decision=Approve(),
            scope=rules[0].scope,
            patterns=tuple(rule.shown for rule in rules),
            by=moves.BY_RULE,
            rule=",".join(rule.id for rule in rules),
            decided=asked.asked,
        )
    if held:
        return replace(
            asked,
            state=ApprovalState.DECIDED,
            decision=Approve(f"{held} holds it: a throw-away copy, no network"),
            by=f"{BY_SANDBOX}{held}",
            decided=asked.asked,
        )
    return asked


def held_by(approval: Approval) -> str:
    """The level of the sandbox for whose sake nobody was asked; empty where somebody was, or a rule said yes."""
    return approval.by.removeprefix(BY_SANDBOX) if approval.by.startswith(BY_SANDBOX) else ""


def told(approval: Approval) -> ApprovalAsked | ApprovalDecided:
    """The event of a question that waits, or of its answer."""
    if approval.state is not ApprovalState.PENDING:
        return told_answer(approval)
    question = approval.action.description or approval.action.tool
    return ApprovalAsked(approval=approval.id, gate=approval.gate, question=question, id=approval.id)


def told_answer(approval: Approval) -> ApprovalDecided:
    """The event of an answer, or of none in time."""
    named = approval.id if approval.gate == "tool" else approval.key
    if approval.decision is None:
        return ApprovalDecided(
            approval=named, id=approval.id, decision="expired", by=approval.by, reason=moves.TOO_LATE
        )
    reason = ""
    match approval.decision:
        case Approve(said) | Reject(said) | Respond(said):
            reason = said
        case _:
            pass
    return ApprovalDecided(
        approval=named,
        id=approval.id,
        decision=kind_of(approval.decision),
        scope=approval.scope,
        by=approval.by,
        rule=approval.rule,
        reason=reason,
    )
