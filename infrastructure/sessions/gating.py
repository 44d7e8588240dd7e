"""The question of a run as a row: what is done in a transaction to put it, and to take its answer.

Owns the works, so that whoever moves the run on may do both in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from infrastructure.events.catalogue import AnyEvent, ApprovalAsked
from infrastructure.sessions import approval_table as table
from infrastructure.sessions import asking, moves
from infrastructure.sessions.approvals import (
    ActionRequest,
    Approval,
    ApprovalState,
    Decision,
    DecisionKind,
    StaleApproval,
)
from infrastructure.sessions.expiring import Work
from infrastructure.storage.times import Now


def put(owner: str, key: str, asked: ApprovalAsked, *, sha: str, allowed: Iterable[DecisionKind], now: Now) -> Work:
    """Put a question, or put it anew."""
    action = ActionRequest(tool=asked.gate, arguments={"answers": asked.answers}, description=asked.question)
    fresh = replace(asking.fresh(owner, key, asked.gate, action, allowed=tuple(allowed), asked=now()), sha=sha)

    def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
        known = table.keyed(connection, owner, key)
        approval = fresh if known is None else moves.asked_anew(known, fresh)
        table.keep(connection, approval)
        return approval, asked.model_copy(update={"id": approval.id})

    return work


def settled(approval: Approval, decision: Decision, *, by: str, sha: str, now: Now) -> Work:
    """Decide and use at once, whatever the answer is."""

    def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
        known, instant = table.find(connection, approval.id), now()
        if known.state is not ApprovalState.PENDING or sha != known.sha:
            raise StaleApproval(f"approval {known.key} of {known.owner} is not what was shown")
        told = moves.decided(known, decision, instant, by=by, nonce=approval.nonce, scope="once", patterns=())
        spent = replace(told, state=ApprovalState.USED, used=instant)
        told = moves.used(told, sha, instant) if told.granted else spent
        table.keep(connection, told)
        return told, asking.told_answer(told)

    return work
