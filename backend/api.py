"""The application as FastAPI has it: routes, guards, the lifespan.

Owns their order. Outermost first: the request's id, security headers, problems, the guard, the refusal while shutting
down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware

from backend.bootstrap import Application
from backend.correlating import Correlation
from backend.dependencies import Doorway
from backend.problems import Problem, Problems, add_problems
from backend.routers import (
    agents,
    approvals,
    batches,
    cleaning,
    config,
    health,
    metrics,
    page,
    pool,
    runs,
    sessions,
    signin,
    talking,
)
from backend.security.cookies import Cookies
from backend.security.guard import PUBLIC_PATHS, Guard, GuardMiddleware
from backend.security.headers import SecurityHeaders
from backend.security.token import open_keys
from backend.stopping import RefuseNewWork, Stopping
from infrastructure.telemetry import names

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""The framework's own: a variable of the environment could have it sent away, with messages of errors."""
OpenApplication = Callable[[], AbstractAsyncContextManager[Application]]


def create_app(
    open_application: OpenApplication, *, guard: Guard | None = None, stopping: Stopping | None = None
) -> FastAPI:
    """The HTTP door to an application.

    Args:
        open_application: Opens it, when the server starts; what it returns closes it, when the server has ended.
        guard: Who may enter; by default loopback names, and a cookie of the usual port.
        stopping: Told when the server goes down.
    """
    doorway = Doorway(guard or Guard(port=8765), stopping or Stopping())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_application() as application:
            app.state.application = application
            application.figures.gauges.add(names.SSE_CLIENTS, lambda: doorway.stopping.streams)
            app.state.page = await asyncio.to_thread(page.page_files)
            keys = await asyncio.to_thread(open_keys, application.directory.token)
            cookies = await asyncio.to_thread(Cookies.open, keys, application.directory.cookies)
            doorway.guard.open_with(cookies, application.epoch)
            yield

    app = FastAPI(
        title="Corral",
        summary="Turns the Ollama servers you own into a code-generation engine.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        middleware=[
            Middleware(Correlation),
            Middleware(SecurityHeaders),
            Middleware(Problems),
            Middleware(GuardMiddleware, guard=doorway.guard),
            Middleware(RefuseNewWork, stopping=doorway.stopping),
        ],
    )
    app.state.doorway = doorway
    add_problems(app)
    for module in (
        runs,
        agents,
        sessions,
        talking,
        approvals,
        pool,
        batches,
        cleaning,
        config,
        health,
        metrics,
        signin,
        page,
    ):
        app.include_router(module.router)
    app.openapi = lambda: _document(app)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with what FastAPI cannot know: the guard, and the shape of refusals."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "The file `token` of the data directory."}
        }
        document["security"] = [{"token": []}]
        for path in PUBLIC_PATHS & document["paths"].keys():
            for operation in document["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
