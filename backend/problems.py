"""Errors as answers: one table from exceptions to statuses, one shape (RFC 9457).

Owns the table and both places where an exception becomes an answer: FastAPI's own refusals, and everything else at the
outermost edge, so that what a middleware refuses looks like what a route refuses. A browser that opens an address gets
the same as a small page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents.conversation.router import NoSuchAgent
from backend.cleaning import CleaningUnderWay
from backend.security.errors import (
    BadForm,
    BodyTooLarge,
    Crowded,
    EntryRefused,
    ForeignHost,
    ForeignOrigin,
    HeadersTooLarge,
    NotJson,
    NoToken,
    NotOpenYet,
    SlowForm,
    TooManyAttempts,
    WrongPassword,
)
from backend.security.pages import alert, small_page, wants_page
from backend.stopping import ShuttingDown, TooManyStreams
from infrastructure.batch.registry import UnknownBatch
from infrastructure.config.errors import ConfigError
from infrastructure.config.manager import Fixed
from infrastructure.conversation.errors import (
    BadImage,
    CannotSee,
    Draining,
    EmptyMessage,
    ImagesTooLarge,
    NothingToStop,
    SessionBusy,
    UnknownCall,
)
from infrastructure.conversation.errors import KeyReused as MessageKeyReused
from infrastructure.events.log import UnreadableEvent
from infrastructure.pool.errors import ModelNowhere, PoolSaturated
from infrastructure.running.errors import RunIsOver, RunNotWaiting, TaskRefused
from infrastructure.sessions.approvals import ApprovalError, DecisionRefused, UnknownApproval
from infrastructure.sessions.errors import (
    BadChange,
    BadCut,
    BadMessage,
    BadSessionId,
    MessageTooLong,
    OutOfOrder,
    SessionExists,
    UnknownSession,
)
from infrastructure.sessions.errors import KeyReused as SessionKeyReused
from infrastructure.sessions.loaded import whole
from infrastructure.sessions.rulebook import UnknownRule
from infrastructure.sessions.waiting import ApprovalsClosed
from infrastructure.storage.errors import DiskFull, StorageError
from infrastructure.storage.runs import AmbiguousRun, IllegalMove, KeyReused, UnknownRun
from infrastructure.tools.schemas import BadTool
from infrastructure.transport.errors import CloudModelRefused, OllamaError
from infrastructure.workflow.lanes import NoModel
from infrastructure.workspace.errors import NotADirectory

MEDIA_TYPE = "application/problem+json"

_METHODS, _TAKEN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), Match.FULL

_logger = logging.getLogger(__name__)


class NoPatch(Exception):
    """The run has no patch yet."""

    hint = "Follow its events; a run that only answers a question never has one."


class NoImage(Exception):
    """The session has no such image."""

    hint = "Take the name from a message of the session's history."


class NoPage(Exception):
    """There is nothing here."""


STATUSES: Mapping[type[Exception], int] = {
    # at the door
    NoToken: 401,
    WrongPassword: 401,
    ForeignHost: 403,
    ForeignOrigin: 403,
    BodyTooLarge: 413,
    NotJson: 415,
    SlowForm: 408,
    BadForm: 422,
    TooManyAttempts: 429,
    HeadersTooLarge: 431,
    Crowded: 503,
    NotOpenYet: 503,
    ShuttingDown: 503,
    TooManyStreams: 429,
    # the task
    TaskRefused: 422,
    NotADirectory: 422,
    CloudModelRefused: 422,
    NoModel: 503,
    ModelNowhere: 422,
    # the conversation
    NoSuchAgent: 422,
    EmptyMessage: 422,
    UnknownCall: 404,
    SessionBusy: 409,
    MessageKeyReused: 409,
    ImagesTooLarge: 413,
    BadImage: 422,
    CannotSee: 422,
    NothingToStop: 409,
    Draining: 503,
    BadTool: 422,
    # the session
    UnknownSession: 404,
    SessionExists: 409,
    SessionKeyReused: 409,
    MessageTooLong: 413,
    BadSessionId: 422,
    BadMessage: 422,
    BadChange: 422,
    BadCut: 422,
    OutOfOrder: 503,
    # the run
    UnknownRun: 404,
    AmbiguousRun: 404,
    NoPatch: 404,
    NoImage: 404,
    UnknownBatch: 404,
    NoPage: 404,
    RunIsOver: 409,
    RunNotWaiting: 409,
    IllegalMove: 409,
    KeyReused: 409,
    UnreadableEvent: 500,
    # an approval
    UnknownApproval: 404,
    UnknownRule: 404,
    DecisionRefused: 422,
    ApprovalsClosed: 503,
    ApprovalError: 409,
    # the settings
    ConfigError: 422,
    Fixed: 409,
    # the machine and the servers
    PoolSaturated: 429,
    OllamaError: 503,
    CleaningUnderWay: 409,
    DiskFull: 507,
    StorageError: 503,
}
"""By the nearest class. What is not here is a bug of ours: 500, and its traceback in the log."""


class Problem(BaseModel):
    """What went wrong, and what to do next."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "type": "about:corral/UnknownRun",
                "title": "Not Found",
                "status": 404,
                "detail": "no run 'abc'",
                "hint": "GET /api/v1/runs lists the runs.",
            }
        },
    )

    type: str
    """`about:corral/` and the error's class."""
    title: str
    status: int
    detail: str
    hint: str = ""


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for the OpenAPI document; those that every route has are added."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}}
        for status in sorted({401, 403, *statuses})
    }


