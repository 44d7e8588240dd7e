"""Sessions: begin one, list and search them, read one, change one, fork one, take one away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from fastapi import Path as PathParameter

from backend.dependencies import (
    AgentContextManagerDep,
    App,
    ApprovalsDep,
    ConversationsDep,
    Session,
    SessionManagerDep,
    key_header,
)
from backend.problems import NoImage, answers
from backend.routers.session_views import (
    Fork,
    HistoryPage,
    NewSession,
    SessionChange,
    SessionPage,
    SessionView,
    Todos,
    found_page,
    history_page,
    session_view,
)
from backend.routers.turn_views import WaitingView, waiting_view
from infrastructure.conversation.images import media_type
from infrastructure.sessions.errors import UnknownSession
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.sessions.records import Found, SessionRecord
from infrastructure.workspace.errors import NotADirectory

ImageName = Annotated[str, PathParameter(description="Its name, as a message has it.", max_length=64)]
Limit = Annotated[int, Query(ge=1, le=200)]

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=SessionView,
    responses=answers(409, 413, 415, 422, 503, 507),
)
async def create_session(
    sessions: SessionManagerDep,
    conversations: ConversationsDep,
    body: NewSession,
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str, key_header("The same key and body give the same session, until it is deleted.")
    ] = "",
) -> object:
    """Begin a session. It outlives every process, until it is deleted."""
    named = body.request(idempotency_key)
    record = None if named is None else await sessions.keyed(named)
    if record is None:
        if body.agent:
            conversations.router.profile(body.agent)
        if body.workspace and not await asyncio.to_thread(Path(body.workspace).is_dir):
            raise NotADirectory(Path(body.workspace))
        record = await sessions.create(
            title=body.title,
            workspace=body.workspace,
            agent=body.agent,
            settings=body.settings.changes(),
            request=named,
        )
    response.headers["Location"] = f"{request.url.path}/{record.session}"
    return session_view(record)


@router.get("", response_model=SessionPage, responses=answers(404, 422))
async def list_sessions(
    sessions: SessionManagerDep,
    limit: Limit = 50,
    before: Annotated[
        str, Query(description="`next` of the page before, or a session: only those that come after it.", max_length=96)
    ] = "",
    search: Annotated[str | None, Query(description="Only where this text occurs in a title or message.")] = None,
) -> object:
    """List the sessions, those that changed last first; or those in which a text occurs."""
    if search is not None:
        found = await sessions.search(search, limit)
        return found_page(found, await _records(sessions, found))
    records = await sessions.list(limit, before)
    more = records[-1].place if len(records) == limit else None
    return SessionPage(sessions=tuple(map(session_view, records)), next=more)


@router.get("/{session}", response_model=SessionView, responses=answers(404, 422))
async def read_session(record: Session) -> object:
    """Show a session without its messages."""
    return session_view(record)


@router.patch("/{session}", response_model=SessionView, responses=answers(404, 409, 413, 415, 422, 503))
async def change_session(
    sessions: SessionManagerDep,
    contexts: AgentContextManagerDep,
    conversations: ConversationsDep,
    record: Session,
    body: SessionChange,
) -> object:
    """Change title, settings or who speaks. Settings go over those there are."""
    if body.agent is not None:
        conversations.router.profile(body.agent)
    settings = None if body.settings is None else body.settings.changes()
    record = await sessions.update(record.session, title=body.title, settings=settings)
    if body.agent is not None:
        await contexts.switch_agent(record.session, body.agent, by="person")
    return session_view(await sessions.load(record.session))


@router.delete("/{session}", status_code=status.HTTP_204_NO_CONTENT, responses=answers(404, 422, 503))
async def delete_session(conversations: ConversationsDep, record: Session) -> None:
    """Take a session away, with its messages, its open turn and what that asks: all of it, or nothing."""
    await conversations.delete(record.session)


@router.post(
    "/{session}/fork",
    status_code=status.HTTP_201_CREATED,
    response_model=SessionView,
    responses=answers(404, 415, 422, 503, 507),
)
async def fork_session(
    sessions: SessionManagerDep, record: Session, body: Fork, request: Request, response: Response
) -> object:
    """Begin a session with the first messages of another one. Calls that the cut left open count as not done."""
    fork = await sessions.fork(record.session, body.upto, title=body.title)
    response.headers["Location"] = f"{request.url.path.rsplit('/', 2)[0]}/{fork.session}"
    return session_view(fork)


@router.get("/{session}/history", response_model=HistoryPage, responses=answers(404, 422))
async def read_history(
    sessions: SessionManagerDep,
    contexts: AgentContextManagerDep,
    record: Session,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only messages with a smaller number.")] = None,
    limit: Limit = 50,
) -> object:
    """Read messages, newest first, and who speaks now."""
    messages = await sessions.page(record.session, before, limit)
    if not sessions.exists(record.session):  # what is read next would begin one anew
        raise UnknownSession(record.session)
    return history_page(messages, (await contexts.get_or_create(record.session)).agent, limit)


@router.get(
    "/{session}/images/{name}",
    response_class=Response,
    responses={
        200: {
            "description": "A PNG or a JPEG.",
            "content": {"image/png": {"schema": {}}, "image/jpeg": {"schema": {}}},
        },
        **answers(404, 422),
    },
)
async def read_image(app: App, sessions: SessionManagerDep, record: Session, name: ImageName) -> Response:
    """Get an image of a message of this session."""
    if name not in await sessions.images(record.session):
        raise NoImage(f"the session {record.session} has no image {name!r}")
    content = await app.blobs.get(name)
    return Response(content, media_type=media_type(content))


@router.get("/{session}/todos", response_model=Todos, responses=answers(404, 422))
async def read_todos(record: Session) -> object:
    """Read the list of things to do, which agents keep."""
    return Todos(todos=record.todos)


@router.put("/{session}/todos", response_model=Todos, responses=answers(404, 413, 415, 422, 503))
async def write_todos(sessions: SessionManagerDep, record: Session, body: Todos) -> object:
    """Replace the list of things to do."""
    await sessions.set_todos(record.session, body.todos)
    return Todos(todos=(await sessions.load(record.session)).todos)


@router.get("/{session}/waiting", response_model=WaitingView, responses=answers(404, 422))
async def read_waiting(approvals: ApprovalsDep, conversations: ConversationsDep, record: Session) -> object:
    """Show what the session waits for: answers of a person, calls that its client is to do."""
    return waiting_view(await approvals.pending(record.session), await conversations.waiting(record.session))


async def _records(sessions: AsyncSessionManager, found: tuple[Found, ...]) -> list[SessionRecord]:
    """The sessions in which something was found; one that was deleted since is left out."""
    names = dict.fromkeys(each.session for each in found)
    return [await sessions.load(name) for name in names if sessions.exists(name)]
