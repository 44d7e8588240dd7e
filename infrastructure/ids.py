"""Identifiers: what kinds there are, and how a new one is made (UUIDv7: sortable by time)."""

from __future__ import annotations

from typing import NewType

import uuid_utils

RunId = NewType("RunId", str)
ApprovalId = NewType("ApprovalId", str)


def new_run_id() -> RunId:
    """A fresh run id, later than every earlier one of this machine."""
    return RunId(str(uuid_utils.uuid7()))
