"""What a route may ask for, as `Annotated` aliases.

Owns the way from a request to the open application, and the two readings of a request that several routes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Body, Depends, Header, Path, Request
from pydantic import JsonValue

from backend.bootstrap import Application
from backend.security.guard import Guard
from backend.stopping import Stopping
from infrastructure.engine import TaskOrchestrator
from infrastructure.running.errors import RunIsOver, TaskRefused
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.runs import RequestKey, RunRecord, RunState
from infrastructure.tasks import TaskSpec, request_of

RUN_EXAMPLE = "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61"
TASK_EXAMPLE: dict[str, JsonValue] = {
    "task": "add --json to this CLI",
    "repo": "/home/you/project",
    "test_command": "pytest -q",
    "candidates": 3,
}


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the door itself has, beside the application."""

    guard: Guard
    stopping: Stopping


def application_of(request: Request) -> Application:
    """The open application; the lifespan puts it there."""
    return cast("Application", request.app.state.application)


def doorway_of(request: Request) -> Doorway:
    """The door's own parts."""
    return cast("Doorway", request.app.state.doorway)


App = Annotated[Application, Depends(application_of)]
Door = Annotated[Doorway, Depends(doorway_of)]


def engine_of(application: App) -> TaskOrchestrator:
    """The engine."""
    return application.engine


Engine = Annotated[TaskOrchestrator, Depends(engine_of)]


def sessions_of(application: App) -> AsyncSessionManager:
    """The sessions."""
    return application.sessions


def agent_contexts_of(application: App) -> AsyncAgentContextManager:
    """Who speaks in each session."""
    return application.agent_contexts


SessionManagerDep = Annotated[AsyncSessionManager, Depends(sessions_of)]
AgentContextManagerDep = Annotated[AsyncAgentContextManager, Depends(agent_contexts_of)]


async def run_of(
    application: App,
    run: Annotated[str, Path(description="The run's id.", examples=[RUN_EXAMPLE], max_length=64)],
) -> RunRecord:
    """The run that the address names.

    Raises:
        UnknownRun: there is none.
    """
    return await application.runs.get(run)


async def unfinished_of(record: Annotated[RunRecord, Depends(run_of)]) -> RunRecord:
    """The run that the address names, which has not ended.

    Raises:
        RunIsOver: it has.
    """
    if record.state is RunState.FINISHED:
        raise RunIsOver(record.run, record.status)
    return record


def guest_task(task: Annotated[TaskSpec, Body(openapi_examples={"a change": {"value": TASK_EXAMPLE}})]) -> TaskSpec:
    """The task that was sent, marked as a guest's.

    Raises:
        TaskRefused: a path is not absolute: nobody could say what it begins at.
    """
    for path in (task.repo, *task.tests):
        if not path.is_absolute():
            raise TaskRefused(f"{str(path)!r} is not an absolute path", "Send the whole path.")
    return task.model_copy(update={"guest": True})


GuestTask = Annotated[TaskSpec, Depends(guest_task)]


def request_key(
    task: GuestTask,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="The same key and task give the same run, at any time."),
    ] = None,
) -> RequestKey | None:
    """The name the caller gave its request, if it gave one."""
    return None if idempotency_key is None else request_of(idempotency_key, task)


Run = Annotated[RunRecord, Depends(run_of)]
UnfinishedRun = Annotated[RunRecord, Depends(unfinished_of)]
MaybeKey = Annotated[RequestKey | None, Depends(request_key)]
