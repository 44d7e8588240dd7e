"""`corral eval` as people type it, against a simulated server: shares, reasons, hidden tests, kills, reports again."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infrastructure.batch import read_records
from infrastructure.evaluation import EvalPlace, Failure, Sample, failure_of, read_samples
from infrastructure.simulator import Fault, FaultKind, ModelSpec, SimulatorSettings
from tests.cli.conftest import Corral, Done, refused, serve

RIGHT = "def add_{0}(x: int) -> int:\n    return x + {0}\n"
STOPS = "import os\n\n\ndef add_{0}(x: int) -> int:\n    os._exit(1)\n"


def problem(number: int, **more: str) -> dict[str, str]:
    """A HumanEval problem of our own: add a number. Its set's solution is right where nothing else is said."""
    return {
        "task_id": f"Tiny/{number}",
        "prompt": f'def add_{number}(x: int) -> int:\n    """Add {number} to x."""\n',
        "entry_point": f"add_{number}",
        "canonical_solution": f"    return x + {number}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {1 + number}\n",
        **more,
    }


def known(number: int, **more: object) -> dict[str, object]:
    """What the simulated model knows of it, and how it is wrong."""
    return {
        "id": f"Tiny/{number}",
        "match": [f"(problem Tiny/{number})"],
        "files": {"solution.py": RIGHT.format(number)},
        "tests": {
            f"test_add_{number}.py": (
                f"import unittest\n\nfrom solution import add_{number}\n\n\nclass AddTest(unittest.TestCase):\n"
                f"    def test_add(self):\n        self.assertEqual(add_{number}(2), {2 + number})\n"
            )
        },
        "plan": ["Write the body."],
        **more,
    }


LONG = "".join(f"NAME_{7919 * number % 100_003} = {number}\n" for number in range(4_000))
"""More than an answer may be long, and no two lines alike."""
ALWAYS: dict[str, object] = {"always_broken": True}
TASKS = [
    known(1),
    known(2, broken={"solution.py": RIGHT.format(2).replace("+", "-")}, **ALWAYS),
    known(3, **{"break": "garbage", **ALWAYS}),
    known(4, files={"solution.py": RIGHT.format(4) + LONG}),
    known(5, broken={"solution.py": STOPS.format(5)}, **ALWAYS),
    known(6, broken={"solution.py": RIGHT.format(6).replace("+", "-")}, **ALWAYS),
    known(7, broken={"solution.py": RIGHT.format(7).replace("+", "-")}),
    *(known(number) for number in range(8, 16)),
    known(16, **{"break": "endless-line", **ALWAYS}),
]
EXPECTED = {
    "Tiny/1": None,
    "Tiny/2": Failure.WRONG_LOGIC,
    "Tiny/3": Failure.FORMAT,
    "Tiny/4": Failure.CONTEXT,
    "Tiny/5": Failure.TOOL,
    "Tiny/6": Failure.BAD_TEST,
    "Tiny/16": Failure.FORMAT,
}
PROBLEMS = [
    *(problem(number) for number in range(1, 6)),
    problem(6, canonical_solution="    return x - 6\n"),
    problem(16),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tasks = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    tasks.write_text("\n".join(map(json.dumps, TASKS)))
    models = (
        ModelSpec(name="oracle", brain="oracle", any_tag=True),
        ModelSpec(name="ill", brain="oracle", fault=Fault(kind=FaultKind.ERROR)),
    )
    told = {"tasks": tasks, "num_parallel": 4, "time_scale": 0.0, "models": models, "num_ctx": 32_768}
    yield from serve(SimulatorSettings.model_validate(told | {"first_time_right": 1.0}))


@pytest.fixture
def corral(capsys: pytest.CaptureFixture[str], tmp_path: Path, server: str) -> Corral:
    return Corral(capsys, tmp_path / "data", server)


COMMAND = (sys.executable, "-m", "backend.cli", "eval", "--model", "oracle")


def write_set(folder: Path, *problems: dict[str, str]) -> Path:
    file = folder / "tiny.jsonl"
    file.write_text("\n".join(map(json.dumps, problems)))
    return file


def evaluated(corral: Corral, folder: Path, *options: str, problems: list[dict[str, str]] = PROBLEMS) -> Done:
    arguments = [str(write_set(folder, *problems)), "--out", str(folder / "out")]
    return corral("eval", *arguments, *(() if "--model" in options else ("--model", "oracle")), *options)


def samples(folder: Path) -> dict[str, Sample]:
    return {each.problem: each for each in read_samples(EvalPlace(folder / "out").samples)}


QUICK = ("--repairs", "0", "--rounds", "1")


@dataclass(frozen=True)
class Finished:
    """An evaluation that is over: what it printed, and where it lies."""

    root: Path
    document: dict[str, Any]

    def copy(self, into: Path, corral: Corral) -> Path:
        """The same elsewhere, for a test that changes it; the command line works on the copy."""
        shutil.copytree(self.root, into, dirs_exist_ok=True)
        corral.data = into / "data"
        return into


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, server: str) -> Finished:
    root = tmp_path_factory.mktemp("finished")
    told = [str(write_set(root, *PROBLEMS)), "--out", str(root / "out"), "--data", str(root / "data")]
    options = ("--server", server, *QUICK, "--json")
    done = subprocess.run([*COMMAND, *told, *options], capture_output=True, check=True)
    return Finished(root, json.loads(done.stdout))


