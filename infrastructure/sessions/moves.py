"""From one state of an approval to the next. Pure: each gives the approval as it is afterwards, or says why not.

Owns the rules of use: only the question that was shown can be answered, the first answer stands, what is done is what
was approved, and once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from infrastructure.danger.levels import Danger
from infrastructure.sessions.approvals import (
    AlreadyDecided,
    AlreadyUsed,
    Approval,
    ApprovalExpired,
    ApprovalState,
    Approve,
    Decision,
    DecisionRefused,
    Edit,
    NotApproved,
    Scope,
    StaleApproval,
    call_sha,
    kind_of,
)

BY_TIME = "time"
BY_RULE = "rule"
TOO_LATE = "nobody answered in time"


def is_due(approval: Approval, now: datetime) -> bool:
    """Whether it waits, and has waited too long."""
    return approval.state is ApprovalState.PENDING and approval.expires is not None and approval.expires <= now


def expired(approval: Approval, now: datetime) -> Approval:
    """Turned down, since nobody came."""
    return replace(approval, state=ApprovalState.EXPIRED, by=BY_TIME, decided=now)


def withdrawn(approval: Approval, now: datetime) -> Approval:
    """No longer asked."""
    return replace(approval, state=ApprovalState.WITHDRAWN, decided=now)


def asked_anew(approval: Approval, fresh: Approval) -> Approval:
    """The same question put once more, as it is now: an answer to the old one is stale."""
    return replace(fresh, id=approval.id)


def decided(
    approval: Approval,
    decision: Decision,
    now: datetime,
    *,
    by: str,
    nonce: str,
    scope: Scope,
    patterns: tuple[str, ...],
    named: bool = True,
) -> Approval:
    """With this answer; unchanged where it had the very same before.

    Rules are made of `patterns`. Where the answer names none (`named`), they are what was proposed, and it is the same
    as one that had others: what is proposed may change.

    Raises:
        StaleApproval: the answer is to an older question.
        ApprovalExpired, AlreadyDecided: it had another answer.
        DecisionRefused: this answer is not allowed.
    """
    if nonce != approval.nonce:
        raise StaleApproval(f"approval {approval.id} was asked anew since this answer was given")
    match approval.state:
        case ApprovalState.PENDING:
            check_allowed(approval, decision, scope)
            return replace(
                approval,
                state=ApprovalState.DECIDED,
                decision=decision,
                sha=bound_to(approval, decision),
                scope=scope,
                patterns=patterns,
                by=by,
                decided=now,
            )
        case ApprovalState.DECIDED | ApprovalState.USED:
            other = named and set(approval.patterns) != set(patterns)
            if other or (approval.decision, approval.scope) != (decision, scope):
                raise AlreadyDecided(approval.id, approval.state)
            return approval
        case ApprovalState.EXPIRED:
            raise ApprovalExpired(approval.id)
        case ApprovalState.WITHDRAWN:
            raise StaleApproval(f"approval {approval.id} is no longer asked for")
        case _:
            assert_never(approval.state)


def used(approval: Approval, sha: str, now: datetime) -> Approval:
    """Spent on what has this hash.

    Raises:
        NotApproved: it waits, or the answer was no.
        AlreadyUsed: it was spent before.
        StaleApproval: it was given for something else.
    """
    if approval.state is ApprovalState.USED:
        raise AlreadyUsed(approval.id)
    if approval.state is not ApprovalState.DECIDED or not approval.granted:
        said = kind_of(approval.decision) if approval.decision is not None else str(approval.state)
        raise NotApproved(approval.id, said)
    if sha != approval.sha:
        raise StaleApproval(f"approval {approval.id} was given for something else than what is to be done")
    return replace(approval, state=ApprovalState.USED, used=now)


def check_allowed(approval: Approval, decision: Decision, scope: Scope) -> None:
    """See that the answer is one of those that may be given.

    Raises:
        DecisionRefused: it is not.
    """
    kind = kind_of(decision)
    if kind not in approval.allowed:
        raise DecisionRefused(
            f"{kind} is not allowed for {approval.action.tool}", f"Allowed are: {', '.join(approval.allowed)}."
        )
    if scope == "once":
        return
    if not isinstance(decision, Approve):
        raise DecisionRefused("only a plain yes can be for more than once", "Answer this one with scope `once`.")
    if approval.gate != "tool":
        raise DecisionRefused(f"a {approval.gate} is approved once", "Answer with scope `once`.")
    if approval.action.danger is Danger.DANGEROUS:
        raise DecisionRefused(
            f"this is approved once only: {approval.action.why}",
            "Answer with scope `once`; it will be asked each time.",
        )


def bound_to(approval: Approval, decision: Decision) -> str:
    """The hash of what may be done after this answer.

    Raises:
        DecisionRefused: the edited arguments cannot be said in JSON.
    """
    if not isinstance(decision, Edit):
        return approval.sha
    try:
        return call_sha(approval.action.tool, decision.arguments)
    except ValueError as error:
        raise DecisionRefused(str(error), "Send the arguments as a JSON object.") from error
