"""Custom agents are files beside the settings; a bad one is told and harms no other."""

from __future__ import annotations

from agents.conversation.router import AgentRouter
from infrastructure.config.settings import Settings
from infrastructure.conversation.custom_agents import MOST_BYTES, MOST_FILES, agents_folder, read_agents
from infrastructure.conversation.models import AgentLanes

GOOD = "---\nname: {name}\nabout: Rhymes.\ntools: read_file\nlane: small\n---\nYou rhyme.\n"


async def test_bad_files_are_told_and_passed_over(tmp_path):
    folder = agents_folder(tmp_path / "corral.toml")
    folder.mkdir()
    (folder / "a.md").write_text(GOOD.format(name="poet"))
    (folder / "b.md").write_text(GOOD.format(name="poet"))
    (folder / "c.md").write_text(GOOD.format(name="coder"))
    (folder / "d.md").write_bytes(b"\xff\xfe")
    (folder / "e.md").mkdir()
    (folder / "f.md").write_text("x" * (MOST_BYTES + 1))
    (folder / "notes.txt").write_text("no agent")
    (folder / "g.md").write_text("\ufeff" + GOOD.format(name="bard"), encoding="utf-8")
    found = await read_agents(folder)
    assert [profile.name for profile in found.profiles] == ["poet", "bard"]
    told = dict(zip("bcdef", found.problems, strict=True))
    for name, why in {"b": "already", "c": "taken", "d": "not UTF-8", "e": "", "f": "longer than"}.items():
        assert told[name].startswith(f"{folder / f'{name}.md'}: ")
        assert why in told[name]


async def test_no_folder_and_too_many_files_stop_nothing(tmp_path):
    assert (await read_agents(tmp_path / "none")).profiles == ()
    for at in range(MOST_FILES + 2):
        (tmp_path / f"{at:03}.md").write_text(GOOD.format(name=f"poet{at}"))
    found = await read_agents(tmp_path)
    assert (len(found.profiles), len(found.problems)) == (MOST_FILES, 2)


async def test_lane_is_the_agents_own_before_the_settings(tmp_path):
    (tmp_path / "a.md").write_text(GOOD.format(name="poet"))
    router = AgentRouter((await read_agents(tmp_path)).profiles)
    settings = Settings(model="common", roles={"coder": "big", "poet": "never"})
    lanes = AgentLanes(settings, None, router)
    assert [lanes.of(agent) for agent in ("poet", "coder", "ask", "summariser")] == ["small", "big", "common", "common"]
