"""Commands that tests start are forked, and are processes of their own all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forkserver import ROOT, Unforked, request_of

COMMAND = (sys.executable, "-m", "backend.cli", "runs")
FORKED = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked here")


@pytest.mark.slow
@FORKED
def test_command_is_forked_and_a_child_of_whoever_starts_it(tmp_path: Path):
    serve = (*COMMAND[:3], "serve", "--port", "0", "--no-browser", "--data", str(tmp_path / "data"))
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        assert "listens" in process.stderr.readline()
        about = Path("/proc", str(process.pid))
        assert b"tests.forkserver" in (about / "cmdline").read_bytes()
        assert int((about / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
        process.terminate()
        assert process.wait() == 0


@FORKED
@pytest.mark.usefixtures("executed")
def test_command_of_a_test_that_wants_it_so_is_executed():
    command = (*COMMAND[:2], "tests.house.waiting")
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        words = Path("/proc", str(process.pid), "cmdline")
        while not (said := words.read_bytes()):  # there is none for a moment, while it is executed
            assert process.poll() is None
            os.sched_yield()
        assert "\0".join(command).encode() in said


@pytest.mark.slow
def test_streams_and_exit_code_are_those_of_the_command():
    version = subprocess.run([*COMMAND[:3], "--version"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert version.stdout.startswith("corral ")
    unknown = subprocess.run([*COMMAND[:3], "nonsense"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "nonsense" in unknown.stderr


@FORKED
@pytest.mark.parametrize(
    ("words", "cwd", "more"),
    [
        ((sys.executable, "-c", "pass"), ROOT, {}),
        ((sys.executable, "-m", "pytest", "--version"), ROOT, {}),
        (("/usr/bin/python3", *COMMAND[1:]), ROOT, {}),
        (COMMAND, ROOT / "tests", {}),
        (COMMAND, ROOT, {"PYTHONOPTIMIZE": "1"}),
        (COMMAND, ROOT, {"PYTHONPATH": "/elsewhere"}),
        (COMMAND, ROOT, {"CORRAL_CORE": "a folder"}),
        (COMMAND, ROOT, {"TZ": "Asia/Kathmandu"}),
    ],
)
def test_what_a_fork_cannot_have_is_asked_of_no_server(words: tuple[str, ...], cwd: Path, more: dict[str, str]):
    assert request_of(words, cwd, {**os.environ, **more}) is None
    assert request_of(COMMAND, ROOT, None) is not None


@FORKED
def test_command_that_is_no_fork_is_refused_to_a_test_that_does_not_say_that_it_wants_it():
    """Else all would be executed one day, for a variable that has come in, and only the clock would say so."""
    with pytest.raises(Unforked, match=r"backend\.cli runs"):
        subprocess.run(COMMAND, cwd=ROOT, env={**os.environ, "TZ": "Asia/Kathmandu"}, check=False)


def test_tests_know_no_settings_of_the_user():
    """What a user has set for Corral: a command would fail of it, or start in another form than its tests do."""
    script = "import os, tests.sources; print(sorted(name for name in os.environ if name.startswith('CORRAL_')))"
    env = {**os.environ, "CORRAL_MODEL": "m", "CORRAL_POOL__NUM_PREDICT": "1", "CORRAL_TEST_OLLAMA": "http://gpu"}
    env.pop("CORRAL_CORE", None)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "['CORRAL_CORE', 'CORRAL_TEST_OLLAMA']\n"


@FORKED
def test_environment_that_a_test_has_changed_is_not_that_of_the_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert request_of(COMMAND, ROOT, None) is None
