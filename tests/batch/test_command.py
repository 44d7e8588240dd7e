"""`corral batch` as people type it: outputs, exit codes, the same command again; Ctrl-C and `kill -9`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.batch_kill import Place, kill_and_finish, random_kills, write_jobs
from infrastructure.simulator import Simulator
from tests.batch.conftest import job_line, oracle_task, problem, simulator_settings, write_lines
from tests.cli.conftest import Corral, Done, serve

PROBLEMS = [problem(number) for number in range(1, 13)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tasks = write_lines(tmp_path_factory.mktemp("tasks") / "tasks.jsonl", map(oracle_task, PROBLEMS))
    yield from serve(simulator_settings(tasks))


@pytest.fixture
def corral(capsys: pytest.CaptureFixture[str], tmp_path: Path, server: str) -> Corral:
    return Corral(capsys, tmp_path / "data", server)


def batch(corral: Corral, tmp_path: Path, *lines: object, options: tuple[str, ...] = ("--model", "oracle")) -> Done:
    jobs = write_lines(tmp_path / "jobs.jsonl", lines)
    return corral("batch", str(jobs), "--out", str(tmp_path / "out"), *options)


LINES = [job_line(each) for each in PROBLEMS[:3]]


def test_summary_on_stdout_a_line_an_event_on_stderr_and_what_to_type_next(corral: Corral, tmp_path: Path) -> None:
    done = batch(corral, tmp_path, *LINES[:2])
    assert done.code == 0, done.err
    assert done.out.startswith("2 of 2 runs came to their end\n        2 passed      tests that were there before")
    assert "\npass@1: 100.0 % (95 % interval " in done.out
    assert "simulated" in done.out
    err = done.err.splitlines()
    assert err[0] == "2 to solve: 0 finished before, 2 to do, 4 at once"
    assert "Tiny/1: begun" in err
    assert any(line.startswith(("Tiny/1: passed in ", "Tiny/2: passed in ")) and "2 of 2" in line for line in err)
    assert f"→ {tmp_path / 'out' / 'records.jsonl'}" in err[-1]


def test_same_command_again_does_nothing_and_says_so(corral: Corral, tmp_path: Path) -> None:
    batch(corral, tmp_path, *LINES[:2])
    again = batch(corral, tmp_path, *LINES[:2])
    assert again.code == 0
    assert "2 to solve: 2 finished before, 0 to do" in again.err
    assert "begun" not in again.err
    assert len(corral("runs", "--output", "json").document) == 2


def test_json_is_one_document_the_report(corral: Corral, tmp_path: Path) -> None:
    document = batch(corral, tmp_path, *LINES[:2], options=("--model", "oracle", "--output", "json")).document
    assert document["statuses"] == {"done": 2}
    assert document == json.loads((tmp_path / "out" / "report.json").read_text())


def test_ndjson_is_a_record_a_line_then_the_report(corral: Corral, tmp_path: Path) -> None:
    done = batch(corral, tmp_path, *LINES[:2], options=("--model", "oracle", "--output", "ndjson"))
    *records, report = [json.loads(line) for line in done.out.splitlines()]
    assert {record["job_id"] for record in records} == {"Tiny/1", "Tiny/2"}
    assert report["records"] == 2
    assert "begun" not in done.err


def test_job_answered_as_a_question_is_no_pass(corral: Corral, tmp_path: Path) -> None:
    line = json.loads(LINES[0]) | {"task_id": "Tiny/unknown to the oracle"}
    done = batch(corral, tmp_path, line)
    assert done.code == 6, done.err
    assert "pass@1: 0.0 %" in done.out
    assert "1 failed      no candidate passed, a budget ran out, or a job with tests was answered in words" in done.out
    assert "Tiny/unknown to the oracle: failed in " in done.err
    assert "answered as a question" in done.err


def test_some_failed_exits_6(corral: Corral, tmp_path: Path) -> None:
    impossible = json.loads(LINES[2]) | {"test": "def check(candidate):\n    assert False\n"}
    done = batch(corral, tmp_path, *LINES[:2], impossible)
    assert done.code == 6, done.err
    assert "        2 passed " in done.out
    assert "        1 failed " in done.out
    assert "pass@1: 66.7 %" in done.out
    assert "corral show RUN" in done.err


def test_all_bad_lines_are_told_before_anything_starts_and_exit_2(corral: Corral, tmp_path: Path) -> None:
    done = batch(corral, tmp_path, "{", LINES[0], {"id": "x"}, LINES[0])
    assert done.code == 2
    for number in (1, 3, 4):
        assert f"line {number}: " in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [("--samples", "0"), ("--samples", "1001"), ("--at-once", "0"), ("--candidates", "17")],
)
def test_number_out_of_range_exits_2(corral: Corral, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = batch(corral, tmp_path, *LINES[:2], options=options)
    assert done.code == 2
    assert f"error: {options[0]}: {options[1]} is not possible" in done.err


def test_unknown_model_stops_the_batch_with_3_and_a_hint(corral: Corral, tmp_path: Path) -> None:
    done = batch(corral, tmp_path, *LINES[:2], options=("--model", "nobody-has-it"))
    assert done.code == 3
    assert "ollama pull nobody-has-it" in done.err
    assert "→ ollama pull nobody-has-it; then the same command goes on" in done.err
    assert "interrupted" not in done.err, "nothing was begun"
    assert (tmp_path / "out" / "records.jsonl").read_text() == ""


def test_file_that_is_not_there_exits_2(corral: Corral, tmp_path: Path) -> None:
    assert corral("batch", str(tmp_path / "gone"), "--out", str(tmp_path / "out")).code == 2


def test_out_that_is_a_file_exits_2(corral: Corral, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert batch(corral, tmp_path, *LINES[:2]).code == 2


def test_samples_make_pass_at_k(corral: Corral, tmp_path: Path) -> None:
    done = batch(corral, tmp_path, LINES[0], options=("--model", "oracle", "--samples", "3", "--quiet"))
    assert done.code == 0
    assert [line.partition(":")[0] for line in done.out.splitlines() if line.startswith("pass@")] == [
        "pass@1", "pass@2", "pass@3"
    ]  # fmt: skip
    patches = sorted(path.name for path in (tmp_path / "out" / "patches").iterdir())
    assert patches == ["Tiny-1-1.diff", "Tiny-1-2.diff", "Tiny-1.diff"]
    assert "begun" not in done.err


# ------------------------------------------------------------------------------------ as a process


@pytest.mark.slow
async def test_killed_at_random_instants_every_job_is_counted_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await asyncio.to_thread(write_jobs, place, PROBLEMS)
    kills = random_kills(seed=3, number=6, longest=1.5)
    # Fast enough to end, slow enough that a kill hits something.
    settings = simulator_settings(place.tasks, time_scale=0.1, load_seconds=0.0)
    async with Simulator(settings) as simulator:
        found = await kill_and_finish(place, len(PROBLEMS), simulator.url, kills)
    assert found.faults == []
    assert found.kills >= 3
    assert found.resumed >= 1, "no kill hit a run"
    assert [record["job_id"] for record in found.records] == [each.task_id for each in PROBLEMS]


@pytest.mark.slow
def test_ctrl_c_exits_130_and_the_same_command_ends_it(
    corral: Corral, tmp_path: Path, repository_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tasks = write_lines(tmp_path_factory.mktemp("slow") / "tasks.jsonl", map(oracle_task, PROBLEMS))
    slow = serve(simulator_settings(tasks, time_scale=1.0, decode_tokens_per_second=20.0))
    fast, corral.server = corral.server, next(slow)
    jobs = write_lines(tmp_path / "jobs.jsonl", LINES[:2])
    arguments = ["batch", str(jobs), "--out", str(tmp_path / "out"), "--model", "oracle", *corral.options]
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert process.stderr is not None
    while "begun" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    slow.close()
    assert process.returncode == 130, err
    assert out.startswith("0 of 2 runs came to their end\n        2 not run ")
    assert "the same command goes on: 2 to do" in err
    assert "Traceback" not in err
    corral.server = fast
    again = batch(corral, tmp_path, *LINES[:2])
    assert again.code == 0
    assert "Tiny/1: going on" in again.err
    assert len(corral("runs", "--output", "json").document) == 2
