"""Tool calls of a session, from the wish to the result."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class ToolEvent(Event):
    """`call` is unique in its session."""

    call: str
    tool: str


class ToolRequested(ToolEvent):
    """A model asked for it; the arguments are in the message."""

    kind: Literal["tool.requested"] = "tool.requested"
    where: Literal["local", "client"]
    danger: str = ""


class ToolApprovalRequired(ToolEvent):
    """It waits until a person has said yes."""

    kind: Literal["tool.approval_required"] = "tool.approval_required"
    approval: str
    why: str = ""


class ToolStarted(ToolEvent):
    """It is being done, here or by the client."""

    kind: Literal["tool.started"] = "tool.started"
    where: Literal["local", "client"] = "local"


class ToolCompleted(ToolEvent):
    """Its result is in the session."""

    kind: Literal["tool.completed"] = "tool.completed"
    number: int
    """Of the message that holds the result."""
    seconds: float = 0.0
    sandbox: str = ""
    """The level of the sandbox that a program was run in."""


class ToolFailed(ToolEvent):
    """It was not done, or went wrong; the model is told why."""

    kind: Literal["tool.failed"] = "tool.failed"
    number: int
    error_class: str
    error_message: str
    sandbox: str = ""
    """As above."""
