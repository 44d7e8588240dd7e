"""What researcher, planner and coder see of a repository that is not shown whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from agents.codegen import Plan, Research
from infrastructure.config.settings import LaneSettings, RunSettings, Settings
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.mapping import map_tokens
from infrastructure.workflow.scripted import ScriptedSource
from infrastructure.workspace.mapping.cache import MemoryTags
from infrastructure.workspace.mapping.mapper import Mapper
from infrastructure.workspace.mapping.tokens import estimate_tokens
from tests.workflow.scenario import STUB, Scenario

FILES = {
    "app/__init__.py": "",
    "app/jar.py": "class CookieJar:\n    def expire(self, now: float) -> int:\n        return 0\n",
    "app/client.py": "from app.jar import CookieJar\n\ndef send(jar: CookieJar) -> int:\n    return jar.expire(0.0)\n",
    "app/report.py": "def print_report(rows: list[str]) -> None:\n    print(rows)\n",
    "tests/test_jar.py": "from app.jar import CookieJar\n\ndef test_expire():\n    assert CookieJar().expire(1.0)\n",
    "calc.py": STUB,
}
TASK = "Cookies that have expired are still sent by the client."


def scripted(research: Research) -> ScriptedSource:
    """The roles up to the coder, whose answers change nothing."""
    plan = Plan(summary="s", files=["app/client.py"], steps=["do it"])
    intent = {"summary": "s", "kind": "code", "language": "Python", "acceptance": ["a"]}
    return ScriptedSource(
        {
            "intent": [json.dumps(intent)],
            "researcher": [research.model_dump_json()],
            "planner": [plan.model_dump_json()] * 2,
            "coder": lambda _: f"File: `app/client.py`\n```python\n{FILES['app/client.py']}```\n",
            "tester": lambda _: "no tests",
            "reflector": lambda _: '{"lesson": "l", "approach": "a"}',
        }
    )


async def asked(
    tmp_path: Path, files: Mapping[str, str], *, tokens: int = 1024, research: tuple[str, ...] = ("app/client.py",)
) -> dict[str, str]:
    """The first question of each role, after a run."""
    source = scripted(Research(notes="n", files=list(research)))
    scenario = Scenario(folder=tmp_path, source=source, files=files, task=TASK)
    object.__setattr__(scenario.scope, "map_tokens", tokens)
    await scenario.run(rounds=1, repairs=0)
    roles = ("researcher", "planner", "coder")
    return {role: source.asked(role)[0].messages[-1].content for role in roles if source.asked(role)}


def section(question: str, title: str) -> str:
    """The fenced block below a heading; empty where there is none."""
    return question.partition(f"## {title}")[2].partition("```\n")[2].partition("\n```")[0]


async def test_researcher_sees_the_map_beside_the_listing(tmp_path: Path):
    question = (await asked(tmp_path, FILES))["researcher"]
    drawn = section(question, "Map")
    assert drawn.split("\n")[0] in ("app/jar.py", "app/client.py")
    assert "    def expire(self, now: float) -> int" in drawn.split("\n")
    assert "app/report.py 59 bytes" in question
    assert estimate_tokens(drawn) <= 1024


async def test_planner_sees_a_map_of_the_other_files(tmp_path: Path):
    question = (await asked(tmp_path, FILES))["planner"]
    drawn = section(question, "Map").split("\n")
    assert "app/jar.py" in drawn
    assert "app/client.py" not in drawn, "it is shown whole"


async def test_coder_sees_signatures_of_what_the_planned_files_use(tmp_path: Path):
    question = (await asked(tmp_path, FILES))["coder"]
    drawn = section(question, "Signatures in other files")
    assert drawn == "app/jar.py\n  class CookieJar\n    def expire(self, now: float) -> int"


async def test_researcher_may_choose_a_file_that_only_the_map_shows(tmp_path: Path):
    many = {f"pages/page{number:03}.txt": "x" for number in range(300)}
    deep = "src/very/deep/down/here/cookies.py"
    found = await asked(tmp_path, {**FILES, **many, deep: FILES["app/jar.py"]}, research=(deep, "no/such.py"))
    assert f"{deep} " not in found["researcher"].partition("## Map")[0]
    assert deep in section(found["researcher"], "Map").split("\n")
    assert f"File: `{deep}`" in found["planner"]


@pytest.mark.parametrize("tokens", [0, 40])
async def test_map_keeps_to_its_setting(tmp_path: Path, tokens: int):
    found = await asked(tmp_path, FILES, tokens=tokens)
    drawn = [
        section(found["researcher"], "Map"),
        section(found["planner"], "Map"),
        section(found["coder"], "Signatures"),
    ]
    assert all(estimate_tokens(each) <= tokens for each in drawn)
    assert any(drawn) is (tokens > 0)


async def test_few_files_are_shown_whole_and_not_mapped(tmp_path: Path):
    files = {path: FILES[path] for path in ("app/client.py", "app/jar.py", "calc.py")}
    found = await asked(tmp_path, files)
    assert "## Map" not in found["planner"]
    assert "researcher" not in found


async def test_steps_of_one_run_index_its_snapshot_once(tmp_path: Path):
    reads: list[int] = []

    class Counted(MemoryTags):
        async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
            reads.append(1)
            return await super().get(keys)

    source = scripted(Research(notes="n", files=["app/client.py"]))
    scenario = Scenario(folder=tmp_path, source=source, files=FILES, task=TASK)
    object.__setattr__(scenario.scope, "map_tokens", 500)
    object.__setattr__(scenario.scope, "mapper", Mapper(Counted()))
    await scenario.run(rounds=1, repairs=0)
    assert source.asked("coder")
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("setting", "window", "tokens"), [(1024, None, 1024), (1024, 4096, 512), (1024, 32768, 1024), (0, 4096, 0)]
)
def test_map_takes_at_most_a_share_of_the_window(setting: int, window: int | None, tokens: int):
    settings = Settings(
        run=RunSettings(map_tokens=setting), lanes={"scripted": LaneSettings(model="m", num_ctx=window)}
    )
    assert map_tokens(settings, RoleLanes(settings, "scripted")) == tokens
