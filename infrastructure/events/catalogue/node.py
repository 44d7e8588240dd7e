"""The steps of the graph."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class NodeStarted(Event):
    """A step began. After a crash it begins again, in a later execution, which replaces this one."""

    kind: Literal["node.started"] = "node.started"


class NodeCompleted(Event):
    """A step ended."""

    kind: Literal["node.completed"] = "node.completed"
    seconds: float


class NodeFailed(Event):
    """A step raised an error, which ends the run."""

    kind: Literal["node.failed"] = "node.failed"
    error_class: str
    error_message: str


class NodeWaiting(Event):
    """A step waits for a person."""

    kind: Literal["node.waiting"] = "node.waiting"
