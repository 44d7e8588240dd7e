"""Corral's commands as processes over a simulated server in the test's own loop, and what can be waited for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.readers import open_readers
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.events.log import Stored, follow_file
from infrastructure.ids import RunId
from infrastructure.simulator import Simulator
from infrastructure.storage.lock import Holder, read_holder
from infrastructure.storage.runs import RunRecord
from tests.batch.conftest import job_line, oracle_task, problem
from tests.engine.world import ASKED, KNOWN, TASK, paced, repository

ROOT = Path(__file__).parents[2]
LOOK = 0.02
INTENT, PLANNER, CODER = (f"You are Corral's {role}." for role in ("intent", "planner", "coder"))
"""What the prompts of these roles say, for the simulator's `hold`."""
JOB = "def add_"
"""What the prompts of every job of the batch say, and those of no other task."""
PROBLEMS = tuple(problem(number) for number in range(1, 5))


class Command:
    """A command; what it says is read while it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._said = asyncio.Condition()
        self._open = 2
        self._reading = asyncio.gather(self._read(process.stdout, self.out), self._read(process.stderr, self.err))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return "\n".join(self.err)

    @property
    def documents(self) -> list[dict]:
        """The lines of stdout, each a JSON document."""
        return [json.loads(line) for line in self.out]

    @property
    def result(self) -> dict:
        return self.documents[-1]

    async def says(self, text: str) -> str:
        """Wait for a line on stderr with this text."""
        return await self._until(lambda: next((line for line in self.err if text in line), None), text)

    async def run(self) -> RunId:
        """The id of its run, once it follows it; with `--output ndjson`."""
        line = await self._until(lambda: self.out[0] if self.out else None, "a first event")
        return RunId(json.loads(line)["run"])

    async def event(self, kind: str) -> dict:
        """Wait for the first event of a kind; with `--output ndjson`."""
        line = await self._until(lambda: next((line for line in self.out if f'"{kind}"' in line), None), kind)
        return json.loads(line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        await self._reading
        return await self.process.wait()

    async def _until(self, found: Callable[[], str | None], what: str) -> str:
        async with self._said:
            while (line := found()) is None:
                assert self._open, f"it ended without {what!r}:\n{self.text}\n{self.out[-2:]}"
                await self._said.wait()
            return line

    async def _read(self, stream: asyncio.StreamReader | None, into: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            async with self._said:
                into.append(line.decode().rstrip("\n"))
                self._said.notify_all()
        async with self._said:
            self._open -= 1
            self._said.notify_all()


@dataclass
class Bench:
    """A data directory, a repository, a server, and the commands that were started on them."""

    root: Path
    simulator: Simulator
    slots: int = 1
    """How many calls the commands hold at the server at once."""
    started: list[Command] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def settings(self) -> Settings:
        servers = (ServerSettings(url=self.simulator.url, slots=self.simulator.settings.num_parallel),)
        return Settings(servers=servers, model="oracle", paths=Paths(data=self.data))

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "out" / "records.jsonl").read_text().splitlines()]

    def options(self) -> list[str]:
        server = ["--server", self.simulator.url] if self.slots == 1 else []
        return ["--data", str(self.data), *server]

    def environ(self) -> dict[str, str]:
        environ = dict(os.environ)
        if self.slots != 1:
            environ["CORRAL_SERVERS"] = json.dumps([{"url": self.simulator.url, "slots": self.slots}])
        return environ

    async def command(self, *words: str, options: Sequence[str] | None = None) -> Command:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backend.cli", *words, *(self.options() if options is None else options),
            cwd=ROOT, env=self.environ(), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        command = Command(process)
        self.started.append(command)
        return command

    async def run(self, *more: str, task: str = TASK, output: str = "ndjson") -> Command:
        tests = str(self.repo / "test_calc.py")
        return await self.command(
            "run", task, "--repo", str(self.repo), "--tests", tests, "--model", "oracle", "--output", output, *more
        )

    async def batch(self, *more: str, problems: int = len(PROBLEMS)) -> Command:
        jobs = self.root / "jobs.jsonl"
        jobs.write_text("".join(job_line(each) + "\n" for each in PROBLEMS[:problems]))
        return await self.command("batch", str(jobs), "--out", str(self.root / "out"), "--model", "oracle", *more)

    async def serve(self, *more: str) -> Command:
        return await self.command("serve", "--port", "0", "--no-browser", *more)

    async def held_by(self, *commands: Command) -> Command:
        """Wait until one of the commands holds the engine and has a door."""
        while True:
            holder = await asyncio.to_thread(read_holder, self.data / "engine.lock")
            for command in commands:
                if holder is not None and holder.pid == command.pid and holder.address:
                    return command
                assert command.process.returncode is None, command.text
            await asyncio.sleep(LOOK)

    def holder(self) -> Holder | None:
        return read_holder(self.data / "engine.lock")

    async def until(self, run: RunId, kind: str, after: int = 0) -> Stored:
        """Follow a run in the file until an event of this kind."""
        async with open_readers(self.settings) as readers:
            async for stored in follow_file(readers.database, run, after):
                if stored.event.kind == kind:
                    return stored
        raise AssertionError(f"the run ended without {kind}")

    async def events(self, run: RunId) -> list[Stored]:
        """Everything in a run's log, to its end."""
        async with open_readers(self.settings) as readers:
            return [stored async for stored in follow_file(readers.database, run)]

    async def rows(self) -> tuple[RunRecord, ...]:
        async with open_readers(self.settings) as readers:
            return await readers.runs.list(1000)

    async def until_rows(self, number: int) -> tuple[RunRecord, ...]:
        """Wait until there are so many runs."""
        while True:
            if len(rows := await self.rows()) >= number:
                return rows
            await asyncio.sleep(LOOK)

    async def row(self, run: str) -> RunRecord:
        async with open_readers(self.settings) as readers:
            return await readers.runs.get(run)


@asynccontextmanager
async def bench(root: Path, *, slots: int = 1, **settings: object) -> AsyncIterator[Bench]:
    """The server, and at the end nothing left running."""
    told = {"tokens_per_second": 60, "num_parallel": 2, **settings}
    repository(root / "repo")
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(paced(root, KNOWN, ASKED, *map(oracle_task, PROBLEMS), **told))
        made = Bench(root, simulator, slots)
        try:
            yield made
        finally:
            for command in made.started:
                if command.process.returncode is None:
                    command.process.kill()
                await command.ended()
