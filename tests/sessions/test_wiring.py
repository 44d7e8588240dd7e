"""The application has sessions, and a route gets them by its parameter's type."""

import httpx
from fastapi import FastAPI

from backend.bootstrap import open_application
from backend.dependencies import AgentContextManagerDep, SessionManagerDep
from infrastructure.config.settings import Paths, Settings
from tests.sessions.parts import user


async def test_route_reads_and_writes_the_applications_sessions(tmp_path):
    app = FastAPI()

    @app.post("/{session}")
    async def talk(session: str, sessions: SessionManagerDep, contexts: AgentContextManagerDep) -> list[str]:
        await contexts.get_or_create(session, agent="ask")
        await sessions.append_message(session, user("hello"))
        await contexts.switch_agent(session, "coder")
        return [contexts.get_current_agent(session), *(each.content for each in sessions.get_history(session).messages)]

    settings = Settings(paths=Paths(data=tmp_path / "data"))
    async with open_application(settings) as application:
        app.state.application = application
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://corral") as client:
            assert (await client.post("/s")).json() == ["coder", "hello"]
    async with open_application(settings) as application:
        assert (await application.sessions.load("s")).agent == "coder"
