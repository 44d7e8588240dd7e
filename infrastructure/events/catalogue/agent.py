"""Agents of a session, and which of them speaks."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class AgentStarted(Event):
    """An agent began to answer."""

    kind: Literal["agent.started"] = "agent.started"
    agent: str
    turn: str


class AgentCompleted(Event):
    """It came to the end of its answer."""

    kind: Literal["agent.completed"] = "agent.completed"
    agent: str
    turn: str
    messages: int = 0


class AgentFailed(Event):
    """It could not answer."""

    kind: Literal["agent.failed"] = "agent.failed"
    agent: str
    turn: str
    error_class: str
    error_message: str


class AgentSwitched(Event):
    """Another agent speaks from here on."""

    kind: Literal["agent.switched"] = "agent.switched"
    previous: str
    agent: str
    reason: str = ""
    by: Literal["agent", "person"] = "agent"
