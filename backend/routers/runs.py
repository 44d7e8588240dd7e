"""Runs: begin one, list them, watch one, steer one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, status

from backend.dependencies import App, Door, Engine, GuestTask, MaybeKey, Run, UnfinishedRun
from backend.problems import NoPatch, answers
from backend.routers.views import Answer, RunCreatedView, RunPage, RunView, XRayView, page_of, result_of, view_of
from backend.streams import EVENT_STREAM, EventStream, EventStreamResponse, FollowedRun, page_json
from infrastructure.ids import RunId
from infrastructure.running.xray import xray_of

BY_A_PERSON = "interrupted by a person"
EVENT_EXAMPLE = {
    "run": "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61",
    "seq": 17,
    "at": "2026-01-05T10:00:04.120000Z",
    "execution": 1,
    "kind": "node.started",
    "node": "planner",
}

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])

_MOST = 2**63 - 1  # what the table can compare
After = Annotated[int, Query(ge=0, le=_MOST, description="Only events with a greater number.")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=RunCreatedView,
    responses=answers(409, 413, 415, 422, 429, 503, 507),
)
async def begin_run(engine: Engine, task: GuestTask, key: MaybeKey, request: Request, response: Response) -> object:
    """Begin a task.

    It becomes a run of the engine, which goes on whether or not anybody watches, also after a restart.
    """
    run = await engine.start(task, key)
    response.headers["Location"] = f"{request.url.path}/{run}"
    return RunCreatedView(run=run)


@router.get("", response_model=RunPage, responses=answers(422))
async def list_runs(
    app: App,
    limit: Limit = 50,
    before: Annotated[str | None, Query(description="Only runs older than this one.", max_length=64)] = None,
) -> object:
    """List the runs, newest first."""
    return page_of(await app.runs.list(limit, None if before is None else RunId(before)), limit)


@router.get("/{run}", response_model=RunView, responses=answers(404, 422))
async def read_run(record: Run) -> object:
    """Show one run: what was asked for, where it stands, what came of it."""
    return view_of(record)


@router.get(
    "/{run}/patch",
    response_class=Response,
    responses={
        200: {
            "description": "A unified diff.",
            "content": {"text/x-diff": {"example": "--- a/cli.py\n+++ b/cli.py\n"}},
        },
        **answers(404, 422),
    },
)
async def read_patch(record: Run) -> Response:
    """Get a run's patch."""
    result = result_of(record)
    if result is None or not result.patch:
        raise NoPatch(f"run {record.run} has no patch")
    return Response(result.patch.encode("utf-8", "replace"), media_type="text/x-diff")


@router.get("/{run}/xray", response_model=XRayView, responses=answers(404, 422))
async def read_xray(app: App, record: Run) -> object:
    """Show what the model got in each call of a run: sections, what was cut by which rule, windows, tokens, times."""
    return XRayView(run=record.run, calls=xray_of(await app.calls.of_run(record.run)))


@router.get(
    "/{run}/events",
    response_class=Response,
    responses={
        200: {
            "description": "A page; or, with `Accept: text/event-stream`, the stream, which goes on behind "
            "`Last-Event-ID` and ends after the last event of a finished run.",
            "content": {
                "application/json": {"example": {"events": [EVENT_EXAMPLE], "next": None}},
                EVENT_STREAM: {"example": 'id: 17\nevent: node.started\ndata: {"seq":17}\n\n'},
            },
        },
        **answers(404, 422, 429),
    },
)
async def read_events(
    app: App,
    door: Door,
    record: Run,
    after: After = 0,
    limit: Limit = 500,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[int | None, Header(ge=0, le=_MOST)] = None,
) -> Response:
    """Read a run's events: a page of them, or the stream."""
    if EVENT_STREAM in accept:
        stream = EventStream(FollowedRun(app, record.run), door.stopping, max(after, last_event_id or 0))
        return EventStreamResponse(stream.frames(), door.stopping)
    return Response(page_json(await app.log.read(record.run, after, limit), limit), media_type="application/json")


@router.post("/{run}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=answers(404, 409, 422, 503))
async def cancel_run(engine: Engine, record: Run) -> None:
    """End a run for good. Its best patch so far is kept."""
    await engine.cancel(record.run)


@router.post("/{run}/interrupt", status_code=status.HTTP_202_ACCEPTED, responses=answers(404, 409, 422, 503))
async def interrupt_run(engine: Engine, record: UnfinishedRun) -> None:
    """Stop a run at a step. It goes on from there when it is resumed."""
    await engine.interrupt(record.run, BY_A_PERSON)


@router.post("/{run}/resume", status_code=status.HTTP_202_ACCEPTED, responses=answers(404, 409, 422, 503))
async def resume_run(
    engine: Engine,
    record: Run,
    no_input: Annotated[bool, Query(description="Whether a gate ends it, since nobody can be asked.")] = False,
) -> None:
    """Go on with a run from its last step. One that waits for an answer asks again."""
    await engine.resume(record.run, no_input=no_input)


@router.post("/{run}/answer", status_code=status.HTTP_202_ACCEPTED, responses=answers(404, 409, 415, 422, 503))
async def answer_run(engine: Engine, record: Run, answer: Answer) -> None:
    """Answer what a run waits for. It goes on."""
    await engine.answer(record.run, answer.approval, answer.approved, answer.reason)
