"""A task as it is handed to the engine, and a run's result as it is handed back.

Owns both shapes, and the one table from a status to an exit code. They cross doors (files, HTTP, terminals), so they
are validated.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from infrastructure.config.settings import BudgetSettings, Candidates
from infrastructure.events.catalogue import RedTest
from infrastructure.pool.states import Band
from infrastructure.storage.runs import RequestKey

Status: TypeAlias = Literal["done", "unverified", "failed", "budget", "needs_input", "cancelled", "error"]
Judge: TypeAlias = Literal["given", "found", "written", "none"]

EXIT_CODES: dict[Status, int] = {
    "done": 0,
    "unverified": 0,
    "failed": 1,
    "error": 3,
    "budget": 4,
    "needs_input": 5,
    "cancelled": 130,
}
"""Of a run's status. A run its user interrupted can go on: `corral resume`."""


class Fork(BaseModel):
    """Where a run takes its beginning from: another run, up to a step of it, and what is other from there on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    step: str
    temperature: float | None = Field(default=None, ge=0, le=2)
    """For every role, instead of its own."""


class TaskSpec(BaseModel):
    """A task and how it is to be run. What is None is the setting's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(min_length=1)
    repo: Path
    """The repository, or any folder; absolute."""
    model: str | None = None
    """A lane or model for every role, before what the settings say."""
    test_command: str | None = None
    tests: tuple[Path, ...] = ()
    """Test files to judge by, from anywhere."""
    candidates: Candidates | None = None
    approve: tuple[Literal["plan", "patch"], ...] | None = None
    repairs: int | None = Field(default=None, ge=0, le=10)
    rounds: int | None = Field(default=None, ge=1, le=10)
    budget: BudgetSettings | None = None
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Of every question's sampling, so that a run can be done again, or another one differ; the server's choice when
    None."""
    profiles: SkipJsonSchema[bool | None] = None
    """Whether it takes what is known of its model from a profile, and adds to it."""
    no_input: bool = False
    """A gate ends the run as `needs_input` instead of waiting."""
    client: str = "default"
    band: Band = Band.INTERACTIVE
    fork: SkipJsonSchema[Fork | None] = None
    """The run that this one begins as; `repo` and `tests` are only names then, since its files are taken from there."""
    guest: SkipJsonSchema[bool] = False
    """It came through a door, so nobody's process waits for it: the next engine goes on with it by itself. The door
    sets it, whatever was sent."""


class TestTotals(BaseModel):
    """The judge's tests after the patch."""

    __test__ = False
    model_config = ConfigDict(frozen=True)

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


class ErrorInfo(BaseModel):
    """What went wrong, and what to do next."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    error_class: str = Field(alias="class")
    message: str
    hint: str = ""


class FileNote(BaseModel):
    """What changes in one file, in a sentence of the reviewer's."""

    model_config = ConfigDict(frozen=True)

    path: str
    summary: str


class StaticFinding(BaseModel):
    """What a static check found in a file of the patch that was not there before it."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int
    rule: str
    text: str


class PatchReview(BaseModel):
    """What was said of the patch before it was handed over."""

    model_config = ConfigDict(frozen=True)

    verdict: Literal["approve", "object", "unread"]
    """`unread`: what the reviewer said could not be read."""
    summary: str = ""
    files: tuple[FileNote, ...] = ()
    """Those that the reviewer said something of, in the order of the patch."""
    risks: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    findings: tuple[StaticFinding, ...] = ()


class RunResult(BaseModel):
    """What `run --output json` prints: one document a run."""

    model_config = ConfigDict(frozen=True)

    run: str
    status: Status
    judge: Judge
    exit_code: int
    answer: str = ""
    """The answer to a question; empty for code."""
    patch: str = ""
    """The patch as a unified diff; empty when there is none."""
    files: tuple[str, ...] = ()
    """Paths that the patch changes."""
    tests: TestTotals = TestTotals()
    red: tuple[RedTest, ...] = ()
    """Tests that are still red, of a run that failed or whose budget ran out: for the best candidate, or as it began
    where nothing was tried; the first twenty by name."""
    red_total: int = 0
    """How many there are."""
    attempts: int = 0
    """Tries of the chosen candidate, the first included."""
    candidates: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    gpu_seconds: float = 0.0
    """In which servers loaded the model, read prompts and wrote answers, added up over all calls."""
    seconds: float = 0.0
    reason: str = ""
    """Why the run has this status, in one sentence."""
    answered_test: str = ""
    """The test that a person's answer became, where one was asked what a call should give; it is not in the patch."""
    simulated: bool = False
    review: PatchReview | None = None
    """Of this very patch; null where nobody has reviewed it."""
    error: ErrorInfo | None = None


def request_of(key: str, spec: TaskSpec) -> RequestKey:
    """The name a caller gave its request, with what it asked for. Whose guest asks makes no difference.

    Defaults are left out, so that a later version's new fields change nothing.
    """
    asked = spec.model_copy(update={"guest": False}).model_dump_json(exclude_defaults=True)
    return RequestKey(key, hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest())
