"""From a role to a simulated server and back: pool, step, store; without graph and sandbox, one question at a time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.role import Role
from infrastructure.config.settings import BudgetSettings, LaneSettings, ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.events.catalogue import Event
from infrastructure.ids import RunId
from infrastructure.pool.calls import Call
from infrastructure.running.recorder import StoredRecorder
from infrastructure.running.xray import CallXRay, MessageXRay, messages_of, xray_of
from infrastructure.simulator import ModelSpec, Outcome, RequestRecord, Simulator, SimulatorSettings
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.calls import CallStore
from infrastructure.storage.database import Database
from infrastructure.workflow.asking import StepModel
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.models import PoolModels
from infrastructure.workflow.ports import ModelSource

RUN = RunId("run-1")
CODE = "File: `app/report.py`\n```python\nprint('json')\n```\n"
TESTS = "File: `tests/test_report.py`\n```python\ndef test_it():\n    assert True\n```\n"


def model(name: str, text: str, **more: object) -> ModelSpec:
    return ModelSpec(name=name, text=text, context_length=65_536, size=1_000, **more)


MODELS = (model("coder", CODE), model("tester", TESTS), model("talker", "It prints rows. " * 40))


def answerer(role: str) -> str:
    """The simulated model that says what a role can read; those that answer with JSON get that from every one."""
    return {"coder": "coder", "tester": "tester"}.get(role, "talker")


@dataclass(kw_only=True)
class Stack:
    """What is open, and what was told."""

    simulator: Simulator
    pool: OllamaConnectionPool
    calls: CallStore
    blobs: MemoryBlobs
    events: list[Event] = field(default_factory=list)

    def source(self, lane: str) -> PoolModels:
        return PoolModels(self.pool, RoleLanes(Settings(), lane))

    def step(self, role: str, lane: str, source: ModelSource | None = None) -> StepModel:
        return StepModel(
            role=role,
            step=f"{role}:{len(self.events)}",
            call=Call(),
            source=source or self.source(lane),
            recorder=StoredRecorder(RUN, self.calls, self.blobs),
            budget=Budget(limits=BudgetSettings(tokens=10**9), now=lambda: 0.0, started=0.0),
            emit=self.events.append,
        )

    async def ask(self, role: Role[Any, Any], question: object, window: int | None, **more: Any) -> object:
        return await role.ask(self.step(role.name, lane_of(role.name, window), **more), question)

    async def xray(self) -> Sequence[CallXRay]:
        return xray_of(await self.calls.of_run(RUN))

    async def text_of(self, number: int) -> Sequence[MessageXRay]:
        call = (await self.calls.of_run(RUN))[number - 1]
        return messages_of(await self.blobs.get(call.request_blob))

    @property
    def requests(self) -> list[RequestRecord]:
        """What the server really did, oldest first."""
        return [record for record in self.simulator.truth.requests if record.route == "/api/chat"]

    @property
    def answered(self) -> list[RequestRecord]:
        return [record for record in self.requests if record.outcome is Outcome.DONE]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def lane_of(role: str, window: int | None) -> str:
    return answerer(role) if window is None else f"{answerer(role)}-{window}"


def lanes(windows: Sequence[int]) -> dict[str, LaneSettings]:
    return {
        f"{each.name}-{window}": LaneSettings(model=each.name, num_ctx=window) for each in MODELS for window in windows
    }


@asynccontextmanager
async def stack(
    folder: Path, *windows: int, models: Sequence[ModelSpec] = MODELS, **settings: Any
) -> AsyncIterator[Stack]:
    """A server with these models, instant, and lanes of these windows."""
    given = {"time_scale": 0.0, "load_seconds": 0.0, "num_ctx": 4096, **settings}
    async with (
        Simulator(SimulatorSettings(models=tuple(models), **given)) as simulator,
        OllamaConnectionPool([ServerSettings(url=simulator.url, slots=1)], lanes=lanes(windows)) as pool,
        Database(folder / "corral.db") as database,
    ):
        yield Stack(simulator=simulator, pool=pool, calls=CallStore(database), blobs=MemoryBlobs())


def whole_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
