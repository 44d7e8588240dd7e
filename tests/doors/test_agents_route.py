"""Who can be named in a session, over HTTP."""

from __future__ import annotations

from pathlib import Path

from agents.conversation.roster import AgentType
from tests.conversation.stack import simulator
from tests.conversation.test_agent_files import POET
from tests.doors.house import house


async def test_agents_are_listed_the_six_first_and_custom_ones_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "agents"
    folder.mkdir(parents=True)
    (folder / "poet.md").write_text(POET)
    async with simulator("Hello.") as server, house(tmp_path, server.url) as here:
        agents = (await here.client.get("/api/v1/agents")).json()["agents"]
    assert [each["name"] for each in agents] == [*AgentType, "poet"]
    assert agents[-1]["about"] == "Writes verse."
    assert all(each["about"] for each in agents)
