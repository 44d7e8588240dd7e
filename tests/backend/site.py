"""The application behind its HTTP door, spoken to without a socket; and a reader of event streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from backend.api import create_app
from backend.bootstrap import Application, open_application
from backend.security.guard import Guard
from backend.stopping import Stopping
from infrastructure.config.settings import Settings
from infrastructure.ids import RunId
from tests.engine.world import TASK

BASE = "http://127.0.0.1:8765"
STREAM = {"Accept": "text/event-stream"}


@dataclass(kw_only=True)
class Site:
    """An application, its door, and somebody who has the token."""

    application: Application
    app: FastAPI
    guard: Guard
    stopping: Stopping
    repo: Path
    token: str
    client: httpx.AsyncClient

    def stranger(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """Somebody without the token."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE, headers=headers)

    def task(self, **more: object) -> dict[str, object]:
        """A task that the simulated server knows."""
        return {"task": TASK, "repo": str(self.repo), **more}

    async def begin(self, **more: object) -> RunId:
        answer = await self.client.post("/api/v1/runs", json=self.task(**more))
        assert answer.status_code == 201, answer.text
        return RunId(answer.json()["run"])

    async def until(self, run: RunId, kind: str, after: int = 0) -> dict[str, object]:
        """Follow the log until an event of this kind."""
        async for stored in self.application.log.follow(run, after):
            if stored.event.kind == kind:
                return stored.event.model_dump()
        raise AssertionError(f"the run ended without {kind}")

    def routes(self) -> list[tuple[str, str]]:
        """Every method and path there is."""
        found = [(method, route.path) for route in every_route(self.app) for method in sorted(route.methods or ())]
        assert len(found) > 15
        return found


def every_route(app: FastAPI) -> list[Route]:
    """The routes of HTTP, also those of routers that are looked up late."""
    found: list[Route] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, Route):
            found.append(route)
        elif not isinstance(route, WebSocketRoute):
            waiting.extend(getattr(route, "routes", ()) or route.original_router.routes)
    return found


@asynccontextmanager
async def site_over(settings: Settings, repo: Path, guard: Guard | None = None) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(open_application(settings, verb="serve"))
        guard, stopping = guard or Guard(port=8765), Stopping()
        app = create_app(lambda: nullcontext(application), guard=guard, stopping=stopping)
        await stack.enter_async_context(app.router.lifespan_context(app))
        token = application.directory.token.read_text()
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url=BASE, headers={"Authorization": f"Bearer {token}"}
            )
        )
        yield Site(
            application=application, app=app, guard=guard, stopping=stopping, repo=repo, token=token, client=client
        )  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One server-sent event, as it came."""

    event: str
    data: str
    id: int | None = None

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.data)


async def frames_of(answer: httpx.Response) -> AsyncIterator[Frame]:
    """The events of a stream; comments and `retry` are left out."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "event" in fields:
                yield Frame(fields["event"], fields["data"], int(fields["id"]) if "id" in fields else None)
            fields = {}
