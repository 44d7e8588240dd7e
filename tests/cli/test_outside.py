"""What the doctor makes of the sandbox, the servers and their models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.cli.findings import Finding
from backend.cli.outside import (
    NOT_ROOT,
    LaneAsked,
    SandboxSeen,
    ServerSeen,
    chosen_model,
    judge_absent,
    judge_choice,
    judge_memory,
    judge_sandbox,
    judge_server,
    judge_window,
)
from infrastructure.config.settings import LaneSettings
from infrastructure.sandbox import Check, Level
from infrastructure.sandbox.opening import open_sandbox
from infrastructure.transport.errors import ModelNotFound, NotAuthorized, ServerUnreachable
from infrastructure.transport.messages import LoadedModel, LocalModel, ModelInfo

HELD = Check(name="a file outside cannot be read", held=True)
ROOT = Check(name=NOT_ROOT, held=False, needed=False, note="one layer less")
LACK = Check(name="a network of its own", held=False, needed=False, note="tests that open a socket fail")


def seen_sandbox(level: Level, *checks: Check, **more: object) -> SandboxSeen:
    told: dict[str, object] = {"wanted": "auto", "origin": "default", "level": level, "checks": checks}
    return SandboxSeen(**(told | more))


def states(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.state for finding in findings]


# ------------------------------------------------------------------------------------------------ sandbox


@pytest.mark.parametrize(
    ("level", "checks", "found"),
    [
        (Level.BUBBLEWRAP, [HELD], ["good"]),
        (Level.BUBBLEWRAP, [HELD, ROOT], ["good", "warning"]),
        (Level.BUBBLEWRAP, [HELD, Check(name="a", held=False)], ["bad", "bad"]),
        (Level.LANDLOCK, [HELD, ROOT, LACK], ["good", "warning", "warning"]),
        (Level.NONE, [Check(name="a", held=False, needed=False), ROOT], ["warning"]),
    ],
)
def test_sandbox_is_judged_by_its_level_and_what_held(level: Level, checks: list[Check], found: list[str]) -> None:
    assert states(judge_sandbox(seen_sandbox(level, *checks))) == found


def test_landlock_that_was_asked_for_is_no_reason_to_install_anything() -> None:
    told = judge_sandbox(seen_sandbox(Level.LANDLOCK, HELD, LACK, wanted="landlock", origin="file /x.toml"))
    assert states(told) == ["good", "good"]
    assert "as sandbox.level says (file /x.toml)" in told[0].said
    assert "nstall" not in "".join(finding.fix for finding in told)


def test_landlock_that_auto_came_to_says_why_nothing_stronger_is_used_and_how_it_would_be() -> None:
    seen = seen_sandbox(
        Level.LANDLOCK,
        HELD,
        passed_over={Level.BUBBLEWRAP: "bubblewrap is not installed"},
        fix="Type: sudo apt install",
    )
    (told,) = judge_sandbox(seen)
    assert (told.state, told.fix) == ("warning", "Type: sudo apt install")
    assert "bubblewrap is not installed" in told.said


@pytest.mark.parametrize(
    ("origin", "fix"),
    [
        ("environment CORRAL_SANDBOX__LEVEL", "Type: unset CORRAL_SANDBOX__LEVEL"),
        ("file /x.toml", "Type: corral config set sandbox.level auto"),
    ],
)
def test_no_sandbox_says_what_it_means_and_how_to_have_one(origin: str, fix: str) -> None:
    (told,) = judge_sandbox(seen_sandbox(Level.NONE, wanted="none", origin=origin))
    assert told.fix == fix
    assert "your rights" in told.said


def test_every_line_that_is_not_well_says_what_to_do() -> None:
    for level in Level:
        for finding in judge_sandbox(seen_sandbox(level, HELD, ROOT, LACK, Check(name="a", held=False))):
            assert finding.state == "good" or finding.fix, finding
            assert "note" not in finding.fix


async def test_name_of_the_check_for_root_is_that_of_the_sandbox() -> None:
    checks = await (await open_sandbox(Level.NONE)).self_check()
    others = {check.name for check in checks if check.needed}
    assert {check.name for check in checks if "ordinary user" in check.note} <= {NOT_ROOT}
    assert NOT_ROOT not in others


# ------------------------------------------------------------------------------------------------ servers


def local(name: str, *capabilities: str, family: str = "qwen2", size: int = 1, remote: str | None = None) -> LocalModel:
    return LocalModel(name, "", size, None, family, "", "", capabilities or None, remote)


def loaded(name: str = "m:latest", window: int | None = 32768, size: int = 10, vram: int = 10) -> LoadedModel:
    return LoadedModel(name, "", size, vram, window, None)


def gpu(*models: LocalModel, in_memory: tuple[LoadedModel, ...] = ()) -> ServerSeen:
    return ServerSeen(label="gpu", version="0.32.15", models=models, loaded=in_memory)


def test_server_without_a_completion_model_is_bad_with_the_pull_command() -> None:
    assert states(judge_server(gpu(local("coder", "completion", "tools")), "default", others=False)) == ["good", "good"]
    assert states(judge_server(gpu(local("older-server-says-nothing")), "default", others=False)) == ["good", "good"]
    _, models = judge_server(gpu(local("embed", "embedding")), "default", others=False)
    assert models.state == "bad"
    assert "ollama pull " in models.fix


def test_what_another_server_can_do_is_only_a_warning_here() -> None:
    down = ServerSeen(label="gpu", fault=ServerUnreachable("refused", server="gpu"))
    for seen in (down, gpu(local("embed", "embedding"))):
        assert judge_server(seen, "flag", others=False)[-1].state == "bad"
        assert judge_server(seen, "flag", others=True)[-1].state == "warning"


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("default", "ollama serve"),
        ("default", "OLLAMA_HOST"),
        ("environment OLLAMA_HOST", "comes from OLLAMA_HOST"),
        ("file /x.toml", "comes from /x.toml"),
        ("flag", "comes from --server"),
    ],
)
def test_server_that_cannot_be_reached_says_who_named_it(origin: str, said: str) -> None:
    (told,) = judge_server(
        ServerSeen(label="gpu", fault=ServerUnreachable("refused", server="gpu")), origin, others=False
    )
    assert said in told.fix
    assert told.said == "The server cannot be reached: refused"


def test_server_that_lets_nobody_in_says_which_settings_do() -> None:
    (told,) = judge_server(ServerSeen(label="gpu", fault=NotAuthorized(401, server="gpu")), "default", others=False)
    assert told.fix.startswith("Set token")


def test_simulated_server_is_called_one() -> None:
    answers, _ = judge_server(gpu(local("oracle", family="simulated")), "flag", others=False)
    assert "a simulated Ollama 0.32.15 answers: no model" in answers.said


@pytest.mark.parametrize(
    ("seen", "chosen", "why"),
    [
        (gpu(local("small", size=1), local("big", size=9)), "big", "largest"),
        (gpu(local("small", size=1), local("big", size=9), in_memory=(loaded("small"),)), "small", "loaded"),
        (
            gpu(local("echo", family="simulated"), local("oracle:latest", family="simulated")),
            "oracle:latest",
            "simulated",
        ),
        (gpu(local("cloud", size=99, remote="https://ollama.com"), local("big", size=9)), "big", "largest"),
        (gpu(local("embed", "embedding")), "", None),
    ],
)
def test_model_that_a_run_takes_is_said_with_the_reason(seen: ServerSeen, chosen: str, why: str | None) -> None:
    assert chosen_model([seen]) == chosen
    if why is not None:
        assert why in judge_choice(chosen, [seen]).said


def test_model_that_no_server_has_is_bad_and_one_that_another_has_is_well() -> None:
    error = ModelNotFound("coder:7b", server="gpu")
    lane = LaneSettings(model="coder:7b")
    assert judge_absent(lane, "gpu", error, others=False).fix == "Type: ollama pull coder:7b"
    assert judge_absent(lane, "gpu", error, others=True).state == "good"
    refused = NotAuthorized(401, server="gpu")
    assert judge_absent(lane, "gpu", refused, others=True).state == "warning"


# ------------------------------------------------------------------------------------------------ windows

INFO = ModelInfo((), 131072, {}, "qwen2", "7B", "Q4", "", "")


def asked(num_ctx: int | None = None, *, named: bool = False) -> LaneAsked:
    return LaneAsked("coder" if named else "m:7b", LaneSettings(model="m:7b", num_ctx=num_ctx), named)


@pytest.mark.parametrize(
    ("lane", "in_memory", "state", "said"),
    [
        (asked(), None, "warning", "not known before the model is loaded"),
        (asked(), loaded(window=4096), "warning", "4,096 tokens, too few"),
        (asked(), loaded(), "good", "32,768 tokens"),
        (asked(32768), None, "good", "32,768 tokens"),
        (asked(32768), loaded(window=16384), "warning", "fewer than the lane's 32,768"),
    ],
)
def test_window_is_judged_as_loaded_else_as_set(
    lane: LaneAsked, in_memory: LoadedModel | None, state: str, said: str
) -> None:
    finding = judge_window("gpu", lane, in_memory, INFO)
    assert finding.state == state
    assert said in finding.said


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        (131072, "its next call loads it with the lane's"),
        (16384, "corral config set 'lanes.\"m:7b\".num_ctx' 16384"),
    ],
)
def test_a_window_that_another_program_asked_for_is_no_fault_of_the_settings(trained: int, said: str) -> None:
    info = ModelInfo((), trained, {}, "qwen2", "7B", "Q4", "", "")
    fix = judge_window("gpu", asked(32768), loaded(window=16384), info).fix
    assert said in fix
    assert "OLLAMA_CONTEXT_LENGTH" not in fix


@pytest.mark.parametrize(
    ("lane", "trained", "command"),
    [
        (asked(), 131072, """'lanes."m:7b"' '{"model": "m:7b", "num_ctx": 32768}'"""),
        (asked(), 8192, """'lanes."m:7b"' '{"model": "m:7b", "num_ctx": 8192}'"""),
        (asked(named=True), 131072, "'lanes.coder.num_ctx' 32768"),
    ],
)
def test_small_window_is_mended_by_the_command_that_is_told(lane: LaneAsked, trained: int, command: str) -> None:
    info = ModelInfo((), trained, {}, "qwen2", "7B", "Q4", "", "")
    assert f"corral config set {command};" in judge_window("gpu", lane, None, info).fix


@pytest.mark.parametrize(
    ("in_memory", "state", "said"),
    [
        (loaded(size=10, vram=4, window=4096), "warning", "only 40 % of the model is on a GPU"),
        (loaded(size=10, vram=0), "warning", "no part of the model is on a GPU"),
        (loaded(), "good", "all of it on the GPU"),
    ],
)
def test_a_part_on_the_cpu_is_told_whatever_the_window(in_memory: LoadedModel, state: str, said: str) -> None:
    finding = judge_memory("gpu", asked(), in_memory, INFO)
    assert finding is not None
    assert finding.state == state
    assert said in finding.said
    assert bool(finding.fix) == (state == "warning")


def test_memory_of_a_model_that_is_not_loaded_or_simulated_is_not_judged() -> None:
    assert judge_memory("gpu", asked(), None, INFO) is None
    assert judge_memory("gpu", asked(), loaded(size=10, vram=0), replace(INFO, family="simulated")) is None
