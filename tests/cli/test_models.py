"""`corral models`: what is listed, pulled and checked, and which lanes are said to fit together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.cli.checking import Checked, findings_of
from backend.cli.fitting import fit_finding, plan_finding, wanted_lanes
from infrastructure.config.settings import LaneSettings, Settings
from infrastructure.pool.calls import Reply
from infrastructure.pool.fitting import Fit, ServerMemory, judge_fit
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.transport.errors import ServerFailed
from infrastructure.transport.messages import LoadedModel, LocalModel, Metrics, ModelInfo
from tests.cli.conftest import Corral, refused, serve

GB = 10**9
INFO = ModelInfo(
    capabilities=("completion", "tools"), context_length=32768, parameters={}, family="qwen2", parameter_size="7B",
    quantization="Q4_K_M", template="{{ .Prompt }}", system="",
)  # fmt: skip
METRICS = Metrics(prompt_tokens=500, prompt_ns=10**9, completion_tokens=90, decode_ns=3 * 10**9, load_ns=2 * 10**9)
REPLY = Reply(text="one two", metrics=METRICS, model="m", server="gpu", first_byte_seconds=3.0)
SHOWN = {
    "a:latest": replace(INFO, cache_token_bytes=131072),
    "b:latest": replace(INFO, cache_token_bytes=131072, parameters={"num_ctx": 4096}),
}
LANES = {"a": LaneSettings(model="a", num_ctx=8192), "b": LaneSettings(model="b")}


def local(name: str, size: int) -> LocalModel:
    return LocalModel(f"{name}:latest", "d", size, None, "qwen2", "7B", "Q4_K_M", None)


def loaded(name: str, size: int, vram: int | None = None, window: int | None = 8192) -> LoadedModel:
    return LoadedModel(f"{name}:latest", "d", size, size if vram is None else vram, window, None)


def seen(*in_memory: LoadedModel, places: int | None = None, shown: dict[str, ModelInfo] | None = None) -> ServerMemory:
    on_disk = (local("a", 4 * GB), local("b", 5 * GB))
    return ServerMemory(label="gpu", models=on_disk, loaded=in_memory, places=places, slots=2, shown=shown or {})


# ------------------------------------------------------------------------------------------------- fitting


@pytest.mark.parametrize(
    ("server", "lanes", "places", "verdict", "said"),
    [
        (seen(), LANES, 1, "no", "2 models, and it holds 1 at once"),
        (seen(), LANES, 2, "unknown", "9.0 GB together, a, b by the file's size"),
        (seen(loaded("a", 6 * GB)), LANES, None, "unknown", "11.0 GB together, b by the file's size"),
        (seen(loaded("a", 6 * GB), loaded("b", 7 * GB)), LANES, None, "yes", "all of them are in memory now, 13.0 GB"),
        (seen(loaded("a", 6 * GB, window=4096), loaded("b", 7 * GB)), LANES, None, "unknown", "a by the file's size"),
        (seen(loaded("a", 6 * GB), loaded("b", 7 * GB, 5 * GB)), LANES, None, "no", "a part of b runs on the CPU"),
        (seen(loaded("a", 6 * GB, 0), loaded("b", 7 * GB, 0)), LANES, None, "yes", "in memory now"),
        (seen(), {"x": LaneSettings(model="x")}, None, "unknown", "none of their models"),
        (seen(), {**LANES, "c": LaneSettings(model="a")}, None, "no", "a and c load a:latest with different options"),
        (seen(), {**LANES, "c": LaneSettings(model="a", num_ctx=8192)}, 2, "unknown", "9.0 GB together"),
        # Of b the window is pinned in its Modelfile, of a it is the lane's: two slots of 8,192 and of 4,096 tokens.
        (seen(shown=SHOWN), LANES, None, "unknown", "12.2 GB together, a, b by the file's size and the window"),
        (seen(loaded("x", 14 * GB), shown=SHOWN), LANES, None, "yes", "about 12.2 GB together, and 14.0 GB are on"),
        (seen(loaded("x", 13 * GB), shown=SHOWN), LANES, None, "unknown", "12.2 GB together"),
        (seen(loaded("x", 14 * GB, 8 * GB)), LANES, None, "no", "9.0 GB together, and the GPU's memory is full with 8"),
    ],
)
def test_lanes_are_said_to_fit_as_far_as_servers_tell(
    server: ServerMemory, lanes: dict[str, LaneSettings], places: int | None, verdict: str, said: str
) -> None:
    fit = judge_fit(replace(server, places=places), lanes)
    assert fit.verdict == verdict
    assert said in fit.said
    assert bool(fit.fix) == (verdict != "yes")


def test_doctor_warns_of_lanes_that_do_not_fit_and_is_silent_where_there_is_one() -> None:
    def finding(fit: Fit) -> tuple[str, str] | None:
        found = fit_finding(fit)
        return None if found is None else (found.state, found.said)

    assert finding(judge_fit(seen(), {"a": LANES["a"]})) is None
    assert (finding(judge_fit(seen(places=1), LANES)) or ("", ""))[0] == "warning"
    state, said = finding(judge_fit(seen(), LANES)) or ("", "")
    assert (state, said.partition(":")[0]) == ("good", "not known whether they fit together")


def test_doctor_has_a_table_of_the_roles_models_and_warns_where_they_take_turns() -> None:
    settings = Settings(model="a", roles={"planner": "b", "tester": "b"}, lanes=LANES)
    (one,) = plan_finding(settings, [seen()])
    assert (one.state, one.rows) == ("good", ("the other roles: a on gpu", "planner, tester: b on gpu"))
    (other,) = plan_finding(settings, [seen(places=1)])
    assert (other.state, other.rows[1]) == ("warning", "planner, tester: b on no server of its own")
    assert "b has no place of its own in memory beside a (gpu)" in other.said
    assert plan_finding(Settings(model="a"), [seen()]) == ()


def test_lanes_are_those_of_the_settings_and_of_roles_without_clouds() -> None:
    settings = Settings(model="m", lanes={"a": LANES["a"], "far": LaneSettings(model="x:cloud")}, roles={"coder": "a"})
    assert list(wanted_lanes(settings)) == ["a", "m"]


# ------------------------------------------------------------------------------------------------ checking


def checked(num_ctx: int | None = None, in_memory: LoadedModel | None = None, reply: Reply | None = REPLY) -> Checked:
    lane = LaneSettings(model="m", num_ctx=num_ctx)
    return Checked(server="gpu", model="m", lane=lane, info=INFO, loaded=in_memory, reply=reply)


@pytest.mark.parametrize(
    ("result", "name", "state", "said"),
    [
        (checked(), "m on gpu", "good", "after a load of 2.0 s: first token 3.00 s, prompt 500 tokens/s, answer 30.0"),
        (
            checked(8192, loaded("m", GB)),
            "context",
            "good",
            "8,192 tokens, as the lane asks; it was trained for 32,768",
        ),
        (checked(16384, loaded("m", GB)), "context", "warning", "8,192 tokens, fewer than the 16,384"),
        (checked(None, loaded("m", GB)), "context", "good", "the server's choice"),
        (checked(None, loaded("m", GB)), "memory", "good", "all of it on the GPU"),
        (checked(None, loaded("m", GB, GB // 4)), "memory", "warning", "only 25 % of it on the GPU"),
        (checked(None, loaded("m", GB, 0)), "memory", "warning", "none of it on a GPU"),
        (checked(), "abilities", "good", "completion, tools; not: thinking; Q4_K_M quantization"),
    ],
)
def test_a_check_says_what_was_found(result: Checked, name: str, state: str, said: str) -> None:
    finding = next(each for each in findings_of(result) if each.name == name)
    assert finding.state == state
    assert said in finding.said
    assert bool(finding.fix) == (state != "good")


def test_a_model_that_fails_is_told_with_the_servers_words() -> None:
    fault = ServerFailed(500, "out of memory", server="gpu")
    (finding,) = findings_of(Checked(server="gpu", model="m", lane=LaneSettings(model="m"), fault=fault))
    assert finding.state == "bad"
    assert "out of memory" in finding.said


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def slow_server() -> Iterator[str]:
    """A server without a GPU."""
    small = ModelSpec(name="small", text="one two three", size=2 * GB, family="qwen2")
    yield from serve(SimulatorSettings(models=(small,), time_scale=0, pull_seconds=0, num_ctx=4096))


def test_models_are_listed_with_size_place_and_abilities(corral: Corral) -> None:
    lines = corral("models").out.splitlines()
    assert lines[0].split() == ["model", "size", "kind", "in", "memory", "profile", "can"]
    assert any(line.split()[:3] == ["echo:latest", "1.0", "GB"] and "completion, tools" in line for line in lines)
    assert "echo:latest" in [model["name"] for model in corral("models", "list", "--json").document]


def test_a_pull_tells_its_steps_and_one_that_fails_why(corral: Corral) -> None:
    done = corral("models", "pull", "echo")
    assert (done.code, done.out) == (0, "pulled echo; `corral models check echo` tries it\n")
    assert done.err.splitlines()[0] == "pulling manifest"
    assert done.err.splitlines()[-1] == "success"
    assert corral("models", "pull", "echo", "--quiet", "--json").document == {"model": "echo", "status": "success"}
    failed = corral("models", "pull", "nosuch", "--quiet")
    refused(failed, 3, "could not fetch the model")


def test_a_check_asks_the_model_and_tells_programs_the_same(corral: Corral) -> None:
    done = corral("models", "check", "echo")
    assert done.code == 0, done.err
    assert [line[:10] for line in done.out.splitlines()][1:3] == ["✓ context:", "✓ memory: "]
    told = corral("models", "check", "echo", "--json").document
    (server,) = told["servers"]
    assert (told["ok"], server["answers"], server["context_asked"]) == (True, True, None)
    assert server["context_effective"] == server["context_trained"] == 32768
    assert "makes vectors" in corral("models", "check", "embedder").out


def test_a_model_that_no_server_has_and_a_server_that_is_not_there_are_refused(corral: Corral) -> None:
    refused(corral("models", "check", "nosuch"), 3, "nosuch", "echo:latest")
    corral.server = "http://127.0.0.1:1"
    done = corral("models", "check", "echo")
    assert done.code == 3
    assert "→ check that Ollama runs there" in done.out
    refused(corral("models", "list"), 3, "reached")
    refused(corral("models", "fit", "--config", str(_settings(corral.data.parent))), 3, "reached")


def test_a_server_with_a_cpu_only_model_is_told(corral: Corral, slow_server: str) -> None:
    corral.server = slow_server
    done = corral("models", "check", "small")
    assert "! memory: 2.0 GB in memory, none of it on a GPU" in done.out


def test_fit_says_what_the_settings_want_and_ends_with_1_where_it_cannot_be(corral: Corral, tmp_path: Path) -> None:
    assert "nothing to fit" in corral("models", "fit").err
    done = corral("models", "fit", "--config", str(_settings(tmp_path)))
    assert done.code == 1
    assert done.out.splitlines()[0].endswith("a and b load echo:latest with different options: each change reloads it")
    assert "    a: echo:latest, window 4,096, 1.0 GB on disk, and about 0.1 GB for the window" in done.out
    told = corral("models", "fit", "--json", "--config", str(tmp_path / "corral.toml")).document
    assert [(each["verdict"], len(each["lanes"])) for each in told["servers"]] == [("no", 2)]


def _settings(folder: Path) -> Path:
    file = folder / "corral.toml"
    file.write_text('[lanes.a]\nmodel = "echo"\nnum_ctx = 4096\n[lanes.b]\nmodel = "echo"\n')
    return file
