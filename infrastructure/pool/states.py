"""Every state a call, a slot and a server can be in, and the only ways from one to the next.

Owns the tables. Whoever has a state looks at its table for each change, so a way that is not in it is a bug that shows
itself at once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Band(StrEnum):
    """Whose turn it is: a person waiting, a job that may take its time, a guess that may turn out useless."""

    order: int
    """Smaller goes first."""

    def __new__(cls, value: str, order: int) -> Self:
        """A band by its name and place."""
        band = str.__new__(cls, value)
        band._value_ = value
        band.order = order
        return band

    INTERACTIVE = "interactive", 0
    BATCH = "batch", 1
    SPECULATIVE = "speculative", 2


INTERACTIVE, BATCH, SPECULATIVE = Band.INTERACTIVE, Band.BATCH, Band.SPECULATIVE
"""For what is asked at every decision: a member that is looked up by its class costs ten times a name (measured)."""


class CallState(StrEnum):
    """The life of a call. Only the first three that follow QUEUED and STREAMING hold a slot."""

    QUEUED = "queued"
    PLACED = "placed"
    """A slot is its own; nothing has been sent."""
    CONNECTING = "connecting"
    WAITING = "waiting"
    """Sent, and no byte back yet: the server queues, loads the model or evaluates the prompt."""
    STREAMING = "streaming"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    """Its slot was taken for a higher band: it is queued again, or fails if the caller has had a part already."""

    @property
    def holds_slot(self) -> bool:
        """Whether a call in this state is in flight."""
        return self in _IN_FLIGHT

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return not CALL_STEPS[self]


_IN_FLIGHT = frozenset({CallState.PLACED, CallState.CONNECTING, CallState.WAITING, CallState.STREAMING})

_ENDS = frozenset({CallState.FAILED, CallState.CANCELLED, CallState.PREEMPTED})

CALL_STEPS: Mapping[CallState, frozenset[CallState]] = {
    CallState.QUEUED: frozenset({CallState.PLACED, CallState.FAILED, CallState.CANCELLED}),
    # An attempt that failed before its first byte goes back to the queue, to be placed elsewhere.
    CallState.PLACED: frozenset({CallState.CONNECTING, CallState.QUEUED}) | _ENDS,
    CallState.CONNECTING: frozenset({CallState.WAITING, CallState.QUEUED}) | _ENDS,
    # A call that has no stream (an embedding) is done without streaming.
    CallState.WAITING: frozenset({CallState.STREAMING, CallState.DONE, CallState.QUEUED}) | _ENDS,
    CallState.STREAMING: frozenset({CallState.DONE}) | _ENDS,
    CallState.PREEMPTED: frozenset({CallState.QUEUED, CallState.FAILED, CallState.CANCELLED}),
    CallState.DONE: frozenset(),
    CallState.FAILED: frozenset(),
    CallState.CANCELLED: frozenset(),
}


class SlotState(StrEnum):
    """A slot is given back only when the connection is closed: until then the server may still be at work."""

    FREE = "free"
    BUSY = "busy"
    CANCELLING = "cancelling"


SLOT_STEPS: Mapping[SlotState, frozenset[SlotState]] = {
    SlotState.FREE: frozenset({SlotState.BUSY}),
    SlotState.BUSY: frozenset({SlotState.FREE, SlotState.CANCELLING}),
    SlotState.CANCELLING: frozenset({SlotState.FREE}),
}


class Health(StrEnum):
    """What is known of a server. Nothing is known of any until the first call."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class BadTransition(RuntimeError):
    """A state was left for one that cannot follow it; this is a defect of the pool."""

    def __init__(self, before: StrEnum, after: StrEnum) -> None:
        self.before = before
        self.after = after
        super().__init__(f"{type(before).__name__} cannot go from {before} to {after}")
