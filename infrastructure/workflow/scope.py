"""What one run's steps act with: models, trees, sandbox, store, budget, race.

Owns `RunScope`, the context the graph is run with, and `Scopes`, which makes one where a stranger runs the graph
without the engine. A scope belongs to one run and is never stored.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.codegen import NOTHING_KNOWN, Measured
from agents.fitting import with_options
from agents.model import Completion, LanguageModel, Options, Question
from infrastructure.config.settings import BudgetSettings, RunSettings, SandboxSettings
from infrastructure.pool.calls import Call
from infrastructure.pool.states import Band
from infrastructure.sandbox import Limits, Sandbox
from infrastructure.storage.blobs import Blobs, MemoryBlobs
from infrastructure.workflow.asking import Emit, StepModel
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.ports import CallRecorder, ForgetfulRecorder, ForgetfulTools, ModelSource, ToolRecorder
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


class Scopes:
    """Makes and keeps a scope for each run of a graph that is used without the engine.

    Args:
        open_source: Finds out who answers the roles, once, when the first run needs it.
        open_sandbox: Opens the sandbox, likewise.
        budget: What each run may use.
        trees: Where trees go; a temporary folder when None, removed when the graph is.
        blobs: Where files and patches are kept; in memory when None.
    """

    def __init__(
        self,
        open_source: Callable[[], Awaitable[ModelSource]],
        open_sandbox: Callable[[], Awaitable[Sandbox]],
        *,
        budget: BudgetSettings | None = None,
        trees: Path | None = None,
        blobs: Blobs | None = None,
    ) -> None:
        self._open_source = open_source
        self._open_sandbox = open_sandbox
        self._budget = budget or BudgetSettings()
        self._trees = trees
        self._blobs = MemoryBlobs() if blobs is None else blobs
        self._scopes: dict[str, RunScope] = {}
        self._opened: tuple[ModelSource, Sandbox] | None = None
        self._mapper = Mapper(MemoryTags())
        self._opening = asyncio.Lock()

    @property
    def blobs(self) -> Blobs:
        """Where the files and patches of these runs are."""
        return self._blobs

    async def of(self, run: str) -> RunScope:
        """The scope of a run, made on first use."""
        async with self._opening:
            if self._opened is None:
                self._opened = (await self._open_source(), await self._open_sandbox())
            if self._trees is None:
                self._trees = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="corral-"))
                weakref.finalize(self, shutil.rmtree, self._trees, ignore_errors=True)
            if run not in self._scopes:
                self._scopes[run] = self._make(run, self._trees, *self._opened)
        return self._scopes[run]

    def _make(self, run: str, trees: Path, source: ModelSource, sandbox: Sandbox) -> RunScope:
        return RunScope(
            run=run,
            trees=trees / run,
            source=source,
            recorder=ForgetfulRecorder(),
            budget=Budget(limits=self._budget, now=time.monotonic, started=time.monotonic()),
            race=Race(),
            sandbox=sandbox,
            blobs=self._blobs,
            mapper=self._mapper,
            map_tokens=RunSettings().map_tokens,
        )
