"""What a run is on disk: its states, the moves between them, its record, and why one cannot be found or changed.

Owns these as values; `storage/runs.py` is the table.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from typing_extensions import TypedDict

from infrastructure.ids import RunId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """For a person."""
    INTERRUPTED = "interrupted"
    """It can go on."""
    FINISHED = "finished"


MOVES: Final[Mapping[RunState, frozenset[RunState]]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.INTERRUPTED, RunState.FINISHED}),
    RunState.RUNNING: frozenset({RunState.QUEUED, RunState.WAITING, RunState.INTERRUPTED, RunState.FINISHED}),
    RunState.WAITING: frozenset({RunState.QUEUED, RunState.RUNNING, RunState.INTERRUPTED, RunState.FINISHED}),
    RunState.INTERRUPTED: frozenset({RunState.QUEUED, RunState.RUNNING, RunState.FINISHED}),
    RunState.FINISHED: frozenset(),
}
"""Where a run may go from each state. RUNNING to QUEUED is the next holder's, after the last one was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the table has it. Times are aware, in UTC."""

    run: RunId
    thread: str
    task: str
    repo: str
    request_json: str
    """How the run was asked for: all that is needed to begin it again."""
    state: RunState
    status: str = ""
    """done · unverified · failed · budget · needs_input · cancelled · error, once it is finished."""
    judge: str = ""
    result_json: str = ""
    created: datetime
    started: datetime | None = None
    """When it first began."""
    ended: datetime | None = None
    execution: int = 0
    """How many times it was begun."""
    owner: str = ""
    """Who began it last."""
    reason: str = ""
    """Why it waits or was interrupted."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The name a caller gave its request, and what it asked for."""

    key: str
    sha: str

    @classmethod
    def of(cls, key: str, asked: Mapping[str, object]) -> RequestKey:
        """A request by what it asks for, as JSON; what is empty is as if it were not there."""
        given = json.dumps({name: value for name, value in asked.items() if value}, sort_keys=True)
        return cls(key, hashlib.sha256(given.encode()).hexdigest())


UNNAMED = RequestKey("", "")
"""Of a request without a name, as it is kept."""


class RunChanges(TypedDict, total=False):
    """What may be written along with a new state."""

    status: str
    judge: str
    result_json: str
    owner: str
    reason: str


class RunError(Exception):
    """A run cannot be found or changed as asked."""


class UnknownRun(RunError):
    """No run has this id, or an id that begins so."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        super().__init__(f"no run {asked!r}")


class AmbiguousRun(RunError):
    """Several runs have an id that begins so; `matches` has the newest of them."""

    def __init__(self, asked: str, matches: tuple[RunId, ...]) -> None:
        self.asked, self.matches = asked, matches
        super().__init__(f"{asked!r} could be any of {', '.join(matches)}")


class RunExists(RunError):
    """There is a run of this id already."""

    def __init__(self, run: RunId) -> None:
        self.run = run
        super().__init__(f"run {run} exists already")


class KeyReused(RunError):
    """The request's key stands for another request."""

    def __init__(self, key: str, run: RunId) -> None:
        self.key, self.run = key, run
        self.hint = "Use a new key for a new request."
        super().__init__(f"the key {key!r} was used for another request: run {run}")


class IllegalMove(RunError):
    """A run cannot go from its state to the one asked for."""

    def __init__(self, run: RunId, state: RunState, wanted: RunState) -> None:
        self.run, self.state, self.wanted = run, state, wanted
        super().__init__(f"run {run} is {state} and cannot become {wanted}")
