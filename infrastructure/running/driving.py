"""Driving the graph through one execution of a run.

Owns the passage from what the graph streams to what the log keeps: events are posted in their order as they come,
and everything is on disk when `drive` returns. A question to a person is held back until the run rests, so that
whoever reads it can answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType] - its own types are partly unknown

from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import AnyEvent, ApprovalAsked, Event
from infrastructure.events.causes import cause, caused_by
from infrastructure.events.log import EventLog
from infrastructure.ids import RunId
from infrastructure.running.lineage import Lineage
from infrastructure.tasks import TaskSpec
from infrastructure.workflow.graph import CodegenGraph
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.state import CodegenInput

RECURSION_LIMIT = 200
"""Supersteps of one execution. A run of ten rounds takes 80; LangGraph's own limit is 10,007."""

GraphInput = CodegenInput | Command[Any] | None
"""A new run's input, an answer to what it waits for, or None to go on from the last step."""


def config_of(run: RunId) -> RunnableConfig:
    """The graph's configuration of a run: a thread of its own."""
    return {"configurable": {"thread_id": run}, "recursion_limit": RECURSION_LIMIT}


def input_of(run: RunId, spec: TaskSpec, settings: Settings) -> CodegenInput:
    """What the graph starts with: the task's own wishes, else the settings'."""
    given: CodegenInput = {
        "task": spec.task,
        "repo": str(spec.repo),
        "run": run,
        "candidates": spec.candidates or settings.run.candidates,
        "repairs": settings.run.repairs if spec.repairs is None else spec.repairs,
        "rounds": spec.rounds or settings.run.rounds,
        "approve": settings.run.approve if spec.approve is None else spec.approve,
        "tests": tuple(str(test) for test in spec.tests),
    }
    if spec.test_command is not None:
        given["test_command"] = spec.test_command
    return given


async def drive(
    graph: CodegenGraph, given: GraphInput, scope: RunScope, log: EventLog, run: RunId, execution: int
) -> ApprovalAsked | None:
    """Run the graph to its end, or until it waits for a person.

    Returns:
        The question it waits with, which is not in the log yet; None when it came to its end.
    """
    asked: ApprovalAsked | None = None
    waiting = False
    lineage = Lineage(cause().event)
    # Tracing to an outside service is off whatever the environment says: the task's text would leave the machine.
    with tracing_context(enabled=False):
        stream = cast("Any", graph).astream(
            given,
            config_of(run),
            context=scope,
            stream_mode=["updates", "custom"],
            subgraphs=True,
            durability="sync",
        )
        async for _, mode, part in stream:
            if mode == "custom" and isinstance(part, ApprovalAsked):
                asked = part
            elif mode == "custom" and isinstance(part, Event):
                with caused_by(lineage.of(part)):
                    lineage.add(part, log.post(run, execution, cast("AnyEvent", part)))
            elif mode == "updates" and "__interrupt__" in part:
                waiting = True
    await log.flush(run)
    return asked if waiting else None


async def values_of(graph: CodegenGraph, run: RunId) -> Mapping[str, object]:
    """The state after the last finished step; empty before the first."""
    snapshot = await graph.aget_state(config_of(run))
    return cast("Mapping[str, object]", snapshot.values)


async def has_begun(graph: CodegenGraph, run: RunId) -> bool:
    """Whether there is a step to go on from."""
    return bool((await graph.aget_state(config_of(run))).config.get("configurable", {}).get("checkpoint_id"))


async def waits_for(graph: CodegenGraph, run: RunId) -> ApprovalAsked | None:
    """The question the run waits with, by its last checkpoint."""
    interrupts = (await graph.aget_state(config_of(run))).interrupts
    return ApprovalAsked.model_validate(interrupts[0].value) if interrupts else None
