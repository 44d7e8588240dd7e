"""Turning a function into a step of the graph.

Owns what every step has in common: its dependencies found, its beginning and end told as events, a spent budget
turned from an error into the value `spent`, so that the run goes on to its end with the best so far.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from agents.model import LanguageModel
from infrastructure.events.catalogue import (
    BudgetSpent,
    Event,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    NodeWaiting,
    Noted,
)
from infrastructure.workflow.asking import Emit
from infrastructure.workflow.budget import BudgetExhausted
from infrastructure.workflow.race import Place
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.scopes import Scopes
from infrastructure.workflow.state import forgotten
from infrastructure.workflow.values import CandidateStart

Update: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Where:
    """Which candidate and which round a step belongs to; 0 and None for the run as a whole."""

    round: int = 0
    candidate: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a node's function is given beside the state.

    Attributes:
        scope: The run's dependencies.
        emit: Tells an event, marked with the step it happened in.
    """

    scope: RunScope
    emit: Emit

    def model(self, role: str, key: str, place: Place | None = None) -> LanguageModel:
        """The model for a role; `key` names the question's place in the run, the same after a crash.

        With a candidate's `place` it is asked in idle slots until the candidate leads.
        """
        return self.scope.model(role, key, self.emit, place)

    def note(self, text: str) -> None:
        """Tell a person something that is no failure."""
        self.emit(Noted(text=text))


class NodeFunction(Protocol):
    """A node: reads a part of the state, acts or asks, returns what it writes."""

    def __call__(self, state: Any, step: Step, /) -> Awaitable[Any]:
        """Run the step."""
        ...


class Nodes:
    """Adds functions to a graph as nodes.

    Args:
        graph: The graph being built.
        scopes: Where a scope comes from when the graph is run without a context.
    """

    def __init__(self, graph: Any, scopes: Scopes | None) -> None:
        self._graph = graph  # LangGraph's own type of it is partly unknown to a strict checker
        self._scopes = scopes

    def add(
        self, name: str, function: NodeFunction, reads: type, *, when_spent: bool = False, begins: bool = False
    ) -> None:
        """Add a node.

        Args:
            name: Its name, as events show it.
            function: What it does.
            reads: The part of the state it is given.
            when_spent: Whether it runs although a budget is spent: what asks no model, and a person's own decision.
            begins: Whether a run begins with it: every input on a thread is a run, whatever the thread has seen before.
        """

        async def run(state: Any, runtime: Runtime[RunScope | None]) -> Update:
            if runtime.context is not None:
                return await _run(name, function, when_spent, state, runtime, runtime.context)
            if self._scopes is None:
                raise RuntimeError("the graph was built for an engine; give it a RunScope as context")
            if begins:
                return await begin(state, runtime, self._scopes)
            return await _run(name, function, when_spent, state, runtime, await self._scopes.of(_run_of(state)))

        async def begin(state: Any, runtime: Runtime[RunScope | None], scopes: Scopes) -> Update:
            scope = await scopes.begin(_run_of(state))
            try:
                written = await _run(name, function, when_spent, state, runtime, scope)
            except BaseException:
                scopes.forget(scope.run)  # it is tried again under its name
                raise
            return {**forgotten(state), **written}

        self._graph.add_node(name, run, input_schema=reads)


async def _run(
    name: str,
    function: NodeFunction,
    when_spent: bool,
    state: Any,
    runtime: Runtime[RunScope | None],
    scope: RunScope,
) -> Update:
    where = _where(state)
    emit = _emitter(name, where, runtime)
    with scope.at_work():
        spent = await scope.enter(name, where.round, where.candidate)
        if spent and not when_spent:
            return {"spent": spent}
        emit(NodeStarted())
        began = time.monotonic()
        try:
            written: Update = await function(state, Step(scope, emit))
        except BudgetExhausted as over:
            emit(BudgetSpent(budget=over.budget, limit=over.limit))
            written = {"spent": over.budget}
        except GraphBubbleUp:
            emit(NodeWaiting())
            raise
        except Exception as error:
            emit(NodeFailed(error_class=type(error).__name__, error_message=str(error)))
            raise
        emit(NodeCompleted(seconds=time.monotonic() - began))
        return written


def _run_of(state: Any) -> str:
    start = _start_of(state)
    return start.run if start is not None else str(state.get("run") or "")


def _start_of(state: Any) -> CandidateStart | None:
    if isinstance(state, CandidateStart):
        return state
    start = state.get("start")
    return start if isinstance(start, CandidateStart) else None


def _where(state: Any) -> Where:
    start = _start_of(state)
    if start is not None:
        return Where(start.round, start.number)
    return Where(int(state.get("round") or 0))


def _emitter(name: str, where: Where, runtime: Runtime[RunScope | None]) -> Emit:
    writer = runtime.stream_writer

    def emit(event: Event) -> None:
        writer(event.model_copy(update={"node": name, "candidate": where.candidate, "round": where.round}))

    return emit
