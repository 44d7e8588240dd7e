"""Where a trace begins and ends: at a run's execution, or at a turn of a session.

Owns the trees that are open. A run that goes on later, also in another process, is another tree of the same trace: its
id is made of the run's.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from infrastructure.events import catalogue as events
from infrastructure.telemetry import names
from infrastructure.telemetry.otel.tree import Attributes, Tree, nanoseconds

if TYPE_CHECKING:
    from infrastructure.events.log import Stored
    from infrastructure.telemetry.parents import Parents

CODEGEN = "codegen"
CONVERSATION = "conversation"
OPENING = (events.RunCreated, events.MessageAdded, events.SessionDeleted)
"""Events that open and close trees, beside those that are something in one."""
_ASKERS_KEPT = 1000


class TraceIds(IdGenerator):
    """Ids of traces that follow from what they are of; of spans, by chance."""

    def __init__(self) -> None:
        self._next = 0
        self._chance = RandomIdGenerator()

    def take(self, *of: str) -> None:
        """The next trace is of this. Evenly spread, as a sampler wants it."""
        digest = hashlib.sha256("\0".join(of).encode()).digest()
        self._next = int.from_bytes(digest[:16]) or 1

    def generate_trace_id(self) -> int:
        """That of the last `take`."""
        return self._next

    def generate_span_id(self) -> int:
        """By chance."""
        return self._chance.generate_span_id()


@dataclass(slots=True)
class Roots:
    """Every tree that is open, by its run or session. `addresses` has host and port of servers by label."""

    tracer: Tracer
    ids: TraceIds
    parents: Parents
    addresses: Mapping[str, str]

    _trees: dict[str, Tree] = field(default_factory=dict[str, Tree])
    _asked: OrderedDict[str, datetime] = field(default_factory=OrderedDict[str, datetime])
    """When a person last said something in a session that has no tree: its turn began then."""

    def of(self, stored: Stored) -> Tree | None:
        """The tree that an event belongs to, opened where it is the first; None for what is in none."""
        event, tree = stored.event, self._trees.get(stored.run)
        match event:
            case events.RunCreated() | events.RunStarted() if tree is None:
                return self._open_run(stored)
            case events.MessageAdded(role="user"):
                self._note_asked(stored)
            case events.AgentStarted():
                return self._turn(stored, event.turn, tree)
            case events.CallQueued() if tree is None and stored.run in self._asked:
                return self._open_turn(stored, "")
            case events.SessionDeleted():
                self._asked.pop(stored.run, None)
                self._close(stored.run, stored.at)
                return None
            case _:
                pass
        return tree

    def end_if_over(self, tree: Tree, stored: Stored) -> None:
        """Close the tree after what is its last event."""
        match stored.event:
            case events.RunFinished() | events.RunInterrupted() | events.TurnEnded():
                self._close(stored.run, stored.at)
            case _:
                pass

    def close(self) -> None:
        """Close every tree, as of the last that happened in it."""
        for run in tuple(self._trees):
            self._close(run, self._trees[run].last)

    def _turn(self, stored: Stored, turn: str, tree: Tree | None) -> Tree:
        if tree is not None and tree.turn in ("", turn):
            tree.turn = turn
            tree.root.set_attribute(names.TURN_ID, turn)
            return tree
        if tree is not None:  # it was ended by another process, or in a log of before turns told of their end
            self._close(stored.run, tree.last)
        return self._open_turn(stored, turn)

    def _note_asked(self, stored: Stored) -> None:
        self._asked[stored.run] = stored.at
        self._asked.move_to_end(stored.run)
        if len(self._asked) > _ASKERS_KEPT:
            self._asked.popitem(last=False)

    def _open_run(self, stored: Stored) -> Tree:
        self.ids.take(stored.run)
        told: dict[str, str | bool | int] = {names.RUN_ID: stored.run, names.WORKFLOW_NAME: CODEGEN}
        if isinstance(stored.event, events.RunCreated):
            told[names.SIMULATED] = stored.event.simulated
        return self._open(stored, CODEGEN, stored.at, told)

    def _open_turn(self, stored: Stored, turn: str) -> Tree:
        began = self._asked.pop(stored.run, stored.at)
        self.ids.take(stored.run, turn or stored.at.isoformat())
        told: dict[str, str] = {names.CONVERSATION_ID: stored.run, names.WORKFLOW_NAME: CONVERSATION}
        if turn:
            told[names.TURN_ID] = turn
        tree = self._open(stored, CONVERSATION, began, told)
        tree.turn = turn
        return tree

    def _open(self, stored: Stored, workflow: str, began: datetime, told: Attributes) -> Tree:
        known = {names.OPERATION_NAME: names.WORKFLOW, names.CORRELATION: stored.correlation}
        root = self.tracer.start_span(
            f"{names.WORKFLOW} {workflow}",
            self._parent(stored.correlation),
            attributes={**known, **told},
            start_time=nanoseconds(began),
        )
        tree = self._trees[stored.run] = Tree(self.tracer, root, self.addresses, last=stored.at)
        return tree

    def _parent(self, correlation: str) -> Context:
        """The caller's span, where it named one: then the trace is the caller's too."""
        parent = self.parents.of(correlation)
        if parent is None:
            return Context()
        flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
        span: Span = NonRecordingSpan(SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=flags))
        return set_span_in_context(span, Context())

    def _close(self, run: str, at: datetime) -> None:
        tree = self._trees.pop(run, None)
        if tree is not None:
            tree.close(at)
