"""A task for the graph: a small repository, scripted roles, a sandbox, and everything a run tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

from infrastructure.config.settings import BudgetSettings, SandboxSettings
from infrastructure.events.catalogue import Event
from infrastructure.sandbox import Check, Command, Execution, Level, Sandbox
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.ports import CallRecorder, ForgetfulRecorder, ModelSource
from infrastructure.workflow.race import Race
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.scripted import ScriptedSource

TASK = "Implement add in calc.py"
STUB = "def add(a, b):\n    raise NotImplementedError\n"
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
CHECK = "check-calc"
"""A test command that the `Checked` sandbox decides."""


def intent(kind: str = "code") -> str:
    return json.dumps({"summary": "Add two numbers.", "kind": kind})


def plan(*files: str, summary: str = "Write add.") -> str:
    return json.dumps({"summary": summary, "files": list(files) or ["calc.py"], "steps": ["Write it."]})


def review(*objections: str) -> str:
    said = {"summary": "It adds.", "objections": list(objections), "verdict": "object" if objections else "approve"}
    return json.dumps(said)


DIAGNOSIS = json.dumps({"cause": "It subtracts.", "fix": "Add."})
REFLECTION = json.dumps({"lesson": "Subtracting was wrong.", "approach": "Add instead."})
NO_TESTS = "I would rather not."
RESEARCH = json.dumps({"notes": "The code.", "files": ["calc.py"]})


def code(content: str, path: str = "calc.py") -> str:
    return f"File: `{path}`\n```python\n{content}```\n"


ROLES: Mapping[str, object] = {
    "intent": lambda _: intent(),
    "researcher": lambda _: RESEARCH,
    "planner": lambda _: plan(),
    "tester": lambda _: NO_TESTS,
    "examiner": lambda _: NO_TESTS,
    "coder": lambda _: code(RIGHT),
    "debugger": lambda _: DIAGNOSIS,
    "reflector": lambda _: REFLECTION,
    "reviewer": lambda _: review(),
    "responder": lambda _: "It adds two numbers.",
}
"""What each role says where a test does not care."""


def scripted(**roles: object) -> ScriptedSource:
    """Scripts for some roles, the usual answers for the others."""
    return ScriptedSource({**ROLES, **roles})


class Checked(Sandbox):
    """A sandbox that runs nothing: the test command passes where calc.py's text pleases."""

    def __init__(self, passes: Callable[[str], bool] = lambda text: "a + b" in text) -> None:
        self._passes = passes
        self.runs = 0

    @property
    def level(self) -> Level:
        return Level.NONE

    async def run(self, command: Command) -> Execution:
        self.runs += 1
        assert command.argv == (CHECK,), "only the test command is answered here"
        good = self._passes(await asyncio.to_thread((command.tree / "work" / "calc.py").read_text))
        return Execution(
            exit_code=0 if good else 1, stdout="", stderr="" if good else "calc.py does not add",
            seconds=0.0, stopped=None, truncated=False, level=Level.NONE,
        )  # fmt: skip

    async def self_check(self) -> tuple[Check, ...]:
        return ()


class Moment:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def repository(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    for path, text in (files or {"calc.py": STUB}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@dataclass(kw_only=True)
class Scenario:
    """One run of the graph."""

    folder: Path
    source: ModelSource
    sandbox: Sandbox = field(default_factory=Checked)
    files: Mapping[str, str] | None = None
    task: str = TASK
    test_command: str = CHECK
    sandbox_settings: SandboxSettings = field(default_factory=SandboxSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    clock: Callable[[], float] = field(default_factory=Moment)
    recorder: CallRecorder = field(default_factory=ForgetfulRecorder)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    events: list[Event] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    may_ask: bool = False
    on_event: Callable[[Event], None] = lambda _: None
    graph: CodegenGraph = field(default_factory=lambda: compile_codegen_graph(checkpointer=InMemorySaver()))

    def __post_init__(self) -> None:
        self.scope = RunScope(
            run="run-1", trees=self.folder / "trees", source=self.source, recorder=self.recorder, race=Race(),
            budget=Budget(limits=self.budget, now=self.clock, started=self.clock()),
            sandbox=self.sandbox, blobs=self.blobs, may_ask=self.may_ask, sandbox_settings=self.sandbox_settings,
        )  # fmt: skip
        self.config = {"configurable": {"thread_id": "run-1"}, "recursion_limit": 100}

    async def run(self, given: object = None, **settings: object) -> Mapping[str, object]:
        """Run from the start, or on with `given`; the state it ends in."""
        start = {"task": self.task, "repo": str(repository(self.folder / "repo", self.files)), **settings}
        if self.test_command:
            start["test_command"] = self.test_command
        stream = self.graph.astream(
            start if given is None else given, self.config, context=self.scope,
            stream_mode=["updates", "custom"], subgraphs=True, durability="sync",
        )  # fmt: skip
        async for _, mode, part in stream:
            if mode == "custom":
                self.events.append(part)
                self.on_event(part)
            else:
                self.order.extend(part)
        return (await self.graph.aget_state(self.config)).values

    async def patch(self, values: Mapping[str, object]) -> str:
        return (await self.blobs.get(str(values["patch"]))).decode()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
