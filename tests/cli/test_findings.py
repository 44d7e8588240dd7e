"""What the doctor says of what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.cli.checkup import judge_models, judge_sandbox, judge_window
from backend.cli.findings import (
    check_data,
    check_git,
    check_names,
    check_proxies,
    check_python,
    check_sqlite,
)
from infrastructure.config.settings import LaneSettings, ServerSettings
from infrastructure.sandbox import Check, Level
from infrastructure.transport.messages import LoadedModel, LocalModel, ModelInfo

INFO = ModelInfo((), 32768, {}, "qwen2", "7B", "Q4", "", "")


def local(name: str, *capabilities: str) -> LocalModel:
    return LocalModel(name, "", 1, None, "", "", "", capabilities or None)


def loaded(window: int, size: int = 10, vram: int = 10) -> LoadedModel:
    return LoadedModel("m:latest", "", size, vram, window, None)


@pytest.mark.parametrize(("version", "state"), [((3, 10, 9), "bad"), ((3, 11, 0), "good"), ((3, 14, 1), "good")])
def test_python_below_3_11_is_bad(version: tuple[int, ...], state: str) -> None:
    assert check_python(version).state == state


@pytest.mark.parametrize(("version", "state"), [((3, 40, 1), "warning"), ((3, 51, 2), "warning"), ((3, 51, 3), "good")])
def test_sqlite_with_the_reset_bug_is_a_warning(version: tuple[int, ...], state: str) -> None:
    assert check_sqlite(version).state == state


def test_missing_git_is_a_warning_since_plain_folders_work() -> None:
    assert check_git(None).state == "warning"
    assert check_git("git version 2.43.0\n").said == "2.43.0"


def test_data_directory_is_made_and_written(tmp_path: Path) -> None:
    finding = check_data(tmp_path / "new" / "data")
    assert finding.state in ("good", "warning")
    assert (tmp_path / "new" / "data").is_dir()


def test_data_directory_that_cannot_be_made_is_bad_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = check_data(tmp_path / "file" / "data")
    assert finding.state == "bad"
    assert "--data" in finding.fix


def test_other_owner_of_a_top_level_name_is_bad() -> None:
    assert check_names({"agents": ["corral"], "backend": ["corral"]}).state == "good"
    finding = check_names({"agents": ["corral", "openai-agents"], "rich": ["rich"]})
    assert finding.state == "bad"
    assert "openai-agents" in finding.said
    assert "pipx" in finding.fix


def test_proxy_matters_only_for_servers_elsewhere() -> None:
    here, there = ServerSettings(), ServerSettings(url="http://gpu.lan:11434")
    proxy = {"https_proxy": "http://proxy:3128"}
    assert check_proxies([there], {}).state == "good"
    assert check_proxies([here], proxy).state == "good"
    finding = check_proxies([here, there], proxy)
    assert finding.state == "warning"
    assert "NO_PROXY=gpu.lan" in finding.fix


@pytest.mark.parametrize(
    ("level", "checks", "states"),
    [
        (Level.BUBBLEWRAP, [Check(name="a", held=True)], ["good"]),
        (Level.LANDLOCK, [Check(name="a", held=True)], ["warning"]),
        (Level.NONE, [], ["warning"]),
        (Level.BUBBLEWRAP, [Check(name="a", held=False)], ["bad", "bad"]),
        (Level.BUBBLEWRAP, [Check(name="a", held=False, needed=False, note="n")], ["good", "warning"]),
    ],
)
def test_sandbox_is_judged_by_its_level_and_what_held(level: Level, checks: list[Check], states: list[str]) -> None:
    assert [finding.state for finding in judge_sandbox(level, checks)] == states


def test_server_without_a_completion_model_is_bad_with_the_pull_command() -> None:
    assert judge_models("gpu", [local("coder", "completion", "tools")]).state == "good"
    assert judge_models("gpu", [local("older-server-says-nothing")]).state == "good"
    finding = judge_models("gpu", [local("embed", "embedding")])
    assert finding.state == "bad"
    assert finding.fix.startswith("ollama pull ")


@pytest.mark.parametrize(
    ("lane", "in_memory", "state", "said"),
    [
        (LaneSettings(model="m"), None, "warning", "known once the model is loaded"),
        (LaneSettings(model="m"), loaded(4096), "warning", "4,096 tokens, little for code"),
        (LaneSettings(model="m"), loaded(32768), "good", "32,768 tokens"),
        (LaneSettings(model="m", num_ctx=32768), None, "good", "32,768 tokens"),
        (LaneSettings(model="m", num_ctx=32768), loaded(16384), "warning", "fewer than the lane's 32,768"),
        (LaneSettings(model="m"), loaded(32768, size=10, vram=4), "warning", "only 40 % of it on the GPU"),
    ],
)
def test_window_is_judged_as_loaded_else_as_set(
    lane: LaneSettings, in_memory: LoadedModel | None, state: str, said: str
) -> None:
    finding = judge_window("gpu", lane, in_memory, INFO)
    assert finding.state == state
    assert said in finding.said
