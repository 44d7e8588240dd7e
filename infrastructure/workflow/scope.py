"""What one run's steps act with: models, trees, sandbox, store, budget, race.

Owns `RunScope`, the context the graph is run with. A scope belongs to one run and is never stored. Who runs the graph
without the engine gets it from `scopes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from agents.codegen import NOTHING_KNOWN, Measured
from agents.fitting import with_options
from agents.model import Completion, LanguageModel, Options, Question
from infrastructure.config.settings import SandboxSettings
from infrastructure.pool.calls import Call
from infrastructure.pool.states import Band
from infrastructure.sandbox import Limits, Sandbox
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.asking import Emit, StepModel
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.ports import CallRecorder, ForgetfulTools, ModelSource, ToolRecorder
from infrastructure.workflow.race import Place, Race, Turn
from infrastructure.workspace.mapping.cache import MemoryTags
from infrastructure.workspace.mapping.mapper import Mapper


class Once:
    """Something that is made once in a run, by whoever needs it first; the others wait for it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._made: bytes | None = None

    async def of(self, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What was made, or what is made now. One that is cancelled while it makes it leaves that to the next."""
        async with self._lock:
            if self._made is None:
                self._made = await make()
            return self._made


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScope:
    """The dependencies of one run.

    Attributes:
        run: The run's id.
        trees: A folder of this run alone: its snapshot and the throw-away trees of its test runs.
        source: Who answers the roles.
        recorder: What was answered before.
        budget: What may still be used.
        race: Who has won among candidates.
        sandbox: Where tests run.
        blobs: Where files, reports and patches are kept.
        client: For whom calls are made.
        band: How urgent they are.
        sandbox_settings: Limits of a test run, and further folders it may read.
        may_ask: Whether a person may be asked what a call should give.
        seed: Of every question's sampling; the server's choice when None.
        tools: What tools said before.
        decided: Answers to approvals that are known already, each with its reason; nobody is asked for these again.
        temperature: For every role, instead of its own.
        mapper: Draws maps of the repository.
        map_tokens: How long one may be; 0 for none.
        measured: What the coder's model was seen to write, as it was known when the run began.
        second_baseline: The judge's tests on the untouched snapshot once more, for all candidates.
        at_work: Entered while a step works, for a budget whose clock stands still otherwise.
    """

    run: str
    trees: Path
    source: ModelSource
    recorder: CallRecorder
    budget: Budget
    race: Race
    sandbox: Sandbox
    blobs: Blobs
    client: str = "default"
    band: Band = Band.INTERACTIVE
    sandbox_settings: SandboxSettings = field(default_factory=SandboxSettings)
    may_ask: bool = False
    seed: int | None = None
    tools: ToolRecorder = field(default_factory=ForgetfulTools)
    decided: Mapping[str, tuple[bool, str]] = field(default_factory=dict[str, tuple[bool, str]])
    temperature: float | None = None
    mapper: Mapper = field(default_factory=lambda: Mapper(MemoryTags()))
    map_tokens: int = 0
    measured: Measured = NOTHING_KNOWN
    second_baseline: Once = field(default_factory=Once)
    at_work: Callable[[], AbstractContextManager[None]] = nullcontext

    async def enter(self, node: str, round_number: int, candidate: int | None) -> str | None:
        """Told of each step before it begins; the budget that is spent, for which most steps are left out."""
        del node, round_number, candidate
        return self.budget.spent

    def model(self, role: str, step: str, emit: Emit, place: Place | None = None) -> LanguageModel:
        """The model a role is handed in a step. `step` is the same when the step runs again after a crash."""
        model = StepModel(
            role=role,
            step=step,
            call=Call(client=self.client, band=self.band, prefix=f"{self.run}/{role}"),
            source=self.source,
            recorder=self.recorder,
            budget=self.budget,
            emit=emit,
            turn=None if place is None else Turn(self.race, place),
        )
        return self.tempered(model)

    def tempered(self, model: LanguageModel) -> LanguageModel:
        """The model at the temperature and with the seed that this run wants, where it wants one."""
        wanted = {"temperature": self.temperature, "seed": self.seed}
        own = {name: value for name, value in wanted.items() if value is not None}
        return Tempered(model, own) if own else model

    @property
    def limits(self) -> Limits:
        """What a test run may use."""
        return Limits.of(self.sandbox_settings)


@dataclass(frozen=True, slots=True)
class Tempered(LanguageModel):
    """A model whose questions get options of the run's own, before those of the role: its seed, another temperature."""

    model: LanguageModel
    options: Options

    async def answer(self, question: Question) -> Completion:
        """Ask."""
        return await self.model.answer(with_options(question, self.options))