def status_of(error: BaseException) -> int | None:
    """The status of the nearest class that has one."""
    if isinstance(error, ModelNowhere) and error.unreachable:
        return 503  # a server that could not be asked may have it
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)


def problem_of(error: BaseException) -> Problem:
    """An error as it is told; one that is not in the table tells nothing of itself."""
    status = status_of(error)
    if status is None:
        return _problem("InternalError", 500, "something went wrong in Corral", "The log says what.")
    hint = str(getattr(error, "hint", "") or getattr(error, "fix", ""))
    return _problem(type(error).__name__, status, str(error) or str(type(error).__doc__), hint)


def invalid(problems: Sequence[Mapping[str, Any]]) -> Problem:
    """What pydantic found wrong with a request, without the values."""
    told = dict.fromkeys(map(_told, problems))  # a body that two parts of a route read is told of twice
    return _problem("InvalidRequest", 422, "; ".join(told), "See /openapi.json.")


def answer_to(error: BaseException, accept: str = "") -> Response:
    """The answer to a request that failed so, as its `Accept` header wants it."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, NoToken) else {}
    if isinstance(error, EntryRefused) and error.closes:
        headers["Connection"] = "close"
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(max(1, round(seconds)))
    return _response(problem_of(error), headers, accept)


def add_problems(app: FastAPI) -> None:
    """Let FastAPI's own refusals take our shape, and describe it in the OpenAPI document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


class Problems:
    """The outermost edge: an error that nobody answered becomes an answer. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer what is raised, unless the answer has begun."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if scope["type"] == "lifespan" or begun:
                raise  # uvicorn cuts the connection, which is all that can still be said
            if status_of(error) is None:
                _logger.exception("%s %s failed", scope.get("method", "WebSocket"), scope["path"])
            if scope["type"] == "websocket":
                await _refuse_socket(error, scope, receive, send)
                return
            accept = Headers(scope=scope).get("accept", "")
            opened = scope["method"] == "GET" and not scope["path"].startswith("/api/")  # no page to come back to
            to_sign_in = isinstance(error, NoToken) and opened and wants_page(accept)
            answer = RedirectResponse("/signin", 303) if to_sign_in else answer_to(error, accept)
            await answer(scope, receive, send)


async def _refuse_socket(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the opening of a WebSocket with the problem, where the server can, else with its refusal alone."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer_to(error)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": type(error).__name__})


async def _invalid(request: Request, error: Exception) -> Response:
    problems = cast("RequestValidationError", error).errors()
    return _response(invalid(problems), None, request.headers.get("accept", ""))


async def _http(request: Request, error: Exception) -> Response:
    refused, accept = cast("HTTPException", error), request.headers.get("accept", "")
    if isinstance(refused.__cause__, EntryRefused):  # raised while the body was read
        return answer_to(refused.__cause__, accept)
    if refused.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI could not read the body: too deep, or no Unicode
        problem = _problem("InvalidRequest", 422, "the body cannot be read as JSON", "See /openapi.json.")
        return _response(problem, None, accept)
    phrase = HTTPStatus(refused.status_code).phrase
    name = {404: "NoPage", 405: "MethodNotAllowed"}.get(refused.status_code, phrase.title().replace(" ", ""))
    headers = {"Allow": ", ".join(_methods(request))} if refused.status_code == 405 else refused.headers
    return _response(_problem(name, refused.status_code, str(refused.detail) or phrase, ""), headers, accept)


def _methods(request: Request) -> list[str]:
    """All that the address takes; the framework knows those of the first route that it looked at."""
    routes, asked = request.app.router.routes, request.scope
    return [each for each in _METHODS if any(route.matches({**asked, "method": each})[0] is _TAKEN for route in routes)]


def _told(problem: Mapping[str, Any]) -> str:
    """Where and what, without the value: it may be long, or secret."""
    where = ".".join(str(part) for part in cast("Sequence[object]", problem.get("loc", ())))
    return f"{where}: {problem.get('msg', '')}" if where else str(problem.get("msg", ""))


def _problem(name: str, status: int, detail: str, hint: str) -> Problem:
    return Problem(
        type=f"about:corral/{name}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=whole(detail),  # it may repeat what was sent, or the name of a file
        hint=whole(hint),
    )


def _response(problem: Problem, headers: Mapping[str, str] | None, accept: str) -> Response:
    if wants_page(accept):
        answer = small_page(escape(problem.title), _told_to_a_person(problem, headers or {}), problem.status)
        answer.headers.update(headers or {})
        return answer
    return Response(problem.model_dump_json(), problem.status, headers=headers, media_type=MEDIA_TYPE)


def _told_to_a_person(problem: Problem, headers: Mapping[str, str]) -> str:
    said = [alert(problem.detail)]
    if seconds := headers.get("Retry-After"):
        said.append(f"<p>Try again in {escape(seconds)} s.</p>")
    if problem.hint:
        said.append(f"<p>{escape(problem.hint)}</p>")
    said.append('<p><a href="/">Open the page</a> · <a href="/signin">Sign in</a></p>')
    return "\n".join(said)
