"""The application has conversations over its own parts, and goes on with a turn that was killed where it talks."""

from __future__ import annotations

import asyncio

import pytest

from backend.bootstrap import open_application
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.conversation.ports import Decided
from infrastructure.conversation.saying import Said
from infrastructure.sessions.errors import UnknownSession
from tests.conversation.stack import called, simulator
from tests.conversation.world import kinds, talk


def settings_of(folder, url) -> Settings:
    return Settings(
        servers=(ServerSettings(url=url, slots=4),),
        model="talker",
        paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
    )


async def test_application_talks_with_custom_agents_and_forgets_deleted_sessions(tmp_path):
    folder = tmp_path / "config" / "agents"
    folder.mkdir(parents=True)
    (folder / "poet.md").write_text("---\nname: poet\nabout: Rhymes.\n---\nYou rhyme.\n")
    (folder / "bad.md").write_text("---\nname: coder\n---\nNo.\n")
    async with simulator("An ode.") as server, open_application(settings_of(tmp_path, server.url)) as app:
        session = str((await app.sessions.create()).session)
        chunks = await talk(app.conversations.process_message(session, "Sing", "poet"))
        assert kinds(chunks) == ["text", "done"]
        assert app.agent_contexts.get_current_agent(session) == "poet"
        await app.sessions.delete(session)
        with pytest.raises(UnknownSession):
            await app.conversations.begin(session, Said("Sing"))


async def test_approval_of_a_session_is_answered_in_the_next_process(tmp_path):
    write = called("write_file", '{"path": "a.py", "content": "x = 1"}')
    work = tmp_path / "work"
    work.mkdir()
    async with simulator(write, "Written.") as server:
        settings = settings_of(tmp_path, server.url)
        async with open_application(settings) as app:
            session = str((await app.sessions.create(workspace=str(work))).session)
            await talk(app.conversations.process_message(session, "Write", "coder", ends_when_waiting=True))
            (asked,) = await app.approvals.pending(session)
        async with open_application(settings, verb="serve") as app:
            following = asyncio.create_task(talk(app.conversations.follow(session)))
            await app.conversations.decide(asked.id, Decided(kind="approve"), "test")
            assert (await following)[-1].kind == "done"
            assert (work / "a.py").read_text() == "x = 1\n"
