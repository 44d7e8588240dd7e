"""Samples: what came of one trial, one line each, with all that a report needs.

Owns the form of a line. Runs may be cleaned away afterwards: the line is enough to report again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infrastructure.batch.lines import read_models
from infrastructure.tasks import Status

Fit = Literal["fit", "green before", "reference fails", "not runnable"]
"""Whether a problem's tests can judge: they are red on the stub, and a right solution, where there is one, passes."""


class Tried(BaseModel):
    """One candidate of a run."""

    model_config = ConfigDict(frozen=True)

    number: int
    round: int
    outcome: str
    """What the run made of it: `done`, `unverified`, `failed` or `lost`."""
    attempts: int
    patch: str = ""
    """Hash of its patch; empty where it changed nothing."""
    passes: bool | None = None
    """Whether the given tests pass with it, judged after the run; None where there is no patch."""
    cut: bool = False
    """Whether the last answer of its coder was cut off at a bound."""
    crashed: str = ""
    """Why its last test run did not come to its end."""


class Figures(BaseModel):
    """What a run's log and calls say it took. Seconds are the servers' own, of calls that came to their end."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    reloads: int = 0
    """Calls that waited for a model to be loaded."""
    truncated: int = 0
    """Answers that were cut off at a bound."""
    stopped: int = 0
    """Answers that were given up on the live stream, because they repeated themselves or only thought."""
    asked_again: int = 0
    """Answers that could not be read, so that the role asked once more."""
    applied: int = 0
    """Answers of the coder whose changes are in a candidate's tree."""
    rejected: int = 0
    """Answers of the coder that could not be read or did not fit."""
    context_errors: int = 0
    """Calls that ended because prompt or answer outgrew the window."""

    @property
    def gpu_seconds(self) -> float:
        """Of loading, reading prompts and writing answers together."""
        return self.load_seconds + self.prompt_seconds + self.decode_seconds


class Sample(BaseModel):
    """What came of one trial."""

    model_config = ConfigDict(frozen=True)

    identity: str
    problem: str
    arm: str
    seed: int
    run: str
    status: Status
    reason: str = ""
    error_class: str = ""
    tests_sha: str = ""
    """Of the tests that judged it: changed ones judge again, also where they were hidden from the run."""
    fit: Fit = "fit"
    chosen: str = ""
    """Hash of the patch that the run delivered; empty without one."""
    solved: bool = False
    """Whether the given tests pass with it, judged after the run on a fresh copy."""
    attempts: int = 0
    """Tries of the chosen candidate, the first included."""
    tried: tuple[Tried, ...] = ()
    figures: Figures = Figures()
    seconds: float = 0.0
    started: datetime | None = None
    ended: datetime | None = None
    simulated: bool = False

    @property
    def some_passes(self) -> bool:
        """Whether any candidate was right: what the best possible selection would have solved."""
        return self.solved or any(each.passes for each in self.tried)

    @property
    def round(self) -> int:
        """The round of the chosen candidate; 0 without one."""
        return next((each.round for each in self.tried if each.patch and each.patch == self.chosen), 0)

    def line(self) -> bytes:
        """As it is stored."""
        return self.model_dump_json().encode()


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file, a superseded line of an identity included. Blocking.

    Raises:
        UnreadableLine: a line is none.
    """
    return read_models(path, Sample)
