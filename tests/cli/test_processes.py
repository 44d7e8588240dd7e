"""Commands as processes: Ctrl-C, a person at a terminal, two commands on one data directory, the demo."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli.demo import simulator_settings
from backend.cli.sampling import DemoPlace, Samples, write_samples
from tests.batch.conftest import job_line, problem
from tests.cli.conftest import Corral, refused, serve, untaken

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "backend.cli"]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> Iterator[str]:
    """A server whose answers take so long that something can happen meanwhile."""
    place = DemoPlace(tmp_path_factory.mktemp("slow"))
    write_samples(samples, place)
    yield from serve(simulator_settings(place).model_copy(update={"decode_tokens_per_second": 5.0}))


class Started:
    """A `corral run` of the first sample task, read event by event."""

    def __init__(self, corral: Corral, place: DemoPlace, samples: Samples, root: Path) -> None:
        task = [samples.task[0].prompt, "--repo", str(place.repository), "--model", "oracle", "--output", "ndjson"]
        self.process = subprocess.Popen(
            [*PROGRAM, "run", *task, *corral.options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
        )  # fmt: skip
        self.lines: list[dict[str, object]] = []

    def until(self, kind: str) -> str:
        """Read to the first event of a kind; returns the run's id."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("kind") == kind:
                return str(self.lines[-1]["run"])
        raise AssertionError(f"no {kind} came: {self.process.communicate()[1]}")

    def end(self) -> tuple[int, str]:
        """Read to the end; the exit code and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.lines += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err


@pytest.fixture
def started(
    corral: Corral,
    place: DemoPlace,
    samples: Samples,
    slow_server: str,
    repository_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Started]:
    """At the slow server; what comes beside or after it has the quick one from the environment."""
    monkeypatch.setenv("OLLAMA_HOST", corral.server)
    corral.server = slow_server
    started = Started(corral, place, samples, repository_root)
    corral.server = ""
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_run_at_a_step_and_resume_ends_it(
    started: Started, corral: Corral, number: signal.Signals
) -> None:
    run = started.until("call.text")
    started.process.send_signal(number)
    code, err = started.end()
    assert code == 130
    assert f"→ corral resume {run}" in err
    assert "Traceback" not in err
    assert started.lines[-1]["exit_code"] == 130
    assert started.lines[-2]["kind"] == "run.interrupted"
    assert "interrupted: stopped by its user" in corral("show", run).out
    resumed = corral("resume", run, "--output", "ndjson")
    assert resumed.code == 0, resumed.err
    first, *_, result = [json.loads(line) for line in resumed.out.splitlines()]
    assert (first["kind"], first["resumed"], first["execution"]) == ("run.started", True, 2)
    assert result["status"] == "done"


def test_second_ctrl_c_ends_the_process_at_once(repository_root: Path) -> None:
    program = (
        "import asyncio\n"
        "from backend.cli.interrupts import interruptible\n"
        "async def main():\n"
        "    with interruptible(lambda: print('first', flush=True)):\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=repository_root)
    assert process.stdout is not None
    for said in ("ready\n", "first\n"):
        assert process.stdout.readline() == said
        process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == -signal.SIGINT
    process.stdout.close()


@pytest.mark.usefixtures("executed")  # what one process wrote another reads, whose sets have another order
def test_killed_run_can_be_followed_shown_and_resumed(started: Started, corral: Corral) -> None:
    run = started.until("call.text")
    started.process.kill()
    started.process.wait()
    followed = corral("follow", run)
    assert followed.code == 0
    assert "its process has ended" in followed.err
    resumed = corral("resume", run, "--output", "json")
    assert (resumed.code, resumed.document["status"]) == (0, "done"), resumed.err


def test_cancel_reaches_the_process_that_runs_it(started: Started, corral: Corral) -> None:
    run = started.until("call.text")
    cancelled = corral("cancel", run)
    assert cancelled.code == 0
    assert f"cancelled {run}" in cancelled.err
    assert started.end()[0] == 130
    assert started.lines[-1]["status"] == "cancelled"
    assert corral("runs", "--output", "json").document[0]["status"] == "cancelled"


def test_follow_sees_what_another_process_does_as_it_happens(
    started: Started, corral: Corral, repository_root: Path
) -> None:
    run = started.until("call.text")
    following = subprocess.Popen(
        [*PROGRAM, "follow", run, "--output", "ndjson", *corral.options],
        stdout=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["kind"] == "run.created"
    started.process.send_signal(signal.SIGINT)
    started.end()
    rest = [json.loads(line) for line in following.communicate(timeout=PATIENCE)[0].splitlines()]
    assert rest[-1]["kind"] == "run.interrupted"
    assert following.returncode == 0


def test_second_command_is_the_guest_of_the_first_and_ends_when_it_goes(
    started: Started, corral: Corral, place: DemoPlace, repository_root: Path
) -> None:
    started.until("call.text")
    waiting = subprocess.Popen(
        [*PROGRAM, "run", "Why?", "--repo", str(place.repository), "--model", "oracle", *corral.options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert f"held by `corral run` (process {started.process.pid})" in waiting.stderr.readline()
    started.process.send_signal(signal.SIGINT)
    started.end()
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, err
    assert out.startswith("This is a simulated model.")


def test_guest_ends_with_one_document_at_ctrl_c_and_its_host_goes_on(
    started: Started, corral: Corral, place: DemoPlace, repository_root: Path
) -> None:
    started.until("call.text")
    waiting = subprocess.Popen(
        [*PROGRAM, "run", "Why?", "--repo", str(place.repository), "--output", "json", *corral.options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert "joins it as a guest" in waiting.stderr.readline()
    assert waiting.stderr.readline().startswith("run ")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    assert json.loads(out)["exit_code"] == 130
    assert "Traceback" not in err
    assert started.process.poll() is None


@pytest.fixture
def waiting(corral: Corral, place: DemoPlace, samples: Samples) -> str:
    """A run that waits for an answer to its plan; nobody holds the engine."""
    task = [samples.task[0].prompt, "--repo", str(place.repository), "--model", "oracle"]
    return corral("run", *task, "--approve", "plan", "--output", "json").document["run"]


def test_gate_is_answered_through_whoever_holds_the_engine(waiting: str, started: Started, corral: Corral) -> None:
    started.until("call.text")
    answered = corral("resume", waiting, "--no", "--reason", "not now")
    assert answered.code == 130, answered.err
    assert f"held by `corral run` (process {started.process.pid})" in answered.err
    assert "answered no: not now" in answered.err
    assert "cancelled: the plan was turned down" in answered.err
    assert started.process.poll() is None


def test_guest_that_asks_for_a_sandbox_of_its_own_is_refused(
    started: Started, corral: Corral, place: DemoPlace
) -> None:
    started.until("call.text")
    done = corral("run", "Why?", "--repo", str(place.repository), "--sandbox", "none")
    refused(done, 2, "--sandbox", f"process {started.process.pid}")


@pytest.mark.parametrize("verb", ["run", "chat", "resume", "batch", "eval", "replay", "top"])
def test_guest_that_names_another_server_than_its_holder_is_refused(
    verb: str, waiting: str, started: Started, corral: Corral, slow_server: str, tmp_path: Path
) -> None:
    started.until("call.text")
    (tmp_path / "jobs.jsonl").write_text('{"id": "a", "prompt": "Why?"}\n')
    (tmp_path / "set.jsonl").write_text(job_line(problem(1)) + "\n")
    words = {
        "run": ["Why?", "--repo", str(tmp_path)],
        "chat": ["--once", "Why?", "--repo", str(tmp_path)],
        "resume": [waiting, "--yes"],
        "batch": [str(tmp_path / "jobs.jsonl"), "--out", str(tmp_path / "out")],
        "eval": [str(tmp_path / "set.jsonl"), "--out", str(tmp_path / "out")],
        "replay": [waiting, "--from", "researcher"],
        "top": [],
    }
    before = len(corral("runs", "--json").document)
    done = corral(verb, *words[verb], "--server", "http://127.0.0.1:1")
    refused(done, 2, "--server", f"process {started.process.pid}", f"which asks {slow_server}")
    assert len(corral("runs", "--json").document) == before


def test_batch_of_a_guest_whose_model_is_missing_stops_as_it_would_alone(
    started: Started, corral: Corral, tmp_path: Path
) -> None:
    started.until("call.text")
    (tmp_path / "jobs.jsonl").write_text('{"id": "a", "prompt": "Why?"}\n')
    done = corral("batch", str(tmp_path / "jobs.jsonl"), "--out", str(tmp_path / "out"), "--model", "absent:7b")
    assert done.code == 3
    assert "ollama pull absent:7b" in done.err
    assert "the same command goes on" in done.err
    assert (tmp_path / "out" / "report.json").exists()


def follow(run: str, corral: Corral, repository_root: Path) -> subprocess.Popen[str]:
    """`corral follow`, once it has shown the first event."""
    following = subprocess.Popen(
        [*PROGRAM, "follow", run, "--output", "ndjson", *corral.options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["kind"] == "run.created"
    return following


def test_follow_of_a_run_whose_process_is_killed_meanwhile_ends(
    started: Started, corral: Corral, repository_root: Path
) -> None:
    run = started.until("call.text")
    following = follow(run, corral, repository_root)
    started.process.kill()
    started.process.wait()
    _, err = following.communicate(timeout=PATIENCE)
    assert following.returncode == 0
    assert "its process has ended, and nobody goes on with it" in err
    assert f"→ corral resume {run}" in err


def test_ctrl_c_ends_the_following_and_not_the_run(started: Started, corral: Corral, repository_root: Path) -> None:
    run = started.until("call.text")
    following = follow(run, corral, repository_root)
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=PATIENCE)
    assert following.returncode == 130
    assert err == "no longer followed; the run itself goes on\n"
    assert started.process.poll() is None


def test_ctrl_c_is_answered_in_two_lines_and_how_to_go_on(
    started: Started, corral: Corral, repository_root: Path
) -> None:
    run = started.until("call.text")
    started.process.send_signal(signal.SIGINT)
    _, err = started.end()
    assert err.count("stopped by its user") == 1
    assert err.count("corral resume") == 1
    assert f"→ corral resume {run}" in err


@pytest.mark.parametrize(
    "words", ["show RUN", "show RUN --patch", "show RUN --json", "follow RUN", "follow RUN --output ndjson", "xray RUN",
              "replay RUN", "replay RUN --output ndjson", "models", "bench oracle --most 1 --tokens 4"]
)  # fmt: skip
@pytest.mark.parametrize(("full", "code"), [(False, 141), (True, 3)], ids=["reader gone", "disk full"])
def test_what_nobody_takes_of_a_run_ends_the_command_with_one_code(
    words: str, full: bool, code: int, run: str, corral: Corral, repository_root: Path
) -> None:
    done = untaken(words.replace("RUN", run).split(), full=full, cwd=repository_root, options=corral.options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


@pytest.mark.parametrize("output", ["text", "json", "ndjson"])
@pytest.mark.parametrize(("full", "code"), [(False, 141), (True, 3)], ids=["reader gone", "disk full"])
def test_work_whose_output_nobody_takes_ends_with_one_code(
    output: str, full: bool, code: int, corral: Corral, place: DemoPlace, repository_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "jobs.jsonl").write_text(job_line(problem(1)) + "\n")
    for words in (
        ["run", "Why?", "--repo", str(place.repository), "--model", "oracle", "-q"],
        ["batch", str(tmp_path / "jobs.jsonl"), "--out", str(tmp_path / "out"), "--model", "oracle"],
        ["chat", "--once", "Why?", "--repo", str(place.repository)],
    ):
        words += ["--output", output]
        done = untaken(words, full=full, cwd=repository_root, options=corral.options)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "ignored" not in done.stderr


def test_task_is_read_from_standard_input(corral: Corral, place: DemoPlace, repository_root: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "run", "-", "--repo", str(place.repository), "--model", "oracle", *corral.options],
        input="Why?\n", capture_output=True, text=True, cwd=repository_root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "task: Why?" in done.stderr


# --------------------------------------------------------------------------------- a person at a terminal


# Ctrl-C reaches the program as a signal only if the terminal is its own.
_AT_TERMINAL = (
    "import fcntl, sys, termios\n"
    "from backend.cli.__main__ import main\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "sys.exit(main())\n"
)


class Person:
    """Types at a terminal and reads its screen."""

    def __init__(self, arguments: list[str], root: Path, term: str = "xterm-256color") -> None:
        self.screen = ""
        self.terminal, inside = pty.openpty()
        environment = {**os.environ, "TERM": term, "COLUMNS": "100", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *arguments],
            stdin=inside, stdout=inside, stderr=inside, cwd=root, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(inside)

    def waits_for(self, text: str) -> None:
        """Read until the screen shows a text that it did not show before."""
        start, end = len(self.screen), time.monotonic() + PATIENCE
        while text not in self.screen[start:]:
            assert time.monotonic() < end, self.screen
            if not self.read():
                raise AssertionError(f"{text!r} never came:\n{self.screen}")

    def read(self) -> bool:
        """Read what is there; False at the end."""
        if not select.select([self.terminal], [], [], PATIENCE)[0]:
            return False
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.screen += data.decode("utf-8", "replace")
        return bool(data)

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def leaves(self) -> int:
        """Read to the end; the exit code."""
        while self.read():
            pass
        os.close(self.terminal)
        return self.process.wait(PATIENCE)


def arguments_of(corral: Corral, place: DemoPlace, samples: Samples) -> list[str]:
    task = samples.task[0]
    arguments = ["run", task.prompt, "--repo", str(place.repository), "--tests", str(place.repository / task.tests[0])]
    return [*arguments, "--model", "oracle", "--approve", "plan,patch", *corral.options]


@pytest.fixture
def person(corral: Corral, place: DemoPlace, samples: Samples, repository_root: Path) -> Person:
    return Person(arguments_of(corral, place, samples), repository_root)


def test_person_at_a_dumb_terminal_is_asked_in_plain_lines(
    corral: Corral, place: DemoPlace, samples: Samples, repository_root: Path
) -> None:
    person = Person(arguments_of(corral, place, samples), repository_root, term="dumb")
    for gate in ("plan", "patch"):
        person.waits_for(f"Go on with this {gate}?")
        person.types("y\n")
    assert person.leaves() == 0, person.screen
    assert "\x1b" not in person.screen


def test_chat_at_a_dumb_terminal_says_what_it_cannot_do_there(corral: Corral, repository_root: Path) -> None:
    person = Person(["chat", *corral.options], repository_root, term="dumb")
    assert person.leaves() == 2
    assert "TERM=dumb" in person.screen
    assert "\x1b" not in person.screen


def test_person_says_yes_to_plan_and_patch(person: Person) -> None:
    person.waits_for("Go on with this plan?")
    assert "1. Replace every run" in person.screen
    person.types("maybe\n")
    person.waits_for("Type y or n")
    person.types("y\n")
    person.waits_for("Go on with this patch?")
    person.types("yes\n")
    assert person.leaves() == 0, person.screen
    assert "done: 3 tests" in person.screen
    assert "\x1b[32m" in person.screen


def test_person_says_no_and_the_patch_is_kept(person: Person, corral: Corral) -> None:
    person.waits_for("Go on with this plan?")
    person.types("y\n")
    person.waits_for("Go on with this patch?")
    person.types("n too clever\n")
    assert person.leaves() == 130
    (record,) = corral("runs", "--output", "json").document
    assert record["status"] == "cancelled"
    shown = corral("show", record["run"])
    assert "answered no: too clever" in shown.out
    assert "diff --git a/text.py" in shown.out


def test_ctrl_c_at_a_question_leaves_a_run_that_asks_again(
    person: Person, corral: Corral, repository_root: Path
) -> None:
    person.waits_for("Go on with this plan?")
    person.types("\x03")
    assert person.leaves() == 130, person.screen
    assert "→ corral resume" in person.screen
    (record,) = corral("runs", "--output", "json").document
    again = Person(["resume", record["run"], *corral.options], repository_root)
    again.waits_for("Go on with this plan?")
    again.types("y\n")
    again.waits_for("Go on with this patch?")
    again.types("y\n")
    assert again.leaves() == 0, again.screen


# --------------------------------------------------------------------------------------- demo and sim


def test_demo_solves_every_task_and_says_simulated_first_and_last(tmp_path: Path, repository_root: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "demo", "--into", str(tmp_path / "demo")],
        capture_output=True, text=True, cwd=repository_root, check=False, timeout=2 * PATIENCE,
        env={**os.environ, "OLLAMA_HOST": "http://127.0.0.1:1", "CORRAL_MODEL": "nonsense"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("simulated:")
    end = lines.index("3 of 3 tasks done")
    assert lines[end + 1].startswith("simulated:")
    assert "corral run" in done.stderr[-300:]
    assert "try 2: tests: 5 passed" in done.stderr
    assert done.stdout.count("diff --git ") == 4
    assert (tmp_path / "demo" / "repository" / ".git").is_dir()


def test_simulator_says_simulated_and_where_and_ends_in_order(repository_root: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "sim", "--time-scale", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository_root,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "simulated" in err
    assert "OLLAMA_HOST=http://127.0.0.1:" in err


def test_simulator_on_a_port_that_is_taken_exits_3(repository_root: Path, server: str) -> None:
    port = server.rpartition(":")[2]
    done = subprocess.run(
        [*PROGRAM, "sim", "--port", port], capture_output=True, text=True, cwd=repository_root, check=False
    )
    assert done.returncode == 3
    assert "--port" in done.stderr
