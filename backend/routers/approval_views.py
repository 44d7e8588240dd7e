"""What the routes about approvals and rules take and answer.

Owns the public shape of an approval, and the reading of an answer in our form and in that of chat clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from pydantic import BaseModel, ConfigDict, JsonValue

from agents.model import JsonObject
from backend.dependencies import APPROVAL_EXAMPLE, SESSION_EXAMPLE
from infrastructure.sessions.approvals import Approval, ApprovalState, Decision, DecisionKind, Gate, Scope
from infrastructure.sessions.forms import read_decisions, written, written_decision
from infrastructure.sessions.rulebook import Proposal
from infrastructure.sessions.rules import Rule

_APPROVAL: dict[str, JsonValue] = {
    "id": APPROVAL_EXAMPLE,
    "owner": SESSION_EXAMPLE,
    "key": "0199c0df0a1b-2-0",
    "gate": "tool",
    "tool": "run_command",
    "arguments": {"command": "make test"},
    "description": "make test",
    "danger": "asks",
    "why": "make is not known to be safe",
    "workspace": "/home/you/project",
    "allowed": ["approve", "edit", "reject", "respond"],
    "nonce": "f3Kq0sYw2mVtR8aZ",
    "state": "pending",
    "asked": "2026-01-05T10:00:04Z",
    "expires": None,
    "decision": None,
    "scope": "once",
    "patterns": [],
    "by": "",
    "rule": "",
    "decided": None,
    "used": None,
}
_FORM: dict[str, JsonValue] = {
    "action_requests": [{"name": "run_command", "args": {"command": "make test"}, "description": "make test"}],
    "review_configs": [
        {"action_name": "run_command", "allowed_decisions": ["approve", "edit", "reject", "respond"]},
    ],
    "approvals": [
        {"approval": APPROVAL_EXAMPLE, "nonce": "f3Kq0sYw2mVtR8aZ", "danger": "asks", "why": "make is not known"},
    ],
}
_RULE: dict[str, JsonValue] = {
    "id": "0199c0e0-2c3d-7e4f-8b50-7d8f9a0b1c23",
    "scope": "project",
    "owner": "/home/you/project",
    "tool": "run_command",
    "pattern": "make test *",
    "shown": "run_command: make test *",
    "made": "2026-01-05T10:01:00Z",
    "by": "http",
    "approval": APPROVAL_EXAMPLE,
}


class ApprovalView(BaseModel):
    """A question to a person, and how far it is."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _APPROVAL})

    id: str
    owner: str
    """The session or run that waits."""
    key: str
    """What it is asked for there: a call's id, or the gate's name."""
    gate: Gate
    tool: str
    arguments: dict[str, JsonValue]
    """Exactly what would be done."""
    description: str
    danger: str
    why: str
    workspace: str
    allowed: tuple[DecisionKind, ...]
    nonce: str
    """To be sent with the answer, which so is one to this very question."""
    state: ApprovalState
    asked: datetime
    expires: datetime | None
    decision: JsonValue
    """As a client sends it; null while there is none."""
    scope: Scope
    patterns: tuple[str, ...]
    """The rules that were made of it, as they are shown."""
    by: str
    rule: str
    decided: datetime | None
    used: datetime | None


class ApprovalPage(BaseModel):
    """What waits for an answer, oldest first."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"approvals": [_APPROVAL]}})

    approvals: tuple[ApprovalView, ...]


class PastCall(BaseModel):
    """A past call that the patterns would have covered."""

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    tool: str
    arguments: dict[str, JsonValue]
    state: ApprovalState
    asked: datetime


class ProposalView(BaseModel):
    """Rules that would cover the call, to be edited before they are made; none where no rule may."""

    model_config = ConfigDict(frozen=True)

    patterns: tuple[str, ...]
    past: tuple[PastCall, ...]
    """Of the last 200 calls of the tool those that the patterns would have covered."""


class ActionView(BaseModel):
    """One action as chat clients show it."""

    model_config = ConfigDict(frozen=True)

    name: str
    args: dict[str, JsonValue]
    description: str


class ReviewView(BaseModel):
    """What may be decided about one action."""

    model_config = ConfigDict(frozen=True)

    action_name: str
    allowed_decisions: tuple[DecisionKind, ...]


class FormView(BaseModel):
    """The form that chat clients know."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _FORM})

    action_requests: tuple[ActionView, ...]
    review_configs: tuple[ReviewView, ...]
    approvals: tuple[dict[str, JsonValue], ...]
    """In the order of the actions: id, nonce, danger, why."""


