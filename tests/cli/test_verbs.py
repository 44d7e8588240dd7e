"""The verbs around a run: listing, showing, following, applying, cancelling, cleaning; and the doctor."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.cli.sampling import DemoPlace, Samples
from infrastructure.batch import BatchPlace, BatchRegistry, BatchView
from infrastructure.storage.directory import DataDirectory
from tests.cli.conftest import Corral

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(corral: Corral, place: DemoPlace, samples: Samples) -> str:
    """A run that waits for a person."""
    done = corral(
        "run", samples.task[0].prompt, "--repo", str(place.repository), "--model", "oracle",
        "--approve", "plan", "--output", "json",
    )  # fmt: skip
    assert done.code == 5, done.err
    return done.document["run"]


# ---------------------------------------------------------------------------------------------- reading


def test_no_runs_yet_is_no_error(corral: Corral) -> None:
    done = corral("runs")
    assert (done.code, done.out) == (0, "")
    assert "corral run" in done.err
    assert corral("runs", "--output", "json").document == []


def test_runs_are_listed_for_people_and_programs(corral: Corral, run: str, waiting: str) -> None:
    assert [line.split()[:2] for line in corral("runs").out.splitlines()] == [[waiting, "needs_input"], [run, "done"]]
    newest, oldest = corral("runs", "--output", "json").document
    assert (newest["run"], newest["state"]) == (waiting, "waiting")
    assert (oldest["run"], oldest["status"], oldest["judge"]) == (run, "done", "given")
    lines = corral("runs", "--output", "ndjson", "--limit", "1").out.splitlines()
    assert [json.loads(line)["run"] for line in lines] == [waiting]


def test_show_tells_task_steps_tests_and_patch(corral: Corral, run: str) -> None:
    done = corral("show", run)
    assert done.code == 0
    for said in ("task: Write slugify", "plan: ", "try 1: tests: 4 passed", "diff --git a/text.py", "done: 3 tests"):
        assert said in done.out


def test_show_as_a_document_has_result_and_events_without_streamed_text(corral: Corral, run: str) -> None:
    document = corral("show", run, "--output", "json").document
    assert document["result"]["status"] == "done"
    kinds = [event["kind"] for event in document["events"]]
    assert kinds[0] == "run.created"
    assert kinds[-1] == "run.finished"
    assert "call.text" not in kinds


def test_xray_has_a_line_for_each_call_and_all_of_one(corral: Corral, run: str) -> None:
    table = corral("xray", run).out.splitlines()
    document = corral("xray", run, "--output", "json").document
    assert (document["run"], len(document["calls"])) == (run, len(table) - 1)
    number = next(call["number"] for call in document["calls"] if call["role"] == "coder")
    shown = corral("xray", run, "--call", str(number)).out
    for part in ("coder, write:1:1#0", "── system ──", "You are Corral's coder.", "── user ──", "## Task", "  task "):
        assert part in shown
    one = corral("xray", run, "--call", str(number), "--output", "json").document
    assert [message["role"] for message in one["messages"]] == ["system", "user"]
    assert one["prompt"]["sections"][0]["name"] == "system"
    missing = corral("xray", run, "--call", "99")
    assert missing.code == 2
    assert f"calls 1 to {len(table) - 1}" in missing.err


def test_xray_of_a_run_from_before_shows_what_is_known(corral: Corral, run: str) -> None:
    with sqlite3.connect(DataDirectory(corral.data).database) as database:
        database.execute("UPDATE calls SET xray_json = ''")
    database.close()
    table = corral("xray", run).out.splitlines()
    assert all("oracle" not in line and "–" in line for line in table[1:])
    assert {call["prompt"] for call in corral("xray", run, "--output", "json").document["calls"]} == {None}
    assert "before there was an X-ray" in corral("xray", run, "--call", "1").out


def test_shown_patch_is_one_that_git_applies(corral: Corral, run: str, place: DemoPlace) -> None:
    patch = corral("show", run, "--patch").out
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=place.repository, check=True)
    assert "re.sub" in (place.repository / "text.py").read_text()
    for output in ("json", "ndjson"):
        assert corral("show", run, "--patch", "--output", output).document == {"run": run, "patch": patch}


def test_run_may_be_named_by_its_beginning(corral: Corral, run: str) -> None:
    assert corral("show", run[:20]).out.startswith(f"run {run}: done")


@pytest.mark.parametrize("verb", ["show", "xray", "follow", "cancel", "resume", "apply"])
def test_unknown_run_exits_2_with_and_without_a_database(corral: Corral, run: str, tmp_path: Path, verb: str) -> None:
    for data in (corral.data, tmp_path / "empty"):
        corral.data = data
        done = corral(verb, "0nosuchrun")
        assert done.code == 2
        assert "no run '0nosuchrun'" in done.err
        assert "corral runs" in done.err


@pytest.mark.parametrize("verb", ["show", "follow", "cancel", "resume", "apply"])
def test_beginning_of_several_runs_exits_2_and_names_them(corral: Corral, run: str, waiting: str, verb: str) -> None:
    done = corral(verb, "0")
    assert done.code == 2
    assert run in done.err
    assert waiting in done.err


def test_follow_prints_a_finished_runs_events_and_ends(corral: Corral, run: str) -> None:
    lines = [json.loads(line) for line in corral("follow", run, "--output", "ndjson").out.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    rest = corral("follow", run, "--output", "ndjson", "--after", str(len(lines) - 1)).out.splitlines()
    assert [json.loads(line)["kind"] for line in rest] == ["run.finished"]
    assert "plan: " in corral("follow", run).out


def test_follow_ends_at_a_question_nobody_answers_and_says_what_to_type(corral: Corral, waiting: str) -> None:
    done = corral("follow", waiting)
    assert done.code == 0
    assert f"→ corral resume {waiting}" in done.err


def test_follow_has_no_single_document(corral: Corral, run: str) -> None:
    done = corral("follow", run, "--output", "json")
    assert done.code == 2
    assert "--output ndjson" in done.err


# --------------------------------------------------------------------------------------------- steering


def test_waiting_run_is_cancelled_for_good(corral: Corral, waiting: str) -> None:
    assert corral("cancel", waiting).code == 0
    assert corral("runs", "--output", "json").document[0]["status"] == "cancelled"
    for verb in ("cancel", "resume"):
        done = corral(verb, waiting)
        assert done.code == 2
        assert "is over (cancelled)" in done.err


def test_apply_is_harmless_twice_and_recorded(corral: Corral, run: str, place: DemoPlace) -> None:
    assert "applied: text.py" in corral("apply", run).err
    assert "re.sub" in (place.repository / "text.py").read_text()
    assert "as wanted before: text.py" in corral("apply", run).err
    assert corral("show", run).out.count("applied in the folder: text.py") == 1


def test_apply_over_a_changed_file_changes_nothing_and_names_it(corral: Corral, run: str, place: DemoPlace) -> None:
    (place.repository / "text.py").write_text("mine\n")
    done = corral("apply", run)
    assert done.code == 1
    assert "text.py: it was changed since the run began" in done.err
    assert f"corral apply {run} --branch" in done.err
    assert (place.repository / "text.py").read_text() == "mine\n"


def test_apply_on_a_branch_leaves_the_folder_alone(corral: Corral, run: str, place: DemoPlace) -> None:
    before = (place.repository / "text.py").read_text()
    assert corral("apply", run, "--branch", "slug").code == 0
    assert (place.repository / "text.py").read_text() == before
    show = subprocess.run(
        ["git", "show", "slug:text.py"], capture_output=True, text=True, cwd=place.repository, check=True
    )
    assert "re.sub" in show.stdout


@pytest.mark.parametrize(("branch", "said"), [("main", "exists already"), ("not..valid", "not a valid branch name")])
def test_branch_that_cannot_be_made_exits_2(corral: Corral, run: str, branch: str, said: str) -> None:
    done = corral("apply", run, "--branch", branch)
    assert done.code == 2
    assert said in done.err


def test_run_without_a_patch_cannot_be_applied(corral: Corral, waiting: str) -> None:
    for words in (("apply", waiting), ("show", waiting, "--patch"), ("apply", waiting, "--only", "1")):
        done = corral(*words)
        assert done.code == 2
        assert "has no patch yet" in done.err
        assert f"`corral resume {waiting}` goes on with it" in done.err
        assert "how it ended" not in done.err


# --------------------------------------------------------------------------------------------- cleaning


def test_clean_leaves_what_is_not_old(corral: Corral, run: str) -> None:
    done = corral("clean", "--output", "json")
    assert done.document == {
        "dry_run": False, "trees": 0, "tree_bytes": 0, "texts": 0, "runs": 0, "events": 0, "batches": 0,
        "blob_bytes": 0, "shrunk_bytes": 0,
    }  # fmt: skip
    assert corral("apply", run).code == 0


def test_dry_run_says_what_clean_then_removes(
    corral: Corral, run: str, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_RETENTION__TREES_DAYS", "0")
    monkeypatch.setenv("CORRAL_RETENTION__TOKENS_DAYS", "0")
    said = corral("clean", "--dry-run", "--output", "json").document
    assert (said["trees"], said["runs"]) == (1, 0)
    assert said["texts"] > 0
    assert (corral.data / "trees" / run).is_dir()
    gone = corral("clean", "--output", "json").document
    assert {**gone, "dry_run": True} == said
    assert not (corral.data / "trees" / run).exists()
    assert (corral.data / "trees" / waiting).is_dir()
    applied = corral("apply", run)
    assert applied.code == 2
    assert "git apply" in applied.err
    assert corral("show", run, "--patch").out.startswith("diff --git")
    assert corral("resume", waiting).code == 5


def test_old_run_is_forgotten_and_others_keep_their_contents(
    corral: Corral, run: str, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_RETENTION__RUNS_DAYS", "0")
    assert corral("clean", "--output", "json").document["runs"] == 1
    assert [each["run"] for each in corral("runs", "--output", "json").document] == [waiting]
    assert corral("show", run).code == 2
    assert corral("resume", waiting).code == 5


async def _registered(corral: Corral, out: Path) -> None:
    day = datetime(2020, 1, 5, tzinfo=UTC)
    told = {"id": BatchPlace(out).id, "name": out.name, "jobs": 1, "out": str(out), "started": day, "updated": day}
    await BatchRegistry(DataDirectory(corral.data)).write(BatchView.model_validate({**told, "state": "interrupted"}))


def test_old_batch_goes_when_its_records_are_gone_and_stays_while_they_are_there(
    corral: Corral, run: str, tmp_path: Path
) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    there.mkdir()
    BatchPlace(there).records.write_text("{}\n")
    for out in (gone, there):
        asyncio.run(_registered(corral, out))
    said = corral("clean", "--dry-run", "--output", "json").document
    assert (said["batches"], len(list((corral.data / "batches").iterdir()))) == (1, 2)
    assert corral("clean", "--output", "json").document["batches"] == 1
    assert [file.stem for file in (corral.data / "batches").iterdir()] == [BatchPlace(there).id]
    assert BatchPlace(there).records.exists()
    assert corral("show", run).code == 0


def test_clean_of_nothing_makes_nothing(corral: Corral) -> None:
    assert corral("clean").code == 0
    assert not corral.data.exists()


# --------------------------------------------------------------------------------------------- the house


def test_doctor_finds_a_server_fit_to_work(corral: Corral) -> None:
    done = corral("doctor")
    assert done.code == 0, done.out
    assert "✓ server 127.0.0.1" in done.out
    assert "✓ sandbox: " in done.out or "! sandbox: " in done.out


def test_doctor_exits_3_with_a_fix_where_no_server_answers(corral: Corral) -> None:
    corral.server = "http://127.0.0.1:1"
    document = corral("doctor", "--output", "json").document
    assert (document["ok"], document["exit_code"]) == (False, 3)
    (bad,) = [check for check in document["checks"] if check["state"] == "bad"]
    assert bad["name"] == "server 127.0.0.1:1"
    assert "ollama serve" in bad["fix"]


def test_doctor_looks_at_the_models_that_the_settings_name(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_MODEL", "oracle")
    monkeypatch.setenv("CORRAL_ROLES", '{"coder": "absent:7b"}')
    document = corral("doctor", "--output", "json").document
    states = {check["name"].partition(" on ")[0]: check for check in document["checks"]}
    assert states["context of oracle"]["state"] in ("good", "warning")
    assert states["model absent:7b"]["fix"] == "Type: ollama pull absent:7b"


def test_doctor_says_which_model_is_taken_where_none_is_set(corral: Corral) -> None:
    document = corral("doctor", "--output", "json").document
    (model,) = [check for check in document["checks"] if check["name"] == "model"]
    assert "without --model takes oracle" in model["said"]


def test_run_that_names_no_model_takes_the_oracle_and_says_so(
    corral: Corral, place: DemoPlace, samples: Samples
) -> None:
    task = samples.task[0]
    tests = ["--tests", str(place.repository / task.tests[0])]
    done = corral("run", task.prompt, "--repo", str(place.repository), *tests)
    assert done.code == 0, done.err
    assert "model: oracle" in done.err


def test_one_server_of_two_is_enough_for_the_doctor(corral: Corral) -> None:
    done = corral("doctor", "--server", "http://127.0.0.1:1")
    assert done.code == 0, done.out
    assert "! server 127.0.0.1:1: " in done.out


@pytest.mark.parametrize("level", ["landlock", "none"])
def test_doctor_follows_a_level_that_was_chosen_on_purpose(
    corral: Corral, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_SANDBOX__LEVEL", level)
    checks = {check["name"]: check for check in corral("doctor", "--output", "json").document["checks"]}
    assert "CORRAL_SANDBOX__LEVEL" in checks["sandbox"]["said"] + checks["sandbox"]["fix"]
    assert "bubblewrap" not in checks["sandbox"]["fix"]


def test_every_line_of_the_doctor_that_is_not_well_says_what_to_do(corral: Corral) -> None:
    for server in (corral.server, "http://127.0.0.1:1"):
        corral.server = server
        for check in corral("doctor", "--output", "json").document["checks"]:
            assert check["said"]
            assert check["state"] == "good" or check["fix"], check
