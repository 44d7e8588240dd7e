"""The tables `approvals` and `rules`, statement by statement.

Owns how an approval and a rule are written and read back. Every function works on the connection it is given, within
the transaction of whoever calls it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, cast

from agents.model import JsonObject
from infrastructure.danger.levels import Danger
from infrastructure.ids import ApprovalId
from infrastructure.sessions.approvals import (
    ActionRequest,
    Approval,
    ApprovalState,
    Approve,
    Decision,
    DecisionKind,
    Edit,
    Gate,
    Reject,
    Respond,
    Scope,
    UnknownApproval,
    canonical,
)
from infrastructure.sessions.rules import Rule
from infrastructure.storage.times import from_optional, from_text, to_optional, to_text

_COLUMNS = (
    "approval, owner, key, gate, workspace, request_json, sha, nonce, state, decision_json, asked, expires,"
    " decided, used"
)
_RULE_COLUMNS = "rule, scope, owner, tool, pattern, made, by, approval"
_Json: TypeAlias = "Mapping[str, object]"


def find(connection: sqlite3.Connection, approval: str) -> Approval:
    """The approval of this id.

    Raises:
        UnknownApproval: there is none.
    """
    row = connection.execute(f"SELECT {_COLUMNS} FROM approvals WHERE approval = ?", (approval,)).fetchone()
    if row is None:
        raise UnknownApproval(approval)
    return _approval(row)


def keyed(connection: sqlite3.Connection, owner: str, key: str) -> Approval | None:
    """What was asked under this key, if anything was."""
    sql = f"SELECT {_COLUMNS} FROM approvals WHERE owner = ? AND key = ?"
    row = connection.execute(sql, (owner, key)).fetchone()
    return None if row is None else _approval(row)


def pending(connection: sqlite3.Connection, owner: str | None) -> tuple[Approval, ...]:
    """What waits for an answer, of one owner or of all, in the order it was asked."""
    where, values = ("", ()) if owner is None else (" AND owner = ?", (owner,))
    sql = f"SELECT {_COLUMNS} FROM approvals WHERE state = 'pending'{where} ORDER BY asked, approval"
    return tuple(map(_approval, connection.execute(sql, values)))


def last_of(connection: sqlite3.Connection, tool: str, limit: int) -> tuple[Approval, ...]:
    """The last calls of a tool that a person was asked about, newest first."""
    sql = f"SELECT {_COLUMNS} FROM approvals WHERE tool = ? ORDER BY asked DESC, approval DESC LIMIT ?"
    return tuple(map(_approval, connection.execute(sql, (tool, limit))))


def next_expiry(connection: sqlite3.Connection) -> datetime | None:
    """When the first of those that wait runs out."""
    sql = "SELECT MIN(expires) FROM approvals WHERE state = 'pending' AND expires IS NOT NULL"
    return from_optional(connection.execute(sql).fetchone()[0])


def keep(connection: sqlite3.Connection, approval: Approval) -> None:
    """Write an approval as it now is."""
    values = (
        approval.id,
        approval.owner,
        approval.key,
        approval.gate,
        approval.action.tool,
        approval.workspace,
        _request_json(approval),
        approval.sha,
        approval.nonce,
        approval.state,
        _decision_json(approval),
        to_text(approval.asked),
        to_optional(approval.expires),
        to_optional(approval.decided),
        to_optional(approval.used),
    )
    connection.execute(
        "INSERT INTO approvals (approval, owner, key, gate, tool, workspace, request_json, sha, nonce, state,"
        f" decision_json, asked, expires, decided, used) VALUES ({', '.join('?' * len(values))})"
        " ON CONFLICT (approval) DO UPDATE SET request_json = excluded.request_json, sha = excluded.sha,"
        " nonce = excluded.nonce, state = excluded.state, decision_json = excluded.decision_json,"
        " asked = excluded.asked,"
        " expires = excluded.expires, decided = excluded.decided, used = excluded.used",
        values,
    )


def rules_for(
    connection: sqlite3.Connection, owner: str | None = None, workspace: str | None = None
) -> tuple[Rule, ...]:
    """The rules that hold for an owner in a workspace, oldest first; all there are where neither is given."""
    sql, values = f"SELECT {_RULE_COLUMNS} FROM rules", tuple[str, ...]()
    if owner is not None or workspace is not None:
        sql += " WHERE scope = 'always' OR (scope = 'run' AND owner = ?)"
        sql += " OR (scope = 'project' AND owner = ? AND owner <> '')"
        values = (owner or "", workspace or "")
    return tuple(map(_rule, connection.execute(f"{sql} ORDER BY made, rule", values)))


def add_rule(connection: sqlite3.Connection, rule: Rule) -> Rule:
    """Keep a rule; one that says the same already stands instead."""
    same = connection.execute(
        f"SELECT {_RULE_COLUMNS} FROM rules WHERE scope = ? AND owner = ? AND tool = ? AND pattern = ?",
        (rule.scope, rule.owner, rule.tool, rule.pattern),
    ).fetchone()
    if same is not None:
        return _rule(same)
    connection.execute(
        f"INSERT INTO rules ({_RULE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (rule.id, rule.scope, rule.owner, rule.tool, rule.pattern, to_text(rule.made), rule.by, rule.approval),
    )
    return rule


def delete_rule(connection: sqlite3.Connection, rule: str) -> bool:
    """Whether there was one to delete."""
    return connection.execute("DELETE FROM rules WHERE rule = ?", (rule,)).rowcount == 1


def _request_json(approval: Approval) -> str:
    action = approval.action
    return canonical(
        {
            "tool": action.tool,
            "arguments": action.arguments,
            "description": action.description,
            "danger": action.danger,
            "why": action.why,
            "allowed": approval.allowed,
        }
    )


def _decision_json(approval: Approval) -> str:
    if approval.decision is None and not approval.by:
        return ""
    said: dict[str, object] = {}
    match approval.decision:
        case Approve(reason):
            said = {"type": "approve", "reason": reason}
        case Edit(arguments):
            said = {"type": "edit", "arguments": arguments}
        case Reject(reason):
            said = {"type": "reject", "reason": reason}
        case Respond(text):
            said = {"type": "respond", "text": text}
        case None:
            pass
    return canonical(
        {**said, "scope": approval.scope, "patterns": approval.patterns, "by": approval.by, "rule": approval.rule}
    )


def _approval(row: tuple[str, ...]) -> Approval:
    approval, owner, key, gate, workspace, request, sha, nonce, state, decision, asked, expires, decided, used = row
    asked_for = cast("_Json", json.loads(request))
    told = Approval(
        id=ApprovalId(approval),
        owner=owner,
        key=key,
        gate=cast("Gate", gate),
        action=ActionRequest(
            tool=str(asked_for["tool"]),
            arguments=cast("JsonObject", asked_for["arguments"]),
            description=str(asked_for["description"]),
            danger=Danger(str(asked_for["danger"])),
            why=str(asked_for["why"]),
        ),
        workspace=workspace,
        allowed=tuple(cast("list[DecisionKind]", asked_for["allowed"])),
        sha=sha,
        nonce=nonce,
        state=ApprovalState(state),
        asked=from_text(asked),
        expires=from_optional(expires),
        decided=from_optional(decided),
        used=from_optional(used),
    )
    return told if not decision else _with_decision(told, cast("_Json", json.loads(decision)))


def _with_decision(approval: Approval, said: _Json) -> Approval:
    return replace(
        approval,
        decision=_decision(said),
        scope=cast("Scope", said["scope"]),
        patterns=tuple(cast("list[str]", said["patterns"])),
        by=str(said["by"]),
        rule=str(said["rule"]),
    )


def _decision(said: _Json) -> Decision | None:
    match said.get("type"):
        case "approve":
            return Approve(str(said["reason"]))
        case "edit":
            return Edit(cast("JsonObject", said["arguments"]))
        case "reject":
            return Reject(str(said["reason"]))
        case "respond":
            return Respond(str(said["text"]))
        case _:
            return None


def _rule(row: tuple[str, ...]) -> Rule:
    rule, scope, owner, tool, pattern, made, by, approval = row
    return Rule(
        id=rule,
        scope=cast("Scope", scope),
        owner=owner,
        tool=tool,
        pattern=pattern,
        made=from_text(made),
        by=by,
        approval=approval,
    )
