"""Talking in a session: say something, watch the answer, do the client's part, stop it; by HTTP and by WebSocket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response, WebSocket, status

from backend.chunks import ChunkStream
from backend.dependencies import App, ApprovalsDep, ConversationsDep, Door, Session, key_header
from backend.problems import answers
from backend.routers.commands import SessionCommands
from backend.routers.turn_views import (
    TURN_EXAMPLE,
    NewMessage,
    ToolResultBody,
    ToolResultView,
    TurnView,
    UndoneView,
    waiting_view,
)
from backend.sockets import SessionSocket
from backend.streams import EVENT_STREAM, EventStream, EventStreamResponse, FollowedSession, page_json
from infrastructure.ids import RunId

_CHUNK_EXAMPLE = 'event: text\ndata: {"kind":"text","agent":"coder","text":"It adds"}\n\n'
_EVENT_EXAMPLE = {
    "run": "0199c0de-8f00-7a10-8c21-5b6f9e1d2a34",
    "seq": 3,
    "at": "2026-01-05T10:00:04.120000Z",
    "execution": 0,
    "kind": "message.added",
    "number": 1,
    "role": "user",
}
_MOST = 2**63 - 1
After = Annotated[int, Query(ge=0, le=_MOST, description="Only events with a greater number.")]

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


@router.post(
    "/{session}/messages",
    status_code=status.HTTP_202_ACCEPTED,
    response_class=Response,
    responses={
        200: {
            "description": "With `Accept: text/event-stream`: the answer as it is given, until the turn is over "
            "(`done`, `failed`) or waits (`waiting` says what for). Of a turn that the same request began before and "
            "that is over, only the end.",
            "content": {EVENT_STREAM: {"example": _CHUNK_EXAMPLE}},
        },
        202: {
            "description": "The turn has begun; its events and its stream say how it goes on.",
            "content": {"application/json": {"example": {"turn": TURN_EXAMPLE}}},
        },
        **answers(404, 409, 413, 415, 422, 429, 503, 507),
    },
)
async def send_message(
    conversations: ConversationsDep,
    approvals: ApprovalsDep,
    door: Door,
    record: Session,
    body: NewMessage,
    accept: Annotated[str, Header()] = "",
    idempotency_key: Annotated[
        str, key_header("The same key and message give the same turn of the session, at any time.")
    ] = "",
    ends_when_waiting: Annotated[bool, Query(description="Of a stream: whether it ends where the turn waits.")] = True,
) -> Response:
    """Say something. The turn goes on whether or not anybody watches, also after a restart."""
    said = body.said(idempotency_key)
    if EVENT_STREAM not in accept:
        turn = await conversations.begin(record.session, said)
        return Response(TurnView(turn=turn).model_dump_json(), status.HTTP_202_ACCEPTED, media_type="application/json")
    place = door.stopping.stream_place()  # a message that is taken is not refused for want of room
    try:
        _, chunks = await conversations.begin_watched(record.session, said, ends_when_waiting=ends_when_waiting)
    except BaseException:
        place.leave()
        raise

    async def waiting() -> bytes:
        view = waiting_view(await approvals.pending(record.session), await conversations.waiting(record.session))
        return view.model_dump_json().encode("utf-8", "replace")

    return EventStreamResponse(ChunkStream(chunks, door.stopping, waiting).frames(), door.stopping, place)


@router.get(
    "/{session}/stream",
    response_class=Response,
    responses={
        200: {
            "description": "The turn that is open, from its first chunk, until it is over; then `end`. `end` alone "
            "where none is open.",
            "content": {EVENT_STREAM: {"example": _CHUNK_EXAMPLE}},
        },
        **answers(404, 422, 429),
    },
)
async def watch_turn(
    conversations: ConversationsDep,
    door: Door,
    record: Session,
    ends_when_waiting: Annotated[
        bool, Query(description="End also where a person or the client is waited for.")
    ] = False,
) -> Response:
    """Watch the turn that is open, also while it waits."""
    chunks = conversations.follow(record.session, ends_when_waiting=ends_when_waiting)
    stream = ChunkStream(chunks, door.stopping)
    return EventStreamResponse(stream.frames(), door.stopping)


@router.get(
    "/{session}/events",
    response_class=Response,
    responses={
        200: {
            "description": "A page; or, with `Accept: text/event-stream`, the stream, which goes on behind "
            "`Last-Event-ID` and ends when the session is deleted.",
            "content": {
                "application/json": {"example": {"events": [_EVENT_EXAMPLE], "next": None}},
                EVENT_STREAM: {"example": 'id: 3\nevent: message.added\ndata: {"seq":3}\n\n'},
            },
        },
        **answers(404, 422, 429),
    },
)
async def read_events(
    app: App,
    door: Door,
    record: Session,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[int | None, Header(ge=0, le=_MOST)] = None,
) -> Response:
    """Read a session's events: a page of them, or the stream."""
    name = RunId(record.session)
    if EVENT_STREAM in accept:
        followed = FollowedSession(app.log, app.sessions, name)
        stream = EventStream(followed, door.stopping, max(after, last_event_id or 0))
        return EventStreamResponse(stream.frames(), door.stopping)
    return Response(page_json(await app.log.read(name, after, limit), limit), media_type="application/json")


@router.post(
    "/{session}/tools/{call}/result", response_model=ToolResultView, responses=answers(404, 413, 415, 422, 503)
)
async def post_result(
    conversations: ConversationsDep,
    record: Session,
    body: ToolResultBody,
    call: Annotated[str, Path(description="The call's id, as `client_call` told it.", max_length=200)],
) -> object:
    """Say what came of a call that the client did. The turn goes on; the first result stands."""
    taken = await conversations.submit_tool_result(record.session, call, body.content, body.ok)
    return ToolResultView(call=call, taken=taken)


@router.post("/{session}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=answers(404, 409, 422, 503))
async def cancel_turn(conversations: ConversationsDep, record: Session) -> None:
    """End the turn that is open. What was said so far stays; half an answer is not kept."""
    await conversations.cancel(record.session)


@router.post("/{session}/undo", response_model=UndoneView, responses=answers(404, 409, 422, 503))
async def undo_write(
    app: App,
    record: Session,
    idempotency_key: Annotated[
        str, key_header("The same key takes back one write of the session, however often it is sent, at any time.")
    ] = "",
) -> object:
    """Take back the session's last write of a file that was not; its agents are told."""
    return UndoneView.model_validate(await app.undoing.undo(record.session, idempotency_key), from_attributes=True)


@router.websocket("/{session}/ws")
async def talk(socket: WebSocket, app: App, door: Door, record: Session, after: After = 0) -> None:
    """The session's events and chunks as they come, and commands."""
    followed = FollowedSession(app.log, app.sessions, RunId(record.session))
    commands = SessionCommands(app, record.session)
    await SessionSocket(socket, followed, app.conversations, commands, door.stopping).serve(after)
