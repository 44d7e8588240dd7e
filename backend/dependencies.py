"""What a route may ask for, as `Annotated` aliases.

Owns the way from a request to the open application, and the two readings of a request that several routes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Body, Depends, Header, Path
from pydantic import JsonValue
from starlette.requests import HTTPConnection

from backend.bootstrap import Application
from backend.security.guard import Guard
from backend.stopping import Stopping
from infrastructure.conversation.orchestrator import MultiAgentOrchestrator
from infrastructure.engine import TaskOrchestrator
from infrastructure.running.errors import RunIsOver, TaskRefused
from infrastructure.sessions.approvals import Approval
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.hitl import HITLManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.sessions.records import SessionRecord
from infrastructure.storage.runs import RequestKey, RunRecord, RunState
from infrastructure.tasks import TaskSpec, request_of

MOST_KEY = 200
"""Characters of the name that a client may give its request."""
RUN_EXAMPLE = "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61"
SESSION_EXAMPLE = "0199c0de-8f00-7a10-8c21-5b6f9e1d2a34"
APPROVAL_EXAMPLE = "0199c0df-1b2c-7d3e-9a40-6c7e8f901234"
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


async def application_of(connection: HTTPConnection) -> Application:
    """The open application; the lifespan puts it there."""
    return cast("Application", connection.app.state.application)


async def doorway_of(connection: HTTPConnection) -> Doorway:
    """The door's own parts."""
    return cast("Doorway", connection.app.state.doorway)


App = Annotated[Application, Depends(application_of)]
Door = Annotated[Doorway, Depends(doorway_of)]


async def engine_of(application: App) -> TaskOrchestrator:
    """The engine."""
    return application.engine


Engine = Annotated[TaskOrchestrator, Depends(engine_of)]


async def sessions_of(application: App) -> AsyncSessionManager:
    """The sessions."""
    return application.sessions


async def agent_contexts_of(application: App) -> AsyncAgentContextManager:
    """Who speaks in each session."""
    return application.agent_contexts


async def conversations_of(application: App) -> MultiAgentOrchestrator:
    """The conversations."""
    return application.conversations


SessionManagerDep = Annotated[AsyncSessionManager, Depends(sessions_of)]
AgentContextManagerDep = Annotated[AsyncAgentContextManager, Depends(agent_contexts_of)]
ConversationsDep = Annotated[MultiAgentOrchestrator, Depends(conversations_of)]


async def approvals_of(application: App) -> HITLManager:
    """What people are asked."""
    return application.approvals


ApprovalsDep = Annotated[HITLManager, Depends(approvals_of)]


async def session_of(
    sessions: SessionManagerDep,
    session: Annotated[str, Path(description="The session's id.", examples=[SESSION_EXAMPLE], max_length=64)],
) -> SessionRecord:
    """The session that the address names.

    Raises:
        UnknownSession: there is none.
    """
    return await sessions.load(session)


async def approval_of(
    approvals: ApprovalsDep,
    approval: Annotated[str, Path(description="The approval's id.", examples=[APPROVAL_EXAMPLE], max_length=64)],
) -> Approval:
    """The approval that the address names.

    Raises:
        UnknownApproval: there is none.
    """
    return await approvals.get(approval)


Session = Annotated[SessionRecord, Depends(session_of)]
AskedApproval = Annotated[Approval, Depends(approval_of)]


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


async def guest_task(
    task: Annotated[TaskSpec, Body(openapi_examples={"a change": {"value": TASK_EXAMPLE}})],
) -> TaskSpec:
    """The task that was sent, marked as a guest's.

    Raises:
        TaskRefused: a path is not absolute: nobody could say what it begins at.
    """
    for path in (task.repo, *task.tests):
        if not path.is_absolute():
            raise TaskRefused(f"{str(path)!r} is not an absolute path", "Send the whole path.")
    return task.model_copy(update={"guest": True})


GuestTask = Annotated[TaskSpec, Depends(guest_task)]


def key_header(told: str) -> Any:
    """The header `Idempotency-Key`, of which this is told; one that is there is not empty."""
    return Header(min_length=1, max_length=MOST_KEY, description=told)


async def request_key(
    task: GuestTask,
    idempotency_key: Annotated[str | None, key_header("The same key and task give the same run, at any time.")] = None,
) -> RequestKey | None:
    """The name the caller gave its request, if it gave one."""
    return None if idempotency_key is None else request_of(idempotency_key, task)


Run = Annotated[RunRecord, Depends(run_of)]
UnfinishedRun = Annotated[RunRecord, Depends(unfinished_of)]
MaybeKey = Annotated[RequestKey | None, Depends(request_key)]
