"""`corral run` over a simulated server: what goes where, and every way to end."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

import backend.bootstrap as bootstrap
import backend.cli.seeing as seeing
from backend.cli.demo import simulator_settings
from backend.cli.sampling import DemoPlace, Samples
from infrastructure.sandbox import Level, NoSandbox, Sandbox
from infrastructure.simulator import Fault, FaultKind, ModelSpec, SimulatorSettings
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.errors import DiskFull
from infrastructure.storage.runs import RunStore
from infrastructure.tasks import RunResult
from tests.cli.conftest import Corral, Solve, refused, serve

pytestmark = pytest.mark.slow


def test_patch_is_all_that_stdout_holds_and_the_folder_stays_as_it_was(solve: Solve, place: DemoPlace) -> None:
    before = (place.repository / "text.py").read_text()
    done = solve()
    assert done.code == 0
    assert done.out.startswith("diff --git a/text.py b/text.py\n")
    assert "+    return re.sub(" in done.out
    assert (place.repository / "text.py").read_text() == before


def test_progress_verdict_and_next_step_are_on_stderr(solve: Solve) -> None:
    done = solve()
    for said in (
        "plan: ",
        "before: tests: 1 passed, 3 errors",
        "try 1: tests: 4 passed",
        "done: 3 tests",
        "→ corral apply",
    ):
        assert said in done.err
    assert "simulated" in done.err
    assert "Traceback" not in done.err


def test_quiet_leaves_the_verdict(solve: Solve) -> None:
    done = solve("--quiet")
    assert "plan: " not in done.err
    assert "done: 3 tests" in done.err


def test_red_test_is_repaired(solve: Solve) -> None:
    result = RunResult.model_validate(solve("--output", "json", number=1).document)
    assert (result.status, result.attempts) == ("done", 2)


def test_json_is_one_document_with_the_promised_fields(solve: Solve) -> None:
    document = solve("--output", "json", number=2).document
    assert list(document) == [
        "run", "status", "judge", "exit_code", "answer", "patch", "files", "tests", "red", "red_total", "attempts",
        "candidates", "model_calls", "prompt_tokens", "completion_tokens", "gpu_seconds", "seconds", "reason",
        "answered_test", "simulated", "review", "error",
    ]  # fmt: skip
    assert document["status"] == "done"
    assert document["judge"] == "given"
    assert document["files"] == ["money.py", "receipt.py"]
    assert document["tests"] == {"passed": 4, "failed": 0, "errors": 0, "skipped": 0}
    assert document["simulated"] is True
    assert document["error"] is None


def test_ndjson_is_every_event_in_order_and_then_the_result(solve: Solve) -> None:
    lines = [json.loads(line) for line in solve("--output", "ndjson").out.splitlines()]
    *events, result = lines
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"run", "seq", "at", "execution", "kind", "node"} <= set(events[0])
    assert events[0]["kind"] == "run.created"
    assert events[-1]["kind"] == "run.finished"
    assert any(event["kind"] == "call.text" for event in events)
    assert RunResult.model_validate(result).status == "done"
    assert {event["run"] for event in events} == {result["run"]}


def test_patch_goes_into_a_file(solve: Solve, tmp_path: Path) -> None:
    done = solve("--patch", str(tmp_path / "out.diff"))
    assert done.out == ""
    assert f"the patch is in {tmp_path / 'out.diff'}" in done.err
    assert (tmp_path / "out.diff").read_text().startswith("diff --git a/text.py b/text.py\n")


def test_apply_puts_a_good_patch_into_the_folder(solve: Solve, place: DemoPlace, samples: Samples) -> None:
    done = solve("--apply")
    assert done.code == 0
    assert "applied: text.py" in done.err
    assert "→ corral apply" not in done.err
    assert (place.repository / "text.py").read_text() == samples.task[0].files["text.py"].lstrip("\n")


def test_apply_over_a_file_changed_meanwhile_changes_nothing_and_names_it(
    solve: Solve, place: DemoPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = seeing.watch

    async def watch_and_edit(*arguments: object, **options: object) -> RunResult:
        result = await watch(*arguments, **options)
        await asyncio.to_thread((place.repository / "text.py").write_text, "mine\n")
        return result

    monkeypatch.setattr(seeing, "watch", watch_and_edit)
    done = solve("--apply", "--output", "json")
    assert done.code == 1
    assert (place.repository / "text.py").read_text() == "mine\n"
    document = done.document
    assert (document["status"], document["exit_code"]) == ("done", 1)
    assert document["patch"]
    assert "text.py: it was changed since the run began" in document["error"]["message"]
    assert document["error"]["class"] == "Refused"
    assert f"corral apply {document['run']}" in document["error"]["hint"]


def test_patch_that_cannot_be_written_is_told_before_anything_begins(
    solve: Solve, corral: Corral, tmp_path: Path
) -> None:
    refused(solve("--patch", str(tmp_path / "nowhere" / "out.diff")), 2, "--patch: there is no folder", "mkdir -p")
    assert corral("runs", "--output", "json").document == []


def test_patch_that_can_no_longer_be_written_is_told_and_kept_with_the_run(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, watch = tmp_path / "there", seeing.watch
    folder.mkdir()

    async def watch_and_remove(*arguments: object, **options: object) -> RunResult:
        result = await watch(*arguments, **options)
        await asyncio.to_thread(folder.rmdir)
        return result

    monkeypatch.setattr(seeing, "watch", watch_and_remove)
    document = solve("--patch", str(folder / "out.diff"), "--output", "json").document
    assert (document["status"], document["exit_code"]) == ("done", 2)
    assert document["patch"]
    assert "could not be written" in document["error"]["message"]


def test_question_is_answered_on_stdout(corral: Corral, place: DemoPlace) -> None:
    done = corral("run", "Why is the sky blue?", "--repo", str(place.repository), "--model", "oracle")
    assert done.code == 0
    assert done.out.startswith("This is a simulated model.")


def test_answer_leaves_a_file_for_a_patch_alone_and_says_so(corral: Corral, place: DemoPlace, tmp_path: Path) -> None:
    file = tmp_path / "old.diff"
    file.write_text("of an earlier run")
    task = ["Why is the sky blue?", "--repo", str(place.repository), "--model", "oracle"]
    done = corral("run", *task, "--patch", str(file))
    assert done.code == 0
    assert f"there is no patch, so {file} was not written" in done.err
    assert file.read_text() == "of an earlier run"


def test_model_that_nobody_named_is_named_on_stderr(corral: Corral, place: DemoPlace) -> None:
    done = corral("run", "Why is the sky blue?", "--repo", str(place.repository))
    assert done.code == 0
    assert ", since none was named; --model names another" in done.err


def test_folder_that_is_no_repository_is_copied_and_that_is_said(
    corral: Corral, tmp_path: Path, samples: Samples
) -> None:
    plain = tmp_path / "plain"
    for path, content in samples.repository.items():
        (plain / path).parent.mkdir(parents=True, exist_ok=True)
        (plain / path).write_text(content.lstrip("\n"))
    task = samples.task[0]
    done = corral("run", task.prompt, "--repo", str(plain), "--model", "oracle")
    assert done.code == 0
    assert "a folder that is no git repository, copied" in done.err


# ------------------------------------------------------------------------------------- budget and sandbox


def test_budget_that_runs_out_exits_4_and_is_told(solve: Solve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_RUN__BUDGET__CALLS", "2")
    done = solve()
    assert done.code == 4
    assert "the budget of 2 calls is spent; ending with the best so far" in done.err
    assert "budget: the budget of calls is spent" in done.err
    assert "→ corral show" in done.err


def test_budget_that_runs_out_keeps_the_best_so_far_and_offers_it_with_a_caution(
    solve: Solve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_RUN__BUDGET__CALLS", "5")
    done = solve(number=1)  # its first answer is red
    assert done.code == 4
    assert done.out.startswith("diff --git")
    assert "caution: the budget ran out before this patch passed" in done.err
    assert "\nstill red:\n  " in done.err
    assert "read it first" in done.err


def test_run_without_a_sandbox_says_so_on_stderr_whatever_else_is_quiet(solve: Solve) -> None:
    for options in ([], ["--quiet"], ["--output", "json"], ["--output", "ndjson"]):
        done = solve("--sandbox", "none", *options)
        assert done.code == 0
        assert done.err.count("warning: no sandbox (level none)") == 1
    kinds = [json.loads(line) for line in done.out.splitlines()]
    assert {each["sandbox"] for each in kinds if each.get("kind") == "work.tests_ran"} == {"none"}


def test_level_none_of_the_settings_is_said_aloud_too_and_the_flag_goes_before(
    solve: Solve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_SANDBOX__LEVEL", "none")
    assert "warning: no sandbox (level none)" in solve().err
    assert "no sandbox" not in solve("--sandbox", "auto").err


def test_sandbox_that_is_not_available_is_told_before_a_run_is_stored(
    solve: Solve, corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_there(*_: object, **__: object) -> Sandbox:
        raise NoSandbox({Level.BUBBLEWRAP: "not installed"}, "Type: sudo apt install bubblewrap")

    monkeypatch.setattr(bootstrap, "open_sandbox", none_there)
    refused(solve(), 3, "sudo apt install bubblewrap")
    assert corral("runs", "--output", "json").document == []


def test_unknown_sandbox_exits_2_and_the_levels_are_named(solve: Solve) -> None:
    refused(solve("--sandbox", "docker"), 2, "auto", "bubblewrap", "landlock", "none")


def test_next_step_repeats_the_options_it_needs(solve: Solve, corral: Corral) -> None:
    assert re.search(rf"→ corral apply \S+ --data {re.escape(str(corral.data))} ", solve().err)


def full(*_: object, **__: object) -> None:
    raise DiskFull(Path("/data/corral.db"), "database or disk is full")


def test_full_disk_at_the_start_exits_3_and_says_what_to_do(solve: Solve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunStore, "create", full)
    refused(solve(), 3, "the disk is full", "corral clean")


def test_disk_that_fills_up_during_a_run_exits_3_and_ends_it_in_order(
    solve: Solve, corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(BlobStore, "put", full)
        done = solve("--output", "json")
    assert done.code == 3
    assert done.document["status"] == "error"
    assert done.document["error"]["class"] == "DiskFull"
    assert "corral clean" in done.document["error"]["hint"]
    assert corral("show", done.document["run"]).code == 0


# -------------------------------------------------------------------------------------------- bad input


def test_no_server_exits_3(solve: Solve, corral: Corral) -> None:
    corral.server = "http://127.0.0.1:1"
    refused(solve(), 3, "127.0.0.1:1", "ollama serve")


def test_no_server_exits_3_where_no_model_was_named(corral: Corral, place: DemoPlace) -> None:
    corral.server = "http://127.0.0.1:1"
    refused(corral("run", "do it", "--repo", str(place.repository)), 3, "127.0.0.1:1", "ollama serve")


def test_server_without_the_model_exits_3_with_the_pull_command_and_no_run_is_stored(
    corral: Corral, place: DemoPlace
) -> None:
    done = corral("run", "do it", "--repo", str(place.repository), "--model", "absent:7b")
    refused(done, 3, "absent:7b", "ollama pull absent:7b")
    assert done.err.count("error: ") == 1
    assert "ModelNowhere" not in done.err
    assert corral("runs", "--output", "json").document == []


def test_model_of_one_role_that_no_server_has_exits_3_before_a_run_is_stored(
    corral: Corral, place: DemoPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_MODEL", "oracle")
    monkeypatch.setenv("CORRAL_ROLES", '{"reviewer": "absent:7b"}')
    refused(corral("run", "do it", "--repo", str(place.repository)), 3, "ollama pull absent:7b")
    assert corral("runs", "--output", "json").document == []


def test_error_in_the_middle_of_a_run_is_printed_once(corral: Corral, place: DemoPlace) -> None:
    model = ModelSpec(name="oracle", brain="oracle", fault=Fault(kind=FaultKind.ERROR, message="out of memory"))
    for url in serve(SimulatorSettings(models=(model,), time_scale=0)):
        corral.server = url
        done = corral("run", "do it", "--repo", str(place.repository), "--model", "oracle")
    assert done.code == 3
    assert done.err.count("out of memory") == 1
    assert "ServerFailed" not in done.err
    assert "intent failed" in done.err
    assert "error: " in done.err


def test_server_with_no_completion_model_exits_3_with_a_pull_command(corral: Corral, place: DemoPlace) -> None:
    embedder = ModelSpec(name="embedder", brain="embedder", template="plain", pooling=True)
    for url in serve(SimulatorSettings(models=(embedder,), time_scale=0)):
        corral.server = url
        refused(corral("run", "do it", "--repo", str(place.repository)), 3, "ollama pull ")


def test_cloud_model_exits_2(solve: Solve) -> None:
    refused(solve(model="big:cloud"), 2, "cloud")


def test_folder_that_is_not_there_exits_2(corral: Corral, tmp_path: Path) -> None:
    refused(corral("run", "do it", "--repo", str(tmp_path / "nowhere")), 2, "nowhere is not there", "--repo")


def test_file_instead_of_a_folder_exits_2(corral: Corral, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(corral("run", "do it", "--repo", str(tmp_path / "file")), 2, "is a file")


@pytest.mark.parametrize("command", ["nosuchprogram --flag", "./nosuchscript.sh", "pytest 'open quote"])
def test_test_command_that_does_not_start_exits_2(
    corral: Corral, place: DemoPlace, samples: Samples, command: str
) -> None:
    task = samples.task[0].prompt
    done = corral(
        "run", task, "--repo", str(place.repository), "--model", "oracle", "--test-command", command
    )  # fmt: skip
    refused(done, 2, "test command")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"x" * (1 << 20), "longer than"), (b"\xff\xfe\x00", "not UTF-8")],
    ids=["empty", "1 MB", "not UTF-8"],
)
def test_unusable_task_file_exits_2(corral: Corral, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "task.txt").write_bytes(content)
    refused(corral("run", "--file", str(tmp_path / "task.txt")), 2, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--candidates", "0"], "--candidates"),
        (["x", "--candidates", "many"], "--candidates"),
        (["x", "--approve", "plan,lunch"], "lunch"),
        (["x", "--tests", "/nowhere/test_x.py"], "/nowhere/test_x.py"),
        (["x", "--output", "xml"], "xml"),
        (["x", "y"], "y"),
        (["x", "--nonsense"], "--nonsense"),
        ([], "no task was given"),
        (["x", "--config", "/nowhere/corral.toml"], "/nowhere/corral.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_exits_2(corral: Corral, arguments: list[str], said: str) -> None:
    refused(corral("run", *arguments), 2, said)


@pytest.mark.parametrize("output", ["json", "ndjson"])
@pytest.mark.parametrize("arguments", [["x", "--nonsense"], ["x", "--repo", "/nowhere"], []])
def test_document_is_printed_even_when_nothing_was_started(corral: Corral, arguments: list[str], output: str) -> None:
    done = corral("run", *arguments, "--output", output)
    assert done.code == 2
    result = RunResult.model_validate(done.document)
    assert (result.status, result.exit_code, result.run) == ("error", 2, "")
    assert result.error is not None
    assert result.error.hint


def test_document_of_a_run_that_failed_names_error_and_hint(corral: Corral, place: DemoPlace) -> None:
    done = corral("run", "do it", "--repo", str(place.repository), "--model", "absent:7b", "--output", "json")
    assert done.code == 3
    assert done.document["error"]["hint"] == "ollama pull absent:7b"
    assert done.document["error"]["class"] == "ModelNowhere"
    assert done.document["run"] == "", "nothing was begun"


def test_reviewer_of_another_model_is_asked_there_and_its_word_is_in_the_result(
    corral: Corral, place: DemoPlace, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = (ModelSpec(name="oracle", brain="oracle"), ModelSpec(name="critic", brain="oracle"))
    known = simulator_settings(place).model_copy(update={"models": models, "time_scale": 0.0})
    monkeypatch.setenv("CORRAL_MODEL", "oracle")
    monkeypatch.setenv("CORRAL_ROLES", '{"reviewer": "critic"}')
    for url in serve(known):
        corral.server = url
        task = samples.task[0]
        tests = ["--tests", str(place.repository / task.tests[0])]
        done = corral("run", task.prompt, "--repo", str(place.repository), *tests, "--output", "json")
    assert done.code == 0, done.err
    review = done.document["review"]
    assert (review["verdict"], review["summary"]) == ("approve", "It does what was asked.")
    assert (review["findings"], review["objections"]) == ([], [])
    events = corral("show", done.document["run"], "--output", "json").document["events"]
    asked = {(event["role"], event["model"]) for event in events if event["kind"] == "call.completed"}
    assert ("reviewer", "critic") in asked
    assert {model for role, model in asked if role != "reviewer"} == {"oracle"}
