"""What a batch needs of whoever runs its jobs: a port, so that the engine or a guest's client can serve it.

Owns `Runs` and what comes back of a run, and the decisions a result leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from infrastructure.ids import RunId
from infrastructure.storage.runs import RequestKey
from infrastructure.tasks import RunResult, Status, TaskSpec

Verdict = Literal["passed", "unverified", "failed"]

FINAL: frozenset[Status] = frozenset({"done", "unverified", "failed", "budget"})
"""Statuses that finish a job for good. The others say nothing of the job, and run again with the next command."""

_MAY_PASS = frozenset(
    {"NoServerAvailable", "ServerUnreachable", "ServerBusy", "StreamBroken", "PoolSaturated", "QueueTimeout"}
)
"""Errors of a server that went away or had too much to do: the job is begun again, a few times."""
_EVERYONES = frozenset(
    {
        "ModelNotFound",
        "ModelNowhere",
        "NoModel",
        "NotAuthorized",
        "CloudModelRefused",
        "NoSandbox",
        "GitMissing",
        "DiskFull",
        "ReadOnly",
        "StorageError",
        "CorruptDatabase",
        "StorageBusy",
    }
)
"""Errors that every further job would meet too."""
TRIES = 3
"""Times a job is begun in one command because its server went away."""


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run that a key began, and whether it is finished; one that is not can go on."""

    run: RunId
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """A run's result, and what its events say beyond it. Times are in milliseconds, over all its calls."""

    result: RunResult
    resting: bool = False
    """Interrupted: it can go on, and has no result yet."""
    models: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    queue_ms: int = 0
    load_ms: int = 0
    prefill_ms: int = 0
    decode_ms: int = 0
    replayed: bool = False
    """Whether recorded answers were used, because it was begun more than once."""
    started: datetime | None = None
    ended: datetime | None = None


class Runs(Protocol):
    """Runs begun by keys that the batch chooses, so that it can write a key down before the run exists.

    Every method may be called again after a crash of either side. A cancelled `outcome` leaves the run going.
    """

    async def known(self, key: RequestKey) -> KnownRun | None:
        """The run that this key began; None when it began none, or that was cleaned away."""
        ...

    async def ensure(self, key: RequestKey, spec: TaskSpec) -> RunId:
        """Begin the run of this key, or go on with it; one that is going, or finished, is left alone.

        Raises:
            NoServerAvailable: no server answers now; nothing was begun.
            TaskRefused, NotADirectory: the task cannot be taken as it is.
            NoModel, ModelNotFound, CloudModelRefused: no task can.
        """
        ...

    async def outcome(self, run: RunId) -> RunOutcome:
        """What came of it, when it is finished or rests."""
        ...

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop it at a step; nothing to do when it is not going."""
        ...

    def slots(self) -> int:
        """Parallel places of all servers together, at least 1."""
        ...


def verdict_of(result: RunResult, *, has_tests: bool) -> Verdict | None:
    """What a result says of its job; None when it says nothing.

    A run that took the job for a question and answered it is done, but no test shows anything: where the job gave
    tests, that is a failure.
    """
    if result.status not in FINAL:
        return None
    if result.status == "done" and result.judge in ("given", "found"):
        return "passed"
    if result.status == "unverified" or (result.status == "done" and not has_tests):
        return "unverified"
    return "failed"


def after_result(result: RunResult, tries: int) -> Literal["record", "again", "stop"]:
    """What a result leads to.

    Args:
        result: Of a run that is over.
        tries: How often this command has begun the job, this time included.
    """
    if result.status != "error" or result.error is None:
        return "record"
    if result.error.error_class in _EVERYONES:
        return "stop"
    return "again" if result.error.error_class in _MAY_PASS and tries < TRIES else "record"
