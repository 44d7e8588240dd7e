"""Identifiers: what kinds there are, and how a new one is made (UUIDv7: sortable by time)."""

from __future__ import annotations

from typing import NewType

import uuid_utils

RunId = NewType("RunId", str)
ApprovalId = NewType("ApprovalId", str)
SessionId = NewType("SessionId", str)
"""A conversation; LangGraph's thread has the same id, and its events stand in the log under it as a run's do."""
TurnId = NewType("TurnId", str)
"""One message of a person and all that agents do until they are done with it."""

SYSTEM = RunId("system")
"""The name under which the log has what belongs to no run and no session."""


def new_id() -> str:
    """A fresh id, later than every earlier one of this machine."""
    return str(uuid_utils.uuid7())


def new_run_id() -> RunId:
    """A fresh run id."""
    return RunId(new_id())
