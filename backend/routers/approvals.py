"""Approvals: what waits for a person, its answer, and the rules that answers made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from backend.dependencies import ApprovalsDep, AskedApproval
from backend.problems import answers
from backend.routers.approval_views import (
    ApprovalPage,
    ApprovalView,
    AskedView,
    DecisionBody,
    RulePage,
    approval_view,
    asked_view,
    rule_view,
)

BY_HTTP = "http"
Patterns = Annotated[
    list[str], Query(alias="pattern", description="Try these rules instead of the proposed ones.", max_length=20)
]

router = APIRouter(prefix="/api/v1", tags=["approvals"])


@router.get("/approvals", response_model=ApprovalPage, responses=answers(422))
async def list_approvals(
    approvals: ApprovalsDep,
    owner: Annotated[str | None, Query(description="Only those of this session or run.", max_length=64)] = None,
) -> object:
    """List what waits for an answer, of sessions and runs, oldest first."""
    return ApprovalPage(approvals=tuple(map(approval_view, await approvals.pending(owner))))


@router.get("/approvals/{approval}", response_model=AskedView, responses=answers(404, 422))
async def read_approval(approvals: ApprovalsDep, asked: AskedApproval, patterns: Patterns = []) -> object:  # noqa: B006 - FastAPI copies it
    """Show an approval.

    With the form that chat clients know, the rules that would cover it, and the past calls that those would have
    covered too.
    """
    return asked_view(asked, await approvals.rulebook.propose(asked, tuple(patterns)))


@router.post("/approvals/{approval}", response_model=ApprovalView, responses=answers(404, 409, 415, 422, 503))
async def decide_approval(approvals: ApprovalsDep, asked: AskedApproval, body: DecisionBody) -> object:
    """Answer an approval. Who waits for it goes on; the same answer again changes nothing."""
    decided = await approvals.decide(
        asked.id, body.read(asked), by=BY_HTTP, nonce=body.nonce, scope=body.scope, patterns=body.patterns
    )
    return approval_view(decided)


@router.get("/rules", response_model=RulePage, responses=answers(422))
async def list_rules(
    approvals: ApprovalsDep,
    owner: Annotated[str | None, Query(description="Those that hold for this session or run.", max_length=64)] = None,
    workspace: Annotated[str | None, Query(description="Those that hold in this folder.")] = None,
) -> object:
    """List the rules that people have made, oldest first."""
    return RulePage(rules=tuple(map(rule_view, await approvals.rulebook.rules(owner, workspace))))


@router.delete("/rules/{rule}", status_code=status.HTTP_204_NO_CONTENT, responses=answers(404, 422, 503))
async def delete_rule(approvals: ApprovalsDep, rule: str) -> None:
    """Take a rule back. What it has approved stays approved."""
    await approvals.rulebook.delete(rule)
