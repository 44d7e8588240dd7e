"""Approvals in the form that chat clients know, and their answers read back. Pure.

Owns both directions of LangChain's human-in-the-loop form: `action_requests` with `review_configs` out, `decisions`
in. Answers are read as clients send them, older names included; what cannot be meant is refused with what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NotRequired, cast

from typing_extensions import TypedDict

from agents.model import JsonObject, JsonValue
from infrastructure.sessions.approvals import (
    Approval,
    Approve,
    Decision,
    DecisionKind,
    DecisionRefused,
    Edit,
    Reject,
    Respond,
    canonical,
    kind_of,
)
from infrastructure.sessions.loaded import MOST_DEPTH, as_json, too_deep, whole

_HINT = 'Send {"decisions": [{"type": "approve"}]}, one for each action; the others are edit, reject and respond.'
_KINDS: Mapping[str, DecisionKind] = {
    "approve": "approve",
    "accept": "approve",
    "approved": "approve",
    "edit": "edit",
    "reject": "reject",
    "ignore": "reject",
    "rejected": "reject",
    "respond": "respond",
    "response": "respond",
}
_WORDS = ("message", "reason", "text", "feedback", "content", "response", "args")
"""Where clients put what a person wrote."""


class ActionForm(TypedDict):
    """One action as chat clients show it."""

    name: str
    args: JsonObject
    description: str


class ReviewForm(TypedDict):
    """What may be decided about one action."""

    action_name: str
    allowed_decisions: list[DecisionKind]


class ApprovalForm(TypedDict):
    """What of an approval the client's form has no place for; in the order of the actions."""

    approval: str
    nonce: str
    danger: str
    why: str


class RequestForm(TypedDict):
    """The value of LangGraph's `interrupt()`."""

    action_requests: list[ActionForm]
    review_configs: list[ReviewForm]
    approvals: NotRequired[list[ApprovalForm]]


def written(approvals: Sequence[Approval]) -> RequestForm:
    """The approvals as an interrupt's value."""
    return {
        "action_requests": [
            {"name": each.action.tool, "args": each.action.arguments, "description": each.action.description}
            for each in approvals
        ],
        "review_configs": [
            {"action_name": each.action.tool, "allowed_decisions": list(each.allowed)} for each in approvals
        ],
        "approvals": [
            {"approval": each.id, "nonce": each.nonce, "danger": each.action.danger, "why": each.action.why}
            for each in approvals
        ],
    }


def written_decision(decision: Decision, tool: str) -> JsonObject:
    """A decision as a chat client would send it."""
    match decision:
        case Approve():
            return {"type": "approve", **({"message": decision.reason} if decision.reason else {})}
        case Edit():
            return {"type": "edit", "edited_action": {"name": tool, "args": decision.arguments}}
        case Reject():
            return {"type": "reject", **({"message": decision.reason} if decision.reason else {})}
        case Respond():
            return {"type": "respond", "message": decision.text}


def read_decisions(answer: JsonValue, approvals: Sequence[Approval]) -> tuple[Decision, ...]:
    """A client's answer to these approvals, in their order.

    Accepts `{"decisions": […]}`, the list alone, one decision for one action, and any of them as JSON text.

    Raises:
        DecisionRefused: it cannot be read, there are more or fewer decisions than actions, or one is not allowed.
    """
    given = _listed(answer)
    if len(given) != len(approvals):
        raise DecisionRefused(f"{len(given)} decisions for {len(approvals)} actions", _HINT)
    return tuple(read_decision(each, approval) for each, approval in zip(given, approvals, strict=True))


def read_decision(given: JsonValue, approval: Approval) -> Decision:
    """One decision about one action.

    Raises:
        DecisionRefused: it cannot be read, or is not allowed there.
    """
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        raise DecisionRefused(f"a decision must be an object, not {_shortened(given)}", _HINT)
    name = given.get("type", given.get("decision"))
    kind = _KINDS.get(name.strip().casefold()) if isinstance(name, str) else None
    if kind is None:
        raise DecisionRefused(f"{_shortened(name)} is no decision", _HINT)
    decision = _decision(kind, given, approval)
    if kind_of(decision) not in approval.allowed:
        allowed = ", ".join(approval.allowed)
        raise DecisionRefused(f"{kind} is not allowed for {approval.action.tool}", f"Allowed are: {allowed}.")
    return decision


def _decision(kind: DecisionKind, given: JsonObject, approval: Approval) -> Decision:
    match kind:
        case "approve":
            return Approve(_said(given))
        case "reject":
            return Reject(_said(given))
        case "respond":
            if not (said := _said(given)):
                raise DecisionRefused("an answer in words needs some", 'Send {"type": "respond", "message": "…"}.')
            return Respond(said)
        case "edit":
            return Edit(_edited(given, approval.action.tool))


def _edited(given: JsonObject, tool: str) -> JsonObject:
    """The new arguments: of `edited_action`, or where older clients put them."""
    form = given.get("edited_action", given.get("args", given.get("arguments")))
    hint = f'Send {{"type": "edit", "edited_action": {{"name": "{tool}", "args": {{…}}}}}}.'
    if not isinstance(form, Mapping):
        raise DecisionRefused("an edit needs the new arguments, whole", hint)
    wrapped = set(form) <= {"name", "action", "args"} and isinstance(form.get("args"), Mapping)
    if "edited_action" in given and not wrapped:
        raise DecisionRefused("an edited action has a name and args", hint)
    if not wrapped:
        return _checked(form, hint)
    name = form.get("name", form.get("action", tool))
    if name != tool:
        raise DecisionRefused(
            f"an edit cannot make {tool} into {_shortened(name)}", "Reject it, and say what you want."
        )
    arguments = form["args"]
    if not isinstance(arguments, Mapping):
        raise DecisionRefused("the arguments of an edit must be an object", hint)
    return _checked(arguments, hint)


def _checked(arguments: JsonObject, hint: str) -> JsonObject:
    if too_deep(arguments):
        raise DecisionRefused(f"the arguments are nested deeper than {MOST_DEPTH}", hint)
    try:
        told = cast("JsonObject", json.loads(canonical(arguments)))
        return cast("JsonObject", json.loads(as_json(told)))  # without half characters
    except ValueError as error:
        raise DecisionRefused(str(error), hint) from error


def _said(given: JsonObject) -> str:
    for name in _WORDS:
        value = given.get(name)
        if isinstance(value, str) and value.strip():
            return whole(value.strip())
    return ""


def _listed(answer: JsonValue) -> Sequence[JsonValue]:
    if isinstance(answer, str) and answer.lstrip().startswith(("{", "[", '"')):
        try:
            answer = cast("JsonValue", json.loads(answer))
        except (ValueError, RecursionError) as error:
            raise DecisionRefused("the answer is no JSON", _HINT) from error
    if isinstance(answer, Mapping) and "decisions" in answer:
        answer = answer["decisions"]
        if isinstance(answer, (str, Mapping)) or not isinstance(answer, Sequence):
            raise DecisionRefused("`decisions` must be a list", _HINT)
    if isinstance(answer, (str, Mapping)):
        return (answer,)
    if not isinstance(answer, Sequence):
        raise DecisionRefused(f"{_shortened(answer)} is no answer", _HINT)
    return answer


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
