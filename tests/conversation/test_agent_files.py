"""Custom agents that are read again."""

import asyncio
from pathlib import Path

from agents.conversation.router import AgentRouter
from infrastructure.config.settings import Settings
from infrastructure.conversation.custom_agents import AgentFiles, read_agents

POET = "---\nname: poet\nabout: Writes verse.\ntools: read_file\n---\nYou write verse.\n"


async def test_agents_are_exchanged_when_their_files_change(tmp_path: Path) -> None:
    folder, used = tmp_path / "agents", list[AgentRouter]()
    folder.mkdir()
    (folder / "poet.md").write_text(POET)
    now = await read_agents(folder)
    files = AgentFiles(tmp_path / "corral.toml", used.append, now.profiles)
    assert files.places == (folder,)
    assert (await asyncio.to_thread(files.read, Settings())).changed == ()
    (folder / "poet.md").write_text(POET.replace("verse", "sonnets"))
    (folder / "critic.md").write_text(POET.replace("poet", "critic"))
    (folder / "bad.md").write_text("no front matter")
    again = await asyncio.to_thread(files.read, Settings())
    assert again.changed == ("agents.critic", "agents.poet")
    assert used == []  # read, and not used yet
    again.apply()
    assert {"critic", "poet"} <= set(used[0].names)
    (folder / "poet.md").unlink()
    assert (await asyncio.to_thread(files.read, Settings())).changed == ("agents.poet",)
