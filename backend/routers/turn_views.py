"""What the routes about turns take and answer: messages, what a turn waits for, what a client did, an undo.

Owns the public shape of these. Fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, JsonValue

from backend.routers.approval_views import ApprovalView, approval_view, plain
from infrastructure.conversation.calls import CallRecord, CallState
from infrastructure.conversation.saying import Said
from infrastructure.sessions.approvals import Approval

_CALL: dict[str, JsonValue] = {
    "call": "0199c0df0a1b-3-0",
    "turn": "0199c0df-0a1b-7c2d-9e3f-4a5b6c7d8e9f",
    "tool": "open_tab",
    "arguments": {"path": "cli.py"},
}
TURN_EXAMPLE = "0199c0df-0a1b-7c2d-9e3f-4a5b6c7d8e9f"


class ClientCallView(BaseModel):
    """A call that the client is to do."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _CALL})

    call: str
    turn: str
    tool: str
    arguments: dict[str, JsonValue]


class WaitingView(BaseModel):
    """What a session waits for."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"approvals": [], "client_calls": [_CALL]}})

    approvals: tuple[ApprovalView, ...]
    client_calls: tuple[ClientCallView, ...]


class NewMessage(BaseModel):
    """What a person says."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"example": {"text": "Add --json to this CLI.", "agent": None}}
    )

    text: str
    images: tuple[str, ...] = ()
    """PNG or JPEG in base64, eight and 7 MB together at most; only where the agent's model can see."""
    agent: str | None = None
    """Who is to answer; null: whoever spoke last."""
    unattended: bool = False
    """Nobody is there to be asked: tools that would ask are left out, and the answer says which."""

    def said(self, key: str = "") -> Said:
        """The message, under the name that the client gave its request."""
        return Said(self.text, self.agent, self.unattended, key, self.images)


class TurnView(BaseModel):
    """The turn that a message began."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"turn": TURN_EXAMPLE}})

    turn: str


class UndoneView(BaseModel):
    """What came of taking a write back."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {"ok": True, "path": "a.py", "text": "a.py is as it was before", "call": _CALL["call"]}
        },
    )

    ok: bool
    """False: nothing was; the text says why."""
    path: str
    text: str
    call: str
    """The call that wrote it."""


class ToolResultBody(BaseModel):
    """What came of a call that the client did."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"example": {"content": "opened", "ok": True}}
    )

    content: str
    ok: bool = True


class ToolResultView(BaseModel):
    """Whether a result was taken."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"call": _CALL["call"], "taken": True}})

    call: str
    taken: bool
    """False: there was one already, which stands."""


def waiting_view(approvals: Sequence[Approval], calls: Sequence[CallRecord]) -> WaitingView:
    """What a session waits for; `calls` are all that wait, those of people among them."""
    return WaitingView(
        approvals=tuple(map(approval_view, approvals)),
        client_calls=tuple(
            ClientCallView(call=each.call, turn=each.turn, tool=each.tool, arguments=plain(each.arguments))
            for each in calls
            if each.state is CallState.WAITING
        ),
    )
