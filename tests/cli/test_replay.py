"""`corral replay`: repeated, exported, kept, gone on with; and refused with what there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backend.cli.changing import KEYS, changed_spec, read_changes
from backend.cli.errors import Refused
from backend.cli.sampling import DemoPlace
from infrastructure.tasks import TaskSpec
from tests.cli.conftest import Corral, refused

pytestmark = pytest.mark.slow


def test_run_is_repeated_without_its_repository_and_its_server(corral: Corral, run: str, place: DemoPlace) -> None:
    shutil.rmtree(place.repository)
    corral.server = "http://127.0.0.1:9"
    done = corral("replay", run)
    assert done.code == 0, done.err
    assert f"replay of {run}: equal to the last byte" in done.out
    document = corral("replay", run, "--output", "json").document
    assert (document["equal"], document["replay_of"], document["difference"]) == (True, run, [])
    assert document["result"]["status"] == "done"
    *events, last = map(json.loads, corral("replay", run, "--output", "ndjson").out.splitlines())
    assert events[0]["kind"] == "node.started"
    assert last["equal"]


def test_exported_recording_replays_without_a_data_directory(corral: Corral, run: str, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    assert corral("replay", run, "--export", str(file)).code == 0
    corral.data = tmp_path / "nowhere"
    done = corral("replay", str(file))
    assert done.code == 0, done.err
    assert "equal to the last byte" in done.out
    assert not corral.data.exists()
    changed = file.read_text().replace('"task": "', '"task": "Please: ', 1)
    file.write_text(changed)
    done = corral("replay", str(file), "--output", "json")
    assert done.code == 1
    assert done.document["difference"][0].startswith("intent#0: the intent is asked another question")


def test_kept_repetition_is_a_run_that_can_be_shown_and_followed(corral: Corral, run: str) -> None:
    kept = corral("replay", run, "--keep", "--output", "json").document["run"]
    assert kept != run
    shown = corral("show", kept)
    assert f"a replay of {run}" in shown.out
    assert "done" in shown.out.splitlines()[0]
    assert corral("show", kept, "--patch").out == corral("show", run, "--patch").out
    assert corral("follow", kept).code == 0
    refused(corral("replay", kept), 2, f"it is a replay itself, of {run}")


def test_clean_leaves_what_a_replay_needs(corral: Corral, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_RETENTION__TREES_DAYS", "0")
    assert corral("clean").code == 0
    assert not (corral.data / "trees" / run).exists()
    done = corral("replay", run)
    assert done.code == 0, done.err


def test_steps_are_listed_and_taken_by_from(corral: Corral, run: str) -> None:
    lines = corral("show", run, "--steps").out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[0] == "intent"
    assert "write:1:1" in names
    listed = corral("show", run, "--steps", "--output", "json").document
    assert [each["step"] for each in listed] == names
    done = corral("replay", run, "--from", "write:1:1", "--set", "temperature=0.9", "--output", "json")
    assert done.code == 0, done.err
    assert done.document["run"] != run
    assert done.document["status"] == "done"


def test_what_cannot_be_done_is_refused_with_what_there_is(corral: Corral, run: str, tmp_path: Path) -> None:
    refused(corral("replay", "nothing"), 2, "no run 'nothing'")
    refused(corral("replay", str(tmp_path / "no.jsonl")), 2, "cannot be read")
    refused(corral("replay", run, "--set", "model=x"), 2, "--from STEP")
    refused(corral("replay", run, "--from", "write:9:9"), 2, "has no step 'write:9:9'", "intent")
    refused(corral("replay", run, "--from", "intent", "--set", "colour=red"), 2, "changes nothing", *KEYS)
    refused(corral("replay", run, "--from", "intent", "--set", "temperature=9"), 2, "temperature cannot be '9'")
    refused(corral("replay", run, "--from", "intent", "--keep"), 2, "begins a new run")
    refused(corral("replay", run, "--export=-"), 2, "is a file")
    refused(corral("replay", run, "--export", str(tmp_path / "no" / "x.jsonl")), 2, "no folder")


def test_file_of_another_form_is_refused(corral: Corral, run: str, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    corral("replay", run, "--export", str(file))
    file.write_text(file.read_text().replace('"form": 1', '"form": 7', 1))
    refused(corral("replay", str(file)), 2, "it is of form 7, and this Corral reads form 1")


@pytest.mark.parametrize("said", [["model"], ["=x"], ["model=a", "model=b"], ["Model=a"]])
def test_changes_are_key_and_value_each_once(said: list[str]) -> None:
    with pytest.raises(Refused):
        read_changes(said)


def test_every_key_changes_something(tmp_path: Path) -> None:
    before = TaskSpec(task="t", repo=tmp_path)
    values = {"model": "m", "task": "u", "temperature": "0.5", "candidates": "3", "repairs": "1", "rounds": "1"}
    plain = changed_spec(before, "r", "intent", {})
    for key in KEYS:
        assert changed_spec(before, "r", "intent", {key: values.get(key, "7")}) != plain
    assert plain.fork is not None
    assert plain.model_copy(update={"fork": None}) == before
