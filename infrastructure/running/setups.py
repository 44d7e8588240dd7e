"""What a run began with, beside its task: the settings' part of it, kept so that a replay begins alike.

Owns `RunSetup`, which is stored with the run and travels in exported recordings, so it is validated.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.codegen import EditFormat, FormatCount, Measured
from infrastructure.config.settings import Candidates, SandboxSettings, Settings
from infrastructure.ids import RunId
from infrastructure.running.driving import input_of
from infrastructure.running.learning import NOTHING, Known
from infrastructure.tasks import TaskSpec
from infrastructure.workflow.lanes import ROLE_NAMES, RoleLanes
from infrastructure.workflow.mapping import map_tokens
from infrastructure.workflow.state import CodegenInput


class RunSetup(BaseModel):
    """What the graph began with, which lane answered for each role, and what a test run was allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal[1] = 1
    python: str = ""
    """The version that ran the workflow: what is said of broken syntax is its own."""
    task: str = Field(min_length=1)
    repo: str
    candidates: Candidates
    repairs: int = Field(ge=0, le=10)
    rounds: int = Field(ge=1, le=10)
    approve: tuple[Literal["plan", "patch"], ...] = ()
    test_command: str | None = None
    tests: tuple[str, ...] = ()
    lanes: dict[str, str] = {}
    seconds: float
    processes: int
    memory_bytes: int
    temperature: float | None = None
    map_tokens: int = 0
    seed: int | None = None
    model_digest: str = ""
    """Of the coder's model, where all servers have the same one under its name; what the run learns is told of it."""
    formats: dict[EditFormat, FormatCount] = {}
    """What that model was seen to write, by its profile."""
    at_once: int = Field(default=0, ge=0)
    """How many calls at once pay for it; 0 where that is not known."""

    @property
    def measured(self) -> Measured:
        """The same, as the choice of a form takes it."""
        return Measured(self.formats)

    @property
    def known(self) -> Known:
        """All that the run took from the profile."""
        return Known(digest=self.model_digest, measured=self.measured, at_once=self.at_once)

    def given(self, run: RunId) -> CodegenInput:
        """The graph's input."""
        given: CodegenInput = {
            "task": self.task,
            "repo": self.repo,
            "run": run,
            "candidates": self.candidates,
            "repairs": self.repairs,
            "rounds": self.rounds,
            "approve": self.approve,
            "tests": self.tests,
        }
        if self.test_command is not None:
            given["test_command"] = self.test_command
        if self.at_once:
            given["at_once"] = self.at_once
        return given

    def sandbox(self) -> SandboxSettings:
        """The limits of a test run."""
        return SandboxSettings(seconds=self.seconds, processes=self.processes, memory_bytes=self.memory_bytes)


def setup_of(run: RunId, spec: TaskSpec, settings: Settings, known: Known = NOTHING) -> RunSetup:
    """What a run begins with now, with what is known of its coder's model."""
    lanes, given, sandbox = RoleLanes(settings, spec.model), input_of(run, spec, settings), settings.sandbox
    kept: Mapping[str, object] = {name: value for name, value in given.items() if name != "run"}
    return RunSetup.model_validate(
        {
            **kept,
            "python": platform.python_version(),
            "lanes": {role: lanes.of(role) for role in sorted(ROLE_NAMES)},
            "seconds": sandbox.seconds,
            "processes": sandbox.processes,
            "memory_bytes": sandbox.memory_bytes,
            "map_tokens": map_tokens(settings, lanes),
            "temperature": None if spec.fork is None else spec.fork.temperature,
            "seed": spec.seed,
            "model_digest": known.digest,
            "formats": known.measured.counts,
            "at_once": known.at_once,
        }
    )
