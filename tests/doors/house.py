"""The application behind a real socket, over a model that says what it is told; and the ends of a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect

from agents.model import JsonObject
from backend.bootstrap import Application, open_application
from backend.server import Door, open_door
from infrastructure.config.settings import LaneSettings, Paths, ServerSettings, SessionSettings, Settings
from tests.backend.site import STREAM, Frame, frames_of

OPEN_TAB: JsonObject = {
    "name": "open_tab",
    "description": "Open a file in the editor.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "risk": "reads",
}
SESSIONS = "/api/v1/sessions"


def settings_of(folder: Path, url: str, **sessions: object) -> Settings:
    return Settings(
        servers=(ServerSettings(url=url, slots=4),),
        model="talker",
        lanes={"talker": LaneSettings(model="talker", num_ctx=32768)},
        paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
        sessions=SessionSettings(**sessions),
    )


@dataclass
class Line:
    """One end of a WebSocket; what came is kept."""

    socket: ClientConnection
    heard: list[dict[str, object]] = field(default_factory=list)

    async def next(self) -> dict[str, object]:
        told = json.loads(await self.socket.recv())
        self.heard.append(told)
        return told

    async def chunk(self, kind: str) -> dict[str, object]:
        """Listen until a chunk of this kind."""
        while True:
            told = await self.next()
            if told["type"] == "chunk" and told["chunk"]["kind"] == kind:
                return told["chunk"]

    async def event(self, kind: str) -> dict[str, object]:
        """Listen until an event of this kind."""
        while True:
            told = await self.next()
            if told["type"] == "event" and told["event"]["kind"] == kind:
                return told["event"]

    async def say(self, command: object) -> dict[str, object]:
        """Send a command, and listen until its answer."""
        await self.socket.send(json.dumps(command))
        while (told := await self.next())["type"] not in ("accepted", "refused"):
            pass
        return told

    async def rest(self) -> list[dict[str, object]]:
        """Listen until the other side closes."""
        async for message in self.socket:
            self.heard.append(json.loads(message))
        return self.heard

    def events(self) -> list[dict[str, object]]:
        return [told["event"] for told in self.heard if told["type"] == "event"]


@dataclass(kw_only=True)
class House:
    """An application, its open door, and somebody who has the token."""

    application: Application
    door: Door
    client: httpx.AsyncClient
    workspace: Path

    @property
    def token(self) -> str:
        return self.application.directory.token.read_text()

    async def session(self, *client_tools: JsonObject, **more: object) -> str:
        """A session that works in the workspace."""
        told = {"workspace": str(self.workspace), "settings": {"client_tools": client_tools}, **more}
        answer = await self.client.post(SESSIONS, json=told)
        assert answer.status_code == 201, answer.text
        return answer.json()["session"]

    async def say(self, session: str, text: str, **more: object) -> list[Frame]:
        """Say something, and read the answer until it is over or waits."""
        path = f"{SESSIONS}/{session}/messages"
        async with self.client.stream("POST", path, json={"text": text, **more}, headers=STREAM) as answer:
            assert answer.status_code == 200, await answer.aread()
            return [frame async for frame in frames_of(answer)]

    async def watched(self, session: str) -> list[Frame]:
        """The turn that is open, to its end."""
        async with self.client.stream("GET", f"{SESSIONS}/{session}/stream", headers=STREAM) as answer:
            return [frame async for frame in frames_of(answer)]

    async def watching(self, session: str) -> asyncio.Task[list[Frame]]:
        """Somebody who watches the turn that is open, and has seen the first of it."""
        begun = asyncio.Event()

        async def watch() -> list[Frame]:
            frames: list[Frame] = []
            async with self.client.stream("GET", f"{SESSIONS}/{session}/stream", headers=STREAM) as answer:
                async for frame in frames_of(answer):
                    frames.append(frame)
                    begun.set()
            return frames

        task = asyncio.create_task(watch())
        await begun.wait()
        return task

    async def history(self, session: str) -> list[dict[str, object]]:
        """All messages, oldest first, read in pages of three."""
        found: list[dict[str, object]] = []
        before: dict[str, int] = {}
        while True:
            answer = (await self.client.get(f"{SESSIONS}/{session}/history", params={"limit": 3, **before})).json()
            found += answer["messages"]
            if answer["next"] is None:
                return found[::-1]
            before = {"before": answer["next"]}

    def address(self, session: str, after: int = 0) -> str:
        return f"{self.door.address.replace('http', 'ws')}{SESSIONS}/{session}/ws?after={after}"

    @asynccontextmanager
    async def line(self, session: str, after: int = 0) -> AsyncIterator[Line]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with connect(self.address(session, after), additional_headers=headers, proxy=None) as socket:
            yield Line(socket)


@asynccontextmanager
async def house(folder: Path, url: str, **sessions: object) -> AsyncIterator[House]:
    async with housed(settings_of(folder, url, **sessions), folder / "work") as here:
        yield here


@asynccontextmanager
async def housed(settings: Settings, workspace: Path) -> AsyncIterator[House]:
    workspace.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(open_application(settings, verb="serve"))
        door = await stack.enter_async_context(open_door(application))
        token = application.directory.token.read_text()
        client = httpx.AsyncClient(
            base_url=door.address, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        await stack.enter_async_context(client)
        yield House(application=application, door=door, client=client, workspace=workspace)


def kinds(frames: Sequence[Frame]) -> list[str]:
    """What a turn's stream told, without the empty ends of texts."""
    return [frame.event for frame in frames if not (frame.event == "text" and frame.json["message"])]


def problem(answer: httpx.Response) -> tuple[int, str]:
    told: Mapping[str, str] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["detail"]
    return answer.status_code, told["type"].removeprefix("about:corral/")
