"""Spans made of events.

Owns which event begins, ends or marks which span. A run or a turn of a session is a trace; its steps, calls, tools and
approvals are spans in it. Text of people and models is in none of them, nor are paths and messages of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agents.codegen import ROLES
from infrastructure.events import catalogue as events
from infrastructure.telemetry import names
from infrastructure.telemetry.otel.calls import CALLS
from infrastructure.telemetry.otel.roots import OPENING, Roots
from infrastructure.telemetry.otel.tree import Attributes, Tree, mark_failed

if TYPE_CHECKING:
    from infrastructure.events.log import Stored

_FAILED = frozenset({"failed", "error"})
_AGENTS = frozenset(role.name for role in ROLES)
"""A step that asks a model bears its role's name."""


def _node(event: events.Event) -> tuple[str, str, int | None, int]:
    return ("node", event.node, event.candidate, event.round)


def _where(event: events.Event) -> Attributes:
    told: dict[str, str | int] = {names.NODE_NAME: event.node}
    if event.node in _AGENTS:
        told |= {names.OPERATION_NAME: names.AGENT, names.AGENT_NAME: event.node}
    if event.candidate is not None:
        told[names.CANDIDATE] = event.candidate
    if event.round:
        told[names.ROUND] = event.round
    return told


# -------------------------------------------------------------------------------------------------------- runs
def _started(tree: Tree, event: events.RunStarted, stored: Stored) -> None:
    tree.root.set_attribute(names.EXECUTION, stored.execution)


def _finished(tree: Tree, event: events.RunFinished, stored: Stored) -> None:
    tree.root.set_attributes(
        {names.RUN_STATUS: event.status, names.RUN_JUDGE: event.judge, names.EXIT_CODE: event.exit_code}
    )
    if event.status in _FAILED:
        mark_failed(tree.root, event.error_class or event.status)


def _interrupted(tree: Tree, event: events.RunInterrupted, stored: Stored) -> None:
    tree.root.set_attribute(names.RUN_STATUS, "interrupted")


def _spent(tree: Tree, event: events.BudgetSpent, stored: Stored) -> None:
    tree.mark(names.BUDGET_SPENT, stored.at, {names.BUDGET: event.budget}, tree.root)


# ------------------------------------------------------------------------------------------------------- steps
def _node_started(tree: Tree, event: events.NodeStarted, stored: Stored) -> None:
    inside = tree.containers.get((event.candidate, event.round))
    what = names.AGENT if event.node in _AGENTS else names.NODE
    tree.begin(_node(event), f"{what} {event.node}", stored.at, _where(event), parent=inside)


def _node_completed(tree: Tree, event: events.NodeCompleted, stored: Stored) -> None:
    _left(tree, event)
    tree.end(_node(event), stored.at)


def _node_failed(tree: Tree, event: events.NodeFailed, stored: Stored) -> None:
    _left(tree, event)
    tree.end(_node(event), stored.at, error=event.error_class)


def _left(tree: Tree, event: events.Event) -> None:
    """The step that tried a candidate is over."""
    place = (event.candidate, event.round)
    if tree.containers.get(place) is tree.find(_node(event)):
        tree.containers.pop(place, None)


def _node_waiting(tree: Tree, event: events.NodeWaiting, stored: Stored) -> None:
    tree.mark(names.WAITING, stored.at, {}, tree.find(_node(event)))


def _candidate_started(tree: Tree, event: events.CandidateStarted, stored: Stored) -> None:
    if tree.has(_node(event)):
        tree.containers[event.candidate, event.round] = tree.find(_node(event))


def _candidate_ended(tree: Tree, event: events.CandidateEnded, stored: Stored) -> None:
    tree.find(_node(event)).set_attributes({names.OUTCOME: event.outcome, names.ATTEMPTS: event.attempts})


def _tests_ran(tree: Tree, event: events.TestsRan, stored: Stored) -> None:
    counts = event.counts
    told: Attributes = {
        names.OPERATION_NAME: names.TOOL,
        names.TOOL_NAME: "run_tests",
        names.SUITE: event.suite,
        names.ATTEMPT: event.attempt,
        names.PASSED: counts.passed,
        names.FAILED: counts.failed,
        names.ERRORS: counts.errors,
        names.SKIPPED: counts.skipped,
        names.SANDBOX: event.sandbox,
    }
    began = stored.at - timedelta(seconds=event.seconds)
    tree.whole(f"{names.TOOL} run_tests", began, stored.at, told, parent=tree.find(_node(event)))


def _edits_applied(tree: Tree, event: events.EditsApplied, stored: Stored) -> None:
    told = {names.ATTEMPT: event.attempt, names.FILES: len(event.files)}
    tree.mark(names.EDITS_APPLIED, stored.at, told, tree.find(_node(event)))


