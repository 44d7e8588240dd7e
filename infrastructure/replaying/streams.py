"""What a run did, in an order that two executions of it share.

Owns the passage from the log to streams of steps. Candidates run side by side, so their events mix by chance: each has
a stream of its own, and the run as a whole has one; between streams only the order counts in which candidates ended.
A step that ran again after a crash counts once, as it went the last time. What tells of time, servers and streamed text
is left out; everything that a model, a tool or a person said, and all that was made of it, stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.model import JsonValue
from infrastructure.events.catalogue import (
    AnyEvent,
    BudgetSpent,
    CallCompleted,
    CallFailed,
    CallReplayed,
    CandidateEnded,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
)
from infrastructure.events.log import Stored
from infrastructure.workflow.budget import BudgetName

Said = Mapping[str, JsonValue]
"""An event, but for what differs between two executions."""

_PASSING = frozenset(
    {
        "run.created",
        "run.started",
        "run.interrupted",
        "run.finished",
        "call.queued",
        "call.placed",
        "call.waiting",
        "call.began",
        "call.text",
        "call.restarted",
        "call.trimmed",
        "call.doubted",
        "node.waiting",
        "approval.asked",  # told when the run rests; what it asks was told by the plan or the patch
        "work.patch_applied",  # after the end
    }
)
_OUTER = "coder"
"""The step that is a candidate as a whole; the steps inside it have a stream of their own."""


@dataclass(frozen=True, slots=True, order=True)
class StreamKey:
    """The run as a whole (0), a candidate as a step of it, or the steps inside a candidate."""

    candidate: int = 0
    inner: bool = False

    @classmethod
    def of(cls, node: str, candidate: int | None) -> StreamKey:
        """Where a step belongs."""
        return cls() if candidate is None else cls(candidate, inner=node != _OUTER)

    def __str__(self) -> str:
        if not self.candidate:
            return "the run"
        return f"inside candidate {self.candidate}" if self.inner else f"candidate {self.candidate}"


@dataclass(slots=True)
class Taken:
    """One step as it was taken: its events from `node.started` on."""

    key: StreamKey
    node: str
    round: int
    execution: int
    seq: int
    events: list[AnyEvent] = field(default_factory=list["AnyEvent"])

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return any(isinstance(event, NodeCompleted) for event in self.events)

    @property
    def failed(self) -> NodeFailed | None:
        """What it failed with."""
        return next((event for event in self.events if isinstance(event, NodeFailed)), None)

    @property
    def spent(self) -> BudgetSpent | None:
        """The budget that ran out in it."""
        return next((event for event in self.events if isinstance(event, BudgetSpent)), None)

    def call_failed(self, call: str) -> CallFailed | None:
        """What one of its calls failed with."""
        return next((event for event in self.events if isinstance(event, CallFailed) and event.call == call), None)


@dataclass(frozen=True, slots=True)
class Course:
    """A whole run.

    Attributes:
        streams: The steps of each stream, in their order.
        endings: Round, number and outcome of each candidate that ended, in the order in which they first did.
        reasons: Why each of them ended so.
        budgets: Where in the log each budget was found spent: execution, number, name.
    """

    streams: Mapping[StreamKey, Sequence[Taken]]
    endings: Sequence[tuple[int, int, str]]
    budgets: Sequence[tuple[int, int, BudgetName]]
    reasons: Mapping[int, str]

    def cut(self, key: StreamKey) -> bool:
        """Whether a stream was broken off: stopped, or lost, or waiting, in the middle of a step or between two."""
        if key.inner:
            return self.outcome_of(key.candidate) in (None, "lost")
        steps = self.streams.get(key, ())
        if not steps or not steps[-1].whole:
            return True
        return not key.candidate and not _ends_run(steps[-1])

    def outcome_of(self, candidate: int) -> str | None:
        """How a candidate ended; None for one that did not."""
        return next((outcome for _, number, outcome in self.endings if number == candidate), None)

    @property
    def open(self) -> frozenset[int]:
        """The candidates that were begun and never ended."""
        begun = {key.candidate for key in self.streams if key.candidate and not key.inner}
        return frozenset(begun - {number for _, number, _ in self.endings})

    def spent_before(self, step: Taken) -> BudgetName | None:
        """The budget that its execution had found spent when a step began."""
        spent: BudgetName | None = None
        for execution, seq, name in self.budgets:
            if execution == step.execution and seq < step.seq:
                spent = name
        return spent


def course_of(events: Iterable[Stored]) -> Course:
    """Order a run's events."""
    streams: dict[StreamKey, list[Taken]] = {}
    endings: dict[int, tuple[int, int, str]] = {}
    reasons: dict[int, str] = {}
    budgets: list[tuple[int, int, BudgetName]] = []
    for stored in events:
        event = stored.event
        if isinstance(event, CandidateEnded) and event.candidate is not None:
            reasons[event.candidate] = event.reason
            before = endings.get(event.candidate)
            if before is None or before[2] != event.outcome:
                endings.pop(event.candidate, None)
                endings[event.candidate] = (event.round, event.candidate, event.outcome)
        if isinstance(event, BudgetSpent):
            budgets.append((stored.execution, stored.seq, event.budget))
        if event.node and event.kind not in _PASSING:
            _add(streams.setdefault(StreamKey.of(event.node, event.candidate), []), stored)
    return Course(streams, tuple(endings.values()), tuple(budgets), reasons)


def said_of(event: AnyEvent) -> Said:
    """An event as it is compared."""
    if isinstance(event, (CallCompleted, CallReplayed)):
        where = {"node": event.node, "candidate": event.candidate, "round": event.round}
        return {"kind": "call.answered", **where, "call": event.call, "role": event.role, "answer": event.answer_sha}
    left_out = {"seconds"} if isinstance(event, NodeCompleted) else set[str]()
    return event.model_dump(mode="json", exclude=left_out)


def _add(steps: list[Taken], stored: Stored) -> None:
    event = stored.event
    if isinstance(event, NodeStarted):
        if steps and _begins_again(steps[-1], stored):
            steps.pop()
        key = StreamKey.of(event.node, event.candidate)
        steps.append(Taken(key, event.node, event.round, stored.execution, stored.seq))
    if steps:
        steps[-1].events.append(event)


def _begins_again(last: Taken, stored: Stored) -> bool:
    """Whether a step is the last one once more: no step follows itself, and one that was cut off is taken again."""
    if stored.execution == last.execution:
        return False
    return not last.whole or (last.node == stored.event.node and last.round == stored.event.round)


def _ends_run(step: Taken) -> bool:
    """`deliver` ends a run, and so does an answer in words."""
    answered = step.node == "responder" and step.spent is None
    return step.node == "deliver" or answered
