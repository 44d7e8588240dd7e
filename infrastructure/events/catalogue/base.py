"""What every event has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """Something that happened in a run. The log adds run, sequence, time and execution around it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    node: str = ""
    """The step it happened in; empty for the run as a whole."""
    candidate: int | None = None
    """Which candidate it belongs to, where there are several."""
    round: int = 0
    """Which plan it belongs to: 0 before the first, 1 for the first."""
