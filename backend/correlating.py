"""Each request has an id: the caller's own, in `X-Request-ID`, or a new one; the answer bears it.

Owns the header. All that a request begins carries its id as correlation: events, log lines, the runs it starts. Where
traces are sent, what `traceparent` says of the caller's own trace is noted under it.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.bootstrap import Application
from infrastructure.events.causes import correlated, is_correlation
from infrastructure.ids import new_id
from infrastructure.telemetry.parents import HEADER as TRACE_HEADER
from infrastructure.telemetry.parents import Parents

HEADER = "X-Request-ID"


class Correlation:
    """Sets the id for all that a request begins. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with an id; one of the caller's that is no id is replaced, since logs and headers would show it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        request = given if is_correlation(given) else new_id()
        if (parents := _parents(scope)) is not None:
            parents.remember(request, headers.get(TRACE_HEADER, ""))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request
            await send(message)

        with correlated(request):
            return await self._app(scope, receive, sending)


def _parents(scope: Scope) -> Parents | None:
    """Where a caller's trace is noted; None where no traces are sent, or nothing is open yet."""
    application: Application | None = getattr(scope["app"].state, "application", None)
    exporting = None if application is None else application.exporting
    return None if exporting is None else exporting.parents
