"""Owns what is logged of the simulated server: requests, slots, loads and unloads, toxics that struck.

Times are those of the event loop's clock, in seconds.
"""

from dataclasses import dataclass
from enum import StrEnum

from infrastructure.simulator.toxics import ToxicKind


class Outcome(StrEnum):
    """How a request ended, seen from the server."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(slots=True)
class RequestRecord:
    """One request to a model. Filled in as it goes on; read it, do not write it."""

    number: int
    route: str
    model: str
    received_at: float
    client_id: str | None = None
    """The request's `X-Request-Id`, if the client sent one."""
    outcome: Outcome = Outcome.RUNNING
    status: int | None = None
    seed: int = -1
    """The `seed` that it was asked with; -1 without one."""
    prompt_tokens: int = 0
    truncated: bool = False
    """Whether a part of the prompt was dropped or cut to fit the window."""
    cached_tokens: int = 0
    """Of the prompt, that were known already."""
    restored_tokens: int = 0
    """Of those, that had to be taken back from memory."""
    prefilled_tokens: int = 0
    """Of the prompt, that were evaluated."""
    tokens_made: int = 0
    tokens_after_leaving: int = 0
    """Made though the client had gone."""
    slot: int | None = None
    slot_taken_at: float | None = None
    first_token_at: float | None = None
    left_at: float | None = None
    slot_freed_at: float | None = None
    ended_at: float | None = None

    @property
    def wait_seconds(self) -> float | None:
        """From the request's arrival to its slot: queues and load together; None where it got none."""
        return None if self.slot_taken_at is None else self.slot_taken_at - self.received_at

    @property
    def cancel_seconds(self) -> float | None:
        """From the client's leaving to the slot being free; None where it did not leave in a slot."""
        if self.left_at is None or self.slot_freed_at is None or self.slot_freed_at < self.left_at:
            return None
        return self.slot_freed_at - self.left_at


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """A slot taken by one request from `start` to `end`."""

    model: str
    slot: int
    request: int
    start: float
    end: float


class LoadOutcome(StrEnum):
    """How a load ended."""

    READY = "ready"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Load:
    """A model brought into memory, or an attempt at it."""

    model: str
    num_ctx: int
    start: float
    end: float
    outcome: LoadOutcome


class UnloadReason(StrEnum):
    """Why a model went out of memory."""

    EXPIRED = "expired"
    ASKED = "asked"
    EVICTED = "evicted"
    RELOAD = "reload"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Unload:
    """A model taken out of memory."""

    model: str
    at: float
    reason: UnloadReason


@dataclass(frozen=True, slots=True)
class Strike:
    """A toxic that hit a request."""

    kind: ToxicKind
    path: str
    at: float
