"""What a person is asked before something is done, and what they may say. Pure.

Owns the values of approvals and decisions, the hash that binds an approval to exactly what was shown, and the errors
of everything that an approval can be used for wrongly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias, cast

from agents.model import JsonObject
from infrastructure.danger.levels import Danger
from infrastructure.ids import ApprovalId

Gate: TypeAlias = Literal["plan", "patch", "behaviour", "tool"]
Scope: TypeAlias = Literal["once", "run", "project", "always"]
DecisionKind: TypeAlias = Literal["approve", "edit", "reject", "respond"]

ALL_DECISIONS: tuple[DecisionKind, ...] = ("approve", "edit", "reject", "respond")


class ApprovalState(StrEnum):
    """How far an approval is."""

    PENDING = "pending"
    DECIDED = "decided"
    """It has an answer that nobody has acted on yet."""
    USED = "used"
    """What was approved was begun; it never is again under this approval."""
    EXPIRED = "expired"
    """Nobody came in time, which is a no."""
    WITHDRAWN = "withdrawn"
    """Whoever asked no longer waits."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Yes, as it was shown."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """Yes, with these arguments instead. They are what the approval is bound to from here on."""

    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Reject:
    """No, and why."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Respond:
    """Not done: this text is given as its result, or as the answer to what was asked."""

    text: str


Decision: TypeAlias = Approve | Edit | Reject | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """One thing that wants to be done.

    Attributes:
        tool: Its tool; of a gate of a run the gate's name.
        arguments: Exactly what the tool would be given.
        description: What a person reads: a command, a diff, a question.
        danger: How dangerous it is, as code judged it.
        why: Why it is asked about, in words.
    """

    tool: str
    arguments: JsonObject
    description: str = ""
    danger: Danger = Danger.ASKS
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A question to a person, and how far it is.

    Attributes:
        owner: The session or run that waits.
        key: What it is asked for there; asking again under it asks once.
        workspace: The folder that the action works in; empty where there is none. Rules of a project belong to it.
        allowed: What may be decided.
        sha: Of what may be done: the arguments as asked, or as edited.
        nonce: Names this very question; an answer without it may be one to an older question.
        scope: How far the yes reaches; `patterns` are then the rules that were made of it, as they are shown.
        by: Who decided: a door or client, `rule`, `time`, or `sandbox:` with the level that holds the call.
        rule: The rule that decided.
    """

    id: ApprovalId
    owner: str
    key: str
    gate: Gate
    action: ActionRequest
    workspace: str
    allowed: tuple[DecisionKind, ...]
    sha: str
    nonce: str
    state: ApprovalState
    asked: datetime
    expires: datetime | None = None
    decision: Decision | None = None
    scope: Scope = "once"
    patterns: tuple[str, ...] = ()
    by: str = ""
    rule: str = ""
    decided: datetime | None = None
    used: datetime | None = None

    @property
    def arguments(self) -> JsonObject:
        """What may be done, if the answer is yes: as asked, or as edited."""
        return self.decision.arguments if isinstance(self.decision, Edit) else self.action.arguments

    @property
    def granted(self) -> bool:
        """Whether the answer is yes. One that was given in words is one too where words were asked for."""
        if isinstance(self.decision, Respond):
            return self.gate == "behaviour"
        return isinstance(self.decision, (Approve, Edit))


class ApprovalError(Exception):
    """An approval cannot be used like this; `hint` says what to do next."""

    hint = "GET /api/v1/approvals lists what waits for an answer."


class UnknownApproval(ApprovalError):
    """There is no such approval."""

    def __init__(self, approval: str) -> None:
        super().__init__(f"no approval {approval!r}")


class ApprovalMismatch(ApprovalError):
    """The same key was used for another action."""

    hint = "Ask under another key: an approval is for one action only."

    def __init__(self, owner: str, key: str) -> None:
        super().__init__(f"{owner} asked for something else under {key!r} before")


class StaleApproval(ApprovalError):
    """The answer was given to an older question, or what is to be done is not what was shown."""

    hint = "Look at the question as it is now, and answer that."


class AlreadyDecided(ApprovalError):
    """Another answer was given before."""

    hint = "The first answer stands. Stop the run or session if it must not go on."

    def __init__(self, approval: str, state: str) -> None:
        super().__init__(f"approval {approval} has its answer already ({state})")


class ApprovalExpired(ApprovalError):
    """Nobody answered in time, which is a no."""

    hint = "Ask for it again: send a message, or go on with the run."

    def __init__(self, approval: str) -> None:
        super().__init__(f"approval {approval} waited too long, and counts as turned down")


class NotApproved(ApprovalError):
    """What is to be done was not approved: it waits for an answer, or the answer was no."""

    hint = "Nothing may be done before somebody has said yes."

    def __init__(self, approval: str, state: str) -> None:
        super().__init__(f"approval {approval} allows nothing ({state})")


class AlreadyUsed(ApprovalError):
    """The approval was used before: it is for one time."""

    hint = "Ask again for another time."

    def __init__(self, approval: str) -> None:
        super().__init__(f"approval {approval} was used before")


class DecisionRefused(ApprovalError):
    """The answer cannot be taken as it is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or "See `allowed` of the approval for what may be answered."


def kind_of(decision: Decision) -> DecisionKind:
    """Its name on the wire."""
    match decision:
        case Approve():
            return "approve"
        case Edit():
            return "edit"
        case Reject():
            return "reject"
        case Respond():
            return "respond"


def canonical(value: object) -> str:
    """JSON that is the same for the same value: sorted keys, no spaces, nothing that JSON lacks.

    Raises:
        ValueError: NaN, infinity, or something that JSON cannot say.
    """
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this cannot be said in JSON: {error}") from error


def sha_of(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal: what binds an approval to what was shown.

    Raises:
        ValueError: as `canonical`.
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def action_sha(action: ActionRequest) -> str:
    """What an approval of this action is bound to: the tool and its exact arguments."""
    return call_sha(action.tool, action.arguments)


def call_sha(tool: str, arguments: JsonObject) -> str:
    """The hash of a call: what `use` wants to see."""
    return sha_of({"tool": tool, "arguments": arguments})


def _plain(value: object) -> object:
    """Mappings and sequences of any kind as JSON's own. A key that is no text is refused, as two could become one."""
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        if not all(isinstance(key, str) for key in items):
            raise ValueError("a key of a JSON object must be text")
        return {key: _plain(item) for key, item in items.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    return value
