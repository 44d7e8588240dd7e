"""Small problems that a simulated server knows, a batch's order over them, and the application they run in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backend.bootstrap import Application, open_application
from benchmarks.humaneval import Problem
from infrastructure.batch import BatchPlace, EngineRuns, Entry, News, Opened, Order, Tally, Wishes, read_jobs
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.simulator import Simulator, SimulatorSettings

SEED = 7


def problem(number: int) -> Problem:
    """A HumanEval problem of our own: add a number."""
    return Problem(
        task_id=f"Tiny/{number}",
        prompt=f'def add_{number}(x: int) -> int:\n    """Add {number} to x."""\n',
        entry_point=f"add_{number}",
        canonical_solution=f"    return x + {number}\n",
        test=f"def check(candidate):\n    assert candidate(1) == {1 + number}\n",
    )


def oracle_task(each: Problem) -> dict[str, object]:
    """What the simulated model knows of it."""
    return {
        "id": each.task_id,
        "match": [each.task],
        "kind": "code",
        "language": "python",
        "files": {"solution.py": each.solution},
        "plan": ["Write the body."],
    }


def job_line(each: Problem) -> str:
    """The problem as a line of a jobs' file."""
    fields = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
    return json.dumps({name: getattr(each, name) for name in fields})


def write_lines(file: Path, lines: Iterable[object]) -> Path:
    """A file of JSON lines; texts are written as they are."""
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return file


def simulator_settings(tasks: Path, **more: object) -> SimulatorSettings:
    """A server that knows the tasks, needs a repair for half of them, and takes no time."""
    told = {"tasks": tasks, "first_time_right": 0.5, "seed": SEED, "num_parallel": 2, "time_scale": 0.0}
    return SimulatorSettings.model_validate(told | more)


@dataclass
class Heard:
    """What a batch told."""

    news: list[News | Opened] = field(default_factory=list[News | Opened])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, news: News | Opened, tally: Tally) -> None:
        self.news.append(news)
        self.arrived.set()

    def of(self, kind: type) -> list:
        return [each for each in self.news if isinstance(each, kind)]

    async def until(self, kind: type) -> None:
        """Wait for the first of a kind."""
        while not self.of(kind):
            self.arrived.clear()
            await self.arrived.wait()


@dataclass
class Workshop:
    """Jobs, a data directory, a batch's folder."""

    root: Path
    settings: Settings

    @property
    def place(self) -> BatchPlace:
        return BatchPlace(self.root / "out")

    def entries(self, *lines: object, samples: int = 1) -> tuple[Entry, ...]:
        return read_jobs(write_lines(self.root / "jobs.jsonl", lines), samples=samples)

    def order(self, entries: tuple[Entry, ...], heard: Heard | None = None, **wishes: object) -> Order:
        return Order(
            entries=entries,
            place=self.place,
            wishes=Wishes(**wishes),  # type: ignore[arg-type]
            settings=self.settings,
            on_news=heard or Heard(),
            stop=asyncio.Event(),
        )

    def application(self) -> AbstractAsyncContextManager[Application]:
        return open_application(self.settings, verb="batch")

    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.place.records.read_text().splitlines()]


class HeldEngine:
    """A batch's engine over an application that is open in this process."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.start = app.engine.start
        self.resume = app.engine.resume
        self.result = app.engine.result
        self.interrupt = app.engine.interrupt
        self.keyed = app.runs.keyed
        self.record_of = app.runs.get
        self.events_of = app.log.read

    async def ready(self) -> None:
        await self._app.pool.models()


def engine_runs(app: Application) -> EngineRuns:
    return EngineRuns(engine=HeldEngine(app), places=sum(server.slots for server in app.settings.servers))


@asynccontextmanager
async def tiny_server(root: Path, problems: Iterable[Problem], **more: object) -> AsyncIterator[Simulator]:
    """A simulated server that knows the problems."""
    tasks = write_lines(root / "tasks.jsonl", [oracle_task(each) for each in problems])
    async with Simulator(simulator_settings(tasks, **more)) as simulator:
        yield simulator


@pytest.fixture
def workshop_at(tmp_path: Path) -> Callable[[str], Workshop]:
    """A workshop whose server is at this address."""

    def at(url: str) -> Workshop:
        settings = Settings(
            servers=(ServerSettings(url=url, slots=2),),
            model="oracle",
            paths=Paths(data=tmp_path / "data", config=tmp_path / "corral.toml"),
        )
        return Workshop(tmp_path, settings)

    return at
