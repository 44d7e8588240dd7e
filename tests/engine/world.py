"""The whole application over simulated servers: a task that the oracle knows, and what came of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.bootstrap import Application, open_application
from infrastructure.config.settings import LaneSettings, Paths, PoolSettings, RunSettings, ServerSettings, Settings
from infrastructure.engine import TaskOrchestrator
from infrastructure.events.catalogue import Event
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.simulator import Fault, ModelSpec, Simulator, SimulatorSettings
from infrastructure.storage.runs import RunRecord
from infrastructure.tasks import RunResult, TaskSpec

TASK = "Implement add in calc.py"
QUESTION = "What is in calc.py?"
STUB = "def add(a, b):\n    raise NotImplementedError\n"
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = (
    "import unittest\nfrom calc import add\n\n\n"
    "class T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
)
KNOWN: Mapping[str, object] = {
    "id": "add",
    "prompt": TASK,
    "files": {"calc.py": RIGHT},
    "broken": {"calc.py": WRONG},
    "tests": {"test_of_plan.py": TESTS},
}
ASKED: Mapping[str, object] = {"id": "ask", "prompt": QUESTION, "kind": "question", "answer": "A stub of add."}
CODER, DEBUGGER = (f"You are Corral's {role}." for role in ("coder", "debugger"))
REPAIR = "Mend this attempt."
"""What the prompts of these roles say, and of a coder's second try, for the simulator's `hold`."""
LONG = RIGHT + "".join(f"# line {number} of a comment that takes its time\n" for number in range(400))


def task(**changes: object) -> Mapping[str, object]:
    """The known task, told otherwise."""
    return {**KNOWN, **changes}


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calc.py").write_text(STUB)
    (folder / "test_calc.py").write_text(TESTS)
    return folder


def simulator(folder: Path, *tasks: Mapping[str, object], fault: Fault | None = None, **settings: object) -> Simulator:
    """A server with the oracle; instant unless it is given a pace (`time_scale`)."""
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (tasks or (KNOWN, ASKED))))
    oracle = ModelSpec(name="oracle", brain="oracle", fault=fault)
    settings = {"time_scale": 0.0, "num_parallel": 4, "num_ctx": 32768, "load_seconds": 0.0, **settings}
    return Simulator(SimulatorSettings(tasks=path, models=(oracle,), **settings))


def paced(folder: Path, *tasks: Mapping[str, object], tokens_per_second: float = 2000, **settings: object) -> Simulator:
    """A server whose tokens take their time, so that an answer can be met in its middle."""
    return simulator(
        folder,
        *tasks,
        time_scale=1,
        decode_tokens_per_second=tokens_per_second,
        prefill_tokens_per_second=1e6,
        **settings,
    )


def settings_of(folder: Path, simulators: Sequence[Simulator], *, window: int | None = None, **run: object) -> Settings:
    return Settings(
        lanes={} if window is None else {"small": LaneSettings(model="oracle", num_ctx=window)},
        servers=tuple(
            ServerSettings(url=each.url, slots=each.settings.num_parallel, name=f"gpu{number}")
            for number, each in enumerate(simulators)
        ),
        model="oracle",
        paths=Paths(data=folder / "data"),
        run=RunSettings(**run),
        pool=PoolSettings(retry_down_seconds=0.05),
    )


@dataclass(kw_only=True)
class World:
    """What is open."""

    folder: Path
    repo: Path
    simulators: list[Simulator]
    settings: Settings
    app: Application
    leave: Callable[[], Awaitable[None]]
    """Close the application and leave the servers running."""
    seen: list[Stored] = field(default_factory=list)

    @property
    def engine(self) -> TaskOrchestrator:
        return self.app.engine

    async def start(self, text: str = TASK, **more: object) -> RunId:
        return await self.engine.start(TaskSpec(task=text, repo=self.repo, **more))

    async def run(self, text: str = TASK, **more: object) -> RunResult:
        """A run to its end; its events are in `seen`."""
        return await self.end_of(await self.start(text, **more))

    async def end_of(self, run: RunId) -> RunResult:
        self.seen = [stored async for stored in self.engine.follow(run)]
        return await self.engine.result(run)

    async def until(self, run: RunId, kind: str, node: str | None = None) -> Event:
        """Follow a run until an event of this kind, and look no further."""
        async for stored in self.engine.follow(run):
            if stored.event.kind == kind and node in (None, stored.event.node):
                return stored.event
        raise AssertionError(f"the run ended without {kind}")

    async def record(self, run: RunId) -> RunRecord:
        return await self.app.runs.get(run)

    def kinds(self) -> list[str]:
        return [stored.event.kind for stored in self.seen]

    def events(self, kind: type[Event]) -> list[Event]:
        return [stored.event for stored in self.seen if isinstance(stored.event, kind)]


def asked(*simulators: Simulator) -> int:
    """How often a model was asked, by the servers' own logs."""
    return sum(record.route == "/api/chat" for each in simulators for record in each.truth.requests)


@asynccontextmanager
async def world(folder: Path, *simulators: Simulator, **run: object) -> AsyncIterator[World]:
    """The application over these servers, or one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    servers = list(simulators) or [simulator(folder)]
    async with AsyncExitStack() as stack:
        for each in servers:
            await stack.enter_async_context(each)
        settings = settings_of(folder, servers, **run)
        opened = await stack.enter_async_context(AsyncExitStack())
        app = await opened.enter_async_context(open_application(settings))
        yield World(
            folder=folder, repo=repository(folder / "repo"), simulators=servers, settings=settings, app=app,
            leave=opened.aclose,
        )  # fmt: skip
