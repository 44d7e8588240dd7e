"""A simulated server that knows the sample tasks, and commands run against it in this process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from backend.cli.app import run_command
from backend.cli.demo import simulator_settings
from backend.cli.sampling import DemoPlace, Samples, commit_samples, read_samples, write_samples
from infrastructure.simulator import Simulator, SimulatorSettings


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)


@dataclass
class Corral:
    """The command line with a data directory and a server of its own."""

    capsys: pytest.CaptureFixture[str]
    data: Path
    server: str
    """Named by --server, unless it is empty."""
    extra: list[str] = field(default_factory=list[str])

    @property
    def options(self) -> list[str]:
        named = ["--server", self.server] if self.server else []
        return ["--data", str(self.data), *named]

    def __call__(self, verb: str, *arguments: str) -> Done:
        self.capsys.readouterr()
        code = run_command([verb, *arguments, *self.options])
        said = self.capsys.readouterr()
        return Done(code, said.out, said.err)


Solve = Callable[..., Done]
"""Runs a sample task; further arguments of the command, `model` and the task's `number`."""


def refused(done: Done, code: int, *said: str) -> None:
    """The command ended with this code, said this, and said what to do; stdout stays empty."""
    assert done.code == code, done.err
    for each in said:
        assert each in done.err
    assert "→" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def untaken(words: list[str], *, full: bool, cwd: Path, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A command whose stdout is a pipe that nobody reads, or a full disk."""
    command = [sys.executable, "-m", "backend.cli", *words, *options]
    if full:
        taken = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, taken = os.pipe()
        os.close(reader)
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=taken, stderr=subprocess.PIPE, text=True, cwd=cwd, check=False
        )
    finally:
        os.close(taken)


def serve(settings: SimulatorSettings) -> Iterator[str]:
    """Run a simulator in a thread of its own; yields its address."""
    ready, urls = threading.Event(), list[str]()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def main() -> None:
        async with Simulator(settings) as simulator:
            urls.append(simulator.url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def samples() -> Samples:
    return read_samples()


@dataclass(frozen=True)
class Solved:
    """The first sample task, solved: its repository and its data, made once and put back for each test.

    A run knows where its repository lies, so both are put back at the path at which they were made.
    """

    root: Path
    kept: Path
    run: str

    def renewed(self) -> Path:
        """The folder as it was when the run had ended."""
        shutil.rmtree(self.root)
        shutil.copytree(self.kept, self.root, symlinks=True)
        return self.root


@pytest.fixture(scope="session")
def solved(tmp_path_factory: pytest.TempPathFactory, server: str, samples: Samples) -> Solved:
    place = DemoPlace(tmp_path_factory.mktemp("solved") / "place")
    sample_repository(samples, place)
    command = ["run", *words_of(samples, place), "--model", "oracle", "--output", "json"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(place.root))
        assert run_command([*command, "--data", str(place.data), "--server", server]) == 0
    kept = place.root.with_name("kept")
    shutil.copytree(place.root, kept, symlinks=True)
    return Solved(place.root, kept, json.loads(out.getvalue())["run"])


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> Path:
    """A sample repository, committed once, to be copied."""
    place = DemoPlace(tmp_path_factory.mktemp("fresh"))
    sample_repository(samples, place)
    return place.root


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a test's repository and data lie: an empty folder, or the solved run's for a test that asks for `run`."""
    if "run" not in request.fixturenames:
        return tmp_path
    solved: Solved = request.getfixturevalue("solved")
    return solved.renewed()


@pytest.fixture
def run(solved: Solved, root: Path) -> str:
    """A finished run of the first sample task, which is right at once; `corral` and `place` are where it was made."""
    return solved.run


@pytest.fixture
def place(root: Path, fresh: Path) -> DemoPlace:
    """A sample repository."""
    place = DemoPlace(root)
    if not place.repository.exists():
        shutil.copytree(fresh, root, symlinks=True, dirs_exist_ok=True)
    return place


def sample_repository(samples: Samples, place: DemoPlace) -> None:
    """Write and commit the samples."""
    place.root.mkdir(exist_ok=True)
    write_samples(samples, place)
    asyncio.run(commit_samples(place))


def words_of(samples: Samples, place: DemoPlace, number: int = 0) -> list[str]:
    """What is said of a sample task: its prompt, its repository, its tests."""
    task = samples.task[number]
    tests = [word for test in task.tests for word in ("--tests", str(place.repository / test))]
    return [task.prompt, "--repo", str(place.repository), *tests]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> Iterator[str]:
    """The address of a server that knows the sample tasks and takes no time."""
    place = DemoPlace(tmp_path_factory.mktemp("answers"))
    write_samples(samples, place)
    yield from serve(simulator_settings(place).model_copy(update={"time_scale": 0.0}))


@pytest.fixture
def corral(capsys: pytest.CaptureFixture[str], root: Path, server: str, blocking_calls: BlockBuster) -> Corral:
    for call in ("os.stat", "os.mkdir"):  # the data directory is made before anything else goes on
        blocking_calls.functions[call].can_block_in("infrastructure/storage/directory.py", "prepare")
    return Corral(capsys, root / "data", server)


@pytest.fixture
def solve(corral: Corral, place: DemoPlace, samples: Samples) -> Solve:
    """Runs the first sample task, which is right at once."""

    def run(*arguments: str, model: str = "oracle", number: int = 0) -> Done:
        return corral("run", *words_of(samples, place, number), "--model", model, *arguments)

    return run
