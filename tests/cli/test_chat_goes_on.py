"""Where a chat goes on when the holder of the engine is gone: where it was, whatever the command line said."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.bootstrap import open_application
from backend.cli.chat import Asked, opened_chat
from backend.cli.conversing import Chat
from backend.cli.hosting import host_of
from backend.cli.slashes import obey
from infrastructure.config.settings import Paths, ServerSettings, Settings
from tests.cli.chatting import Screen


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["/new"], ("", "a", "orchestrator")),
        (["/open {b}"], ("{b}", "b", "orchestrator")),
        (["/open {b}", "/new"], ("", "b", "orchestrator")),
        (["/new", "/agent ask"], ("", "a", "ask")),
        ([], ("{a}", "a", "coder")),
    ],
)
async def test_chat_goes_on_where_it_was(tmp_path: Path, commands: list[str], said: tuple[str, str, str]):
    for name in "ab":
        (tmp_path / name).mkdir()
    settings = Settings(
        servers=(ServerSettings(url="http://127.0.0.1:9"),),
        paths=Paths(data=tmp_path / "data", config=tmp_path / "config" / "corral.toml"),
    )
    screen = Screen()
    asked = Asked(
        session=None, agent="coder", folder=tmp_path / "a", new=False, once=None, output="text", quiet=False, again=""
    )
    async with open_application(settings, verb="chat") as app:
        sessions = {name: await app.sessions.create(workspace=str(tmp_path / name)) for name in "ab"}
        ids = {name: record.session for name, record in sessions.items()}

        async def opened(asked: Asked) -> Chat:
            return await opened_chat(asked, host_of(app), settings, screen.terminal)

        before = await opened(asked)
        for command in commands:
            assert await obey(before, command.format(**ids))
        after = await opened(asked.after(before))
        stands = (after.session, Path(after.workspace).name, await after.agent())
        assert stands == (said[0].format(**ids), *said[1:])


async def test_agent_that_was_asked_for_before_the_first_message_still_gets_it(tmp_path: Path):
    settings = Settings(
        servers=(ServerSettings(url="http://127.0.0.1:9"),),
        paths=Paths(data=tmp_path / "data", config=tmp_path / "config" / "corral.toml"),
    )
    asked = Asked(
        session=None, agent="coder", folder=tmp_path, new=False, once=None, output="text", quiet=False, again=""
    )
    async with open_application(settings, verb="chat") as app:
        chats = [await opened_chat(asked, host_of(app), settings, Screen().terminal)]
        chats.append(await opened_chat(asked.after(chats[0]), host_of(app), settings, Screen().terminal))
        assert [await each.agent() for each in chats] == ["coder", "coder"]