# ------------------------------------------------------------------------------------ shares, reasons


def test_each_reason_comes_of_a_real_run_that_failed_for_it(finished: Finished):
    found = samples(finished.root)

    assert {name: failure_of(each) for name, each in found.items()} == EXPECTED
    (arm,) = finished.document["arms"]
    assert (arm["solved_samples"], arm["samples"]) == (1, 7)
    assert arm["failures"] == Counter(str(reason) for reason in EXPECTED.values() if reason is not None)
    assert finished.document["unfit"] == {"Tiny/6": "reference fails"}
    assert finished.document["simulated"]
    # Three coders gave an answer that could not be read and were asked once more: of one both were cut off, of one both
    # were stopped, since they repeated themselves.
    answers = arm["answers"]
    assert (answers["malformed"], answers["truncated"], answers["stopped"]) == (3, 2, 2)
    assert (answers["applied"], answers["rejected"]) == (4, 3)


def test_a_spent_budget_is_a_reason(corral: Corral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CORRAL_RUN__BUDGET__CALLS", "2")
    assert evaluated(corral, tmp_path, *QUICK, problems=PROBLEMS[:1]).code == 0

    assert failure_of(samples(tmp_path)["Tiny/1"]) is Failure.BUDGET


def test_what_the_environment_fails_has_no_verdict_and_the_same_command_runs_it_again(corral: Corral, tmp_path: Path):
    done = evaluated(corral, tmp_path, *QUICK, "--model", "ill", "--output", "json", problems=PROBLEMS[:1])
    assert done.code == 6
    assert done.document["arms"][0]["no_verdict"] == 1
    (first,) = samples(tmp_path).values()
    assert failure_of(first) is Failure.ENVIRONMENT

    evaluated(corral, tmp_path, *QUICK, "--model", "ill", problems=PROBLEMS[:1])
    assert samples(tmp_path)["Tiny/1"].run != first.run


def test_repairs_are_compared_on_the_same_problems_and_told_by_tries(corral: Corral, tmp_path: Path, server: str):
    tasks = tmp_path / "half.jsonl"
    tasks.write_text("\n".join(map(json.dumps, TASKS[7:])))
    told = {"tasks": tasks, "num_parallel": 4, "time_scale": 0.0, "independent": True, "first_time_right": 0.5}
    for corral.server in serve(SimulatorSettings.model_validate(told)):
        options = ("--repairs", "0,2", "--rounds", "1", "--seeds", "3,4", "--output", "json")
        done = evaluated(corral, tmp_path, *options, problems=[problem(number) for number in range(8, 11)])
    assert done.code == 0, done.err
    none, two = done.document["arms"]

    assert (none["arm"], two["arm"]) == tuple(f"model oracle, repairs {tries}, rounds 1" for tries in (0, 2))
    assert two["solved_samples"] == two["samples"] == 6
    assert 0 < none["solved_samples"] < 6
    # The first tries are the same draws: the same question with the same seed.
    assert two["solved_after"] == {"try 1": none["solved_samples"], "try 2": 6 - none["solved_samples"]}
    assert none["first_try"] == two["first_try"]
    (compared,) = done.document["comparisons"]
    assert (compared["better"], compared["worse"], compared["pairs"]) == (6 - none["solved_samples"], 0, 6)
    assert compared["difference"]["value"] > 0
    assert [each["k"] for each in none["pass_at"]] == [1, 2]
    head = EvalPlace(tmp_path / "out").table.read_text().splitlines()[2]
    assert head.split() == ["repairs", "0", "repairs", "2"]  # what they have in common is told once, above


# --------------------------------------------------------------------------------------- hidden tests


def test_with_self_tests_runs_see_none_of_the_given_tests_which_judge_afterwards(corral: Corral, tmp_path: Path):
    done = evaluated(corral, tmp_path, *QUICK, "--self-tests", "--output", "json", problems=PROBLEMS[:2])
    assert done.code == 0, done.err
    place = EvalPlace(tmp_path / "out")

    assert not list((place.batch.work).rglob("test_solution.py"))
    assert {record.judge for record in read_records(place.batch.records)} == {"written"}
    found = samples(tmp_path)
    assert (found["Tiny/1"].solved, found["Tiny/1"].status) == (True, "unverified")
    assert not found["Tiny/2"].solved
    assert done.document["arms"][0]["trust"] == {
        "rightly_accepted": 1,
        "wrongly_accepted": 0,
        "wrongly_refused": 0,
        "rightly_refused": 1,
    }


def test_hidden_tests_that_change_judge_again_without_a_new_run(corral: Corral, tmp_path: Path):
    evaluated(corral, tmp_path, *QUICK, "--self-tests", problems=PROBLEMS[:1])
    (before,) = samples(tmp_path).values()
    stricter = {
        **PROBLEMS[0],
        "test": "def check(candidate):\n    assert candidate(1) == 3\n",
        "canonical_solution": "",
    }
    done = evaluated(corral, tmp_path, *QUICK, "--self-tests", problems=[stricter])
    (after,) = samples(tmp_path).values()

    assert "1 finished before, 0 to do" in done.err
    assert (before.run, before.solved) == (after.run, True)
    assert not after.solved


def test_false_tests_of_a_run_refuse_what_is_right_and_the_judge_knows(corral: Corral, tmp_path: Path):
    tasks = tmp_path / "false.jsonl"
    tasks.write_text(json.dumps(TASKS[0]))
    told = {"tasks": tasks, "time_scale": 0.0, "wrong_tests": 1.0}
    for corral.server in serve(SimulatorSettings.model_validate(told)):
        done = evaluated(corral, tmp_path, *QUICK, "--self-tests", "--output", "json", problems=PROBLEMS[:1])

    (found,) = samples(tmp_path).values()
    assert (found.status, found.solved) == ("failed", True)
    assert done.document["arms"][0]["trust"]["wrongly_refused"] == 1


def test_every_candidate_is_judged_and_a_right_one_that_was_not_taken_is_regretted(corral: Corral, tmp_path: Path):
    """All tests that the runs write are false, so the choice among eight candidates is blind."""
    tasks = tmp_path / "blind.jsonl"
    tasks.write_text("\n".join(map(json.dumps, TASKS[7:11])))
    told = {
        "tasks": tasks,
        "time_scale": 0.0,
        "wrong_tests": 1.0,
        "independent": True,
        "seed": 2,
        "first_time_right": 0.35,
    }
    for corral.server in serve(SimulatorSettings.model_validate(told | {"num_parallel": 4})):
        options = (*QUICK, "--self-tests", "--candidates", "4", "--output", "json")
        done = evaluated(corral, tmp_path, *options, problems=[problem(number) for number in range(8, 12)])
    assert done.code == 0, done.err
    found = list(read_samples(EvalPlace(tmp_path / "out").samples))

    assert all(len(each.tried) == 4 and all(one.passes is not None for one in each.tried) for each in found)
    selection = done.document["arms"][0]["selection"]
    regretted = [each for each in found if not each.solved and any(one.passes for one in each.tried)]
    assert regretted
    assert selection["regret"]["value"] == pytest.approx(len(regretted) / len(found), abs=1e-6)
    assert {failure_of(each) for each in regretted} <= {Failure.BAD_TEST, Failure.SELECTION}
    assert selection["oracle"]["value"] > done.document["arms"][0]["solved"]["value"]


def test_exercises_are_solved_by_their_given_tests(corral: Corral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without --out they are kept in `.eval`, under the set's name."""
    folder = tmp_path / "exercises/add-1"
    (folder / ".docs").mkdir(parents=True)
    (folder / ".docs/instructions.md").write_text("Add 1 to x. (problem Tiny/1)")
    (folder / "solution.py").write_text("def add_1(x):\n    pass\n")
    (folder / "solution_test.py").write_text(
        "import unittest\n\nfrom solution import add_1\n\n\nclass AddTest(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(add_1(1), 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    done = corral("eval", "exercises", "--model", "oracle", "--candidates", "auto", "--output", "json")

    assert done.code == 0, done.err
    assert done.document["arms"][0]["arm"] == "model oracle, candidates auto"
    assert done.document["arms"][0]["solved_samples"] == 1
    (sample,) = read_samples(EvalPlace(tmp_path / ".eval/exercises").samples)
    assert (sample.problem, sample.fit, sample.solved) == ("add-1", "fit", True)


# ------------------------------------------------------------------------------------ the same again


def test_a_report_made_again_is_the_same_also_when_the_runs_are_gone(
    corral: Corral, finished: Finished, tmp_path: Path
):
    place = EvalPlace(finished.copy(tmp_path, corral) / "out")
    kept, table = place.report.read_bytes(), place.table.read_text()
    place.report.unlink()
    shutil.rmtree(corral.data)
    again = corral("eval", "--report", str(place.root), "--output", "json")

    assert again.code == 0
    assert again.document == finished.document == json.loads(kept)
    assert (place.report.read_bytes(), place.table.read_text()) == (kept, table)
    assert corral("eval", "--report", str(place.root)).out == table
    assert "not solved: wrong logic" in table


def test_the_same_command_again_runs_and_judges_nothing(corral: Corral, finished: Finished, tmp_path: Path):
    place = EvalPlace(finished.copy(tmp_path, corral) / "out")
    before = place.samples.read_bytes(), place.batch.records.read_bytes()
    again = evaluated(corral, tmp_path, *QUICK, "--output", "json")

    assert again.document == finished.document
    assert (place.samples.read_bytes(), place.batch.records.read_bytes()) == before
    assert "7 finished before, 0 to do" in again.err


def test_what_was_run_but_not_judged_is_judged_by_the_next_command(corral: Corral, finished: Finished, tmp_path: Path):
    place = EvalPlace(finished.copy(tmp_path, corral) / "out")
    lines = place.samples.read_bytes().splitlines(keepends=True)
    place.samples.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # as a kill in the middle of a line leaves it
    assert corral("eval", "--report", str(place.root), "--output", "json").document["arms"][0]["missing"] == 5

    assert evaluated(corral, tmp_path, *QUICK, "--output", "json").document == finished.document


def test_another_setting_is_another_evaluation(corral: Corral, finished: Finished, tmp_path: Path):
    finished.copy(tmp_path, corral)
    options = ("--repairs", "1", "--rounds", "1", "--limit", "1", "--output", "json")
    other = evaluated(corral, tmp_path, *options)

    assert "1 to solve: 0 finished before" in other.err
    (arm,) = other.document["arms"]
    assert (arm["arm"], arm["samples"], arm["solved_samples"]) == ("model oracle, repairs 1, rounds 1", 1, 1)


@pytest.mark.timeout(300)  # three commands one after another, on a machine that may be busy
def test_a_killed_evaluation_goes_on_and_counts_each_sample_once(corral: Corral, tmp_path: Path):
    problems = [problem(number) for number in range(8, 16)]
    told = [str(write_set(tmp_path, *problems)), "--out", str(tmp_path / "out"), "--at-once", "1", *corral.options]
    for passed in (1, 2):
        with subprocess.Popen([*COMMAND, *told], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stderr is not None
            for line in process.stderr:
                passed -= b": passed in " in line
                if not passed:
                    process.kill()
    place = EvalPlace(tmp_path / "out")
    before = len(list(read_records(place.batch.records)))
    done = evaluated(corral, tmp_path, "--output", "json", problems=problems)

    assert 1 <= before < len(problems)
    assert done.code == 0, done.err
    (arm,) = done.document["arms"]
    assert (arm["samples"], arm["solved_samples"], arm["missing"]) == (8, 8, 0)
    assert len({record.identity for record in read_records(place.batch.records)}) == 8
    assert len(place.batch.records.read_bytes().splitlines()) == 8
    judged = [
        each for each in read_samples(place.samples) if each.run in {r.run for r in read_records(place.batch.records)}
    ]
    assert {each.problem for each in judged} == {each["task_id"] for each in problems}


def test_ctrl_c_stops_at_a_step_and_the_report_says_what_is_missing(corral: Corral, tmp_path: Path):
    told = [str(write_set(tmp_path, *PROBLEMS[:2])), "--out", str(tmp_path / "out"), *corral.options, "--json"]
    with subprocess.Popen([*COMMAND, *told], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if b": begun" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read().decode()
        document = json.loads(process.stdout.read())
    (arm,) = document["arms"]

    assert process.returncode == 130, rest
    assert "the same command goes on" in rest
    assert not document["complete"]
    assert arm["missing"] == 2
    assert evaluated(corral, tmp_path, problems=PROBLEMS[:1]).code == 0


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--candidates", "1,x"), "--candidates: '1,x' are no numbers"),
        (("--candidates", "0"), "--candidates: 0 is not possible"),
        (("--candidates", "auto,0"), "--candidates: 0 is not possible"),
        (("--candidates", "auto,1,auto"), "names auto twice"),
        (("--repairs", "1,1"), "--repairs: '1,1' names a number twice"),
        (("--rounds", "11"), "--rounds: 11 is not possible"),
        (("--seeds", "1,2", "--n", "3"), "--n 3 and --seeds with 2 do not agree"),
        (("--n", "0"), "--n: 0 is not possible"),
        (("--limit", "0"), "--limit: 0 is not possible"),
        (("--only", "Nothing"), "has Nothing in its id"),
        (("--report", "x"), "--report goes with neither a set nor --out"),
    ],
)
def test_wrong_options_are_refused_before_anything_begins(
    corral: Corral, tmp_path: Path, options: tuple[str, ...], said: str
):
    refused(evaluated(corral, tmp_path, *options, problems=PROBLEMS[:1]), 2, said)
    assert not (tmp_path / "out").exists()


def test_no_set_a_missing_one_a_bad_one_and_no_evaluation_are_refused(corral: Corral, tmp_path: Path):
    (tmp_path / "bad.jsonl").write_text("{}")
    refused(corral("eval"), 2, "no set of problems was named")
    refused(corral("eval", str(tmp_path / "none.jsonl")), 2, "none.jsonl: No such file or directory")
    refused(corral("eval", str(tmp_path / "bad.jsonl")), 2, "line 1: task_id: Field required")
    refused(corral("eval", "--report", str(tmp_path)), 2, "there is no evaluation in")