class AskedView(ApprovalView):
    """An approval with the form of chat clients, and what rules would cover it."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                **_APPROVAL,
                "form": _FORM,
                "proposal": {"patterns": ["run_command: make test *"], "past": []},
            }
        },
    )

    form: FormView
    proposal: ProposalView


class DecisionBody(BaseModel):
    """An answer. Either `decision`, or `decisions` with one as chat clients send it, or the decision's own fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={
            "example": {"nonce": "f3Kq0sYw2mVtR8aZ", "decision": {"type": "approve"}, "scope": "once", "patterns": []}
        },
    )

    nonce: str
    """That of the question."""
    scope: Scope = "once"
    patterns: tuple[str, ...] = ()
    """The rules to make of a yes; none: those that are proposed."""
    decision: JsonValue = None
    decisions: JsonValue = None

    def read(self, approval: Approval) -> Decision:
        """The answer to this approval.

        Raises:
            DecisionRefused: it cannot be read, or is not allowed there.
        """
        given: JsonValue = self.decision if self.decisions is None else {"decisions": self.decisions}
        return read_decisions((self.model_extra or {}) if given is None else given, (approval,))[0]


class RuleView(BaseModel):
    """A yes for later."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _RULE})

    id: str
    scope: Scope
    owner: str
    """The session or run, or the workspace; empty where it holds everywhere."""
    tool: str
    pattern: str
    shown: str
    made: datetime
    by: str
    approval: str
    """With which it was made."""


class RulePage(BaseModel):
    """Rules, oldest first."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"rules": [_RULE]}})

    rules: tuple[RuleView, ...]


def approval_view(approval: Approval) -> ApprovalView:
    """An approval as it is shown."""
    action, decision = approval.action, approval.decision
    return ApprovalView(
        id=approval.id,
        owner=approval.owner,
        key=approval.key,
        gate=approval.gate,
        tool=action.tool,
        arguments=plain(action.arguments),
        description=action.description,
        danger=action.danger,
        why=action.why,
        workspace=approval.workspace,
        allowed=approval.allowed,
        nonce=approval.nonce,
        state=approval.state,
        asked=approval.asked,
        expires=approval.expires,
        decision=None if decision is None else plain(written_decision(decision, action.tool)),
        scope=approval.scope,
        patterns=approval.patterns,
        by=approval.by,
        rule=approval.rule,
        decided=approval.decided,
        used=approval.used,
    )


def asked_view(approval: Approval, proposal: Proposal) -> AskedView:
    """An approval with all that a person wants to know before the answer."""
    past = tuple(
        PastCall(
            id=each.id,
            owner=each.owner,
            tool=each.action.tool,
            arguments=plain(each.action.arguments),
            state=each.state,
            asked=each.asked,
        )
        for each in proposal.past
    )
    shown = ProposalView(patterns=proposal.patterns, past=past)
    return AskedView(**dict(approval_view(approval)), form=_form(approval), proposal=shown)


def rule_view(rule: Rule) -> RuleView:
    """A rule as it is shown."""
    return RuleView.model_validate(rule, from_attributes=True)


def _form(approval: Approval) -> FormView:
    form = written((approval,))
    return FormView(
        action_requests=tuple(
            ActionView(name=each["name"], args=plain(each["args"]), description=each["description"])
            for each in form["action_requests"]
        ),
        review_configs=tuple(
            ReviewView(action_name=each["action_name"], allowed_decisions=tuple(each["allowed_decisions"]))
            for each in form["review_configs"]
        ),
        approvals=tuple(plain(cast("JsonObject", each)) for each in form.get("approvals", [])),
    )


def plain(value: JsonObject) -> dict[str, JsonValue]:
    """Mappings and tuples of any kind as JSON's own."""

    def made(each: object) -> object:
        if isinstance(each, Mapping):
            return {key: made(item) for key, item in cast("Mapping[str, object]", each).items()}
        if isinstance(each, (list, tuple)):
            return [made(item) for item in cast("list[object]", each)]
        return each

    return cast("dict[str, JsonValue]", made(value))