def _edits_rejected(tree: Tree, event: events.EditsRejected, stored: Stored) -> None:
    tree.mark(names.EDITS_REJECTED, stored.at, {names.ATTEMPT: event.attempt}, tree.find(_node(event)))


# --------------------------------------------------------------------------------------------------- approvals
def _asked(tree: Tree, event: events.ApprovalAsked, stored: Stored) -> None:
    tree.approvals[event.id or event.approval] = (stored.at, event.gate)


def _decided(tree: Tree, event: events.ApprovalDecided, stored: Stored) -> None:
    began, gate = tree.approvals.pop(event.id or event.approval, (None, ""))
    if began is not None:
        waited = (stored.at - began).total_seconds()
        told = {names.GATE: gate, names.DECISION: event.decision, names.WAITED_SECONDS: waited}
        tree.whole(names.APPROVAL, began, stored.at, told)


# ---------------------------------------------------------------------------------------------------- sessions
def _agent_started(tree: Tree, event: events.AgentStarted, stored: Stored) -> None:
    told = {names.OPERATION_NAME: names.AGENT, names.AGENT_NAME: event.agent}
    tree.begin(("agent", event.agent), f"{names.AGENT} {event.agent}", stored.at, told)


def _agent_completed(tree: Tree, event: events.AgentCompleted, stored: Stored) -> None:
    tree.end(("agent", event.agent), stored.at)


def _agent_failed(tree: Tree, event: events.AgentFailed, stored: Stored) -> None:
    tree.end(("agent", event.agent), stored.at, error=event.error_class)
    mark_failed(tree.root, event.error_class)


def _turn_ended(tree: Tree, event: events.TurnEnded, stored: Stored) -> None:
    tree.root.set_attribute(names.TURN_OUTCOME, event.outcome)


def _requested(tree: Tree, event: events.ToolRequested, stored: Stored) -> None:
    told = {
        names.OPERATION_NAME: names.TOOL,
        names.TOOL_NAME: event.tool,
        names.TOOL_CALL: event.call,
        names.TOOL_PLACE: event.where,
    }
    tree.begin(("tool", event.call), f"{names.TOOL} {event.tool}", stored.at, told)


def _required(tree: Tree, event: events.ToolApprovalRequired, stored: Stored) -> None:
    tree.approvals[event.approval] = (stored.at, "tool")
    tree.mark(names.ASKED, stored.at, {}, tree.find(("tool", event.call)))


def _tool_started(tree: Tree, event: events.ToolStarted, stored: Stored) -> None:
    tree.mark(names.STARTED, stored.at, {}, tree.find(("tool", event.call)))


def _tool_completed(tree: Tree, event: events.ToolCompleted, stored: Stored) -> None:
    tree.end(("tool", event.call), stored.at)


def _tool_failed(tree: Tree, event: events.ToolFailed, stored: Stored) -> None:
    tree.end(("tool", event.call), stored.at, error=event.error_class)


Handler = Callable[[Tree, Any, "Stored"], None]
_HANDLERS: Mapping[type[events.Event], Handler] = {
    events.RunStarted: _started,
    events.RunFinished: _finished,
    events.RunInterrupted: _interrupted,
    events.BudgetSpent: _spent,
    events.NodeStarted: _node_started,
    events.NodeCompleted: _node_completed,
    events.NodeFailed: _node_failed,
    events.NodeWaiting: _node_waiting,
    events.CandidateStarted: _candidate_started,
    events.CandidateEnded: _candidate_ended,
    events.TestsRan: _tests_ran,
    events.EditsApplied: _edits_applied,
    events.EditsRejected: _edits_rejected,
    events.ApprovalAsked: _asked,
    events.ApprovalDecided: _decided,
    events.AgentStarted: _agent_started,
    events.AgentCompleted: _agent_completed,
    events.AgentFailed: _agent_failed,
    events.TurnEnded: _turn_ended,
    events.ToolRequested: _requested,
    events.ToolApprovalRequired: _required,
    events.ToolStarted: _tool_started,
    events.ToolCompleted: _tool_completed,
    events.ToolFailed: _tool_failed,
    **CALLS,
}
KINDS = frozenset(kind.model_fields["kind"].default for kind in (*_HANDLERS, *OPENING))
"""What spans are made of. Streamed text is not among them: it is most of all events, and nobody pays for it."""


class Traces:
    """Every trace that is not over. `hear` is a handler for the bus; of one event loop."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    async def hear(self, stored: Stored) -> None:
        """Make of an event what it is in a trace."""
        tree = self._roots.of(stored)
        if tree is None:
            return
        tree.last = stored.at
        handler = _HANDLERS.get(type(stored.event))
        if handler is not None:
            handler(tree, stored.event, stored)
        self._roots.end_if_over(tree, stored)

    def close(self) -> None:
        """End what is open, as of the last that happened in it."""
        self._roots.close()
