"""A run as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from infrastructure.events.catalogue.base import Event


class RunCreated(Event):
    """A task was accepted."""

    kind: Literal["run.created"] = "run.created"
    task: str
    repo: str
    simulated: bool = False


class RunStarted(Event):
    """The engine began, or went on with, the run; `resumed` tells which."""

    kind: Literal["run.started"] = "run.started"
    resumed: bool = False


class RunInterrupted(Event):
    """The run stopped where it can go on: by its user, by a shutdown, or waiting for a person."""

    kind: Literal["run.interrupted"] = "run.interrupted"
    reason: str


class RedTest(BaseModel):
    """A test that is still red, and what it says, in a line."""

    model_config = ConfigDict(frozen=True)

    test: str
    says: str = ""


class RunFinished(Event):
    """The run is over. Nothing follows, but that its patch was applied."""

    kind: Literal["run.finished"] = "run.finished"
    status: str
    judge: str
    exit_code: int
    seconds: float = 0.0
    error_class: str = ""
    error_message: str = ""
    hint: str = ""
    red: tuple[RedTest, ...] = ()
    """The first tests that are red for the best candidate, where the run failed or a budget ran out."""
    red_total: int = 0
    """How many there are."""


class BudgetSpent(Event):
    """A budget ran out; the run ends with the best so far."""

    kind: Literal["run.budget_spent"] = "run.budget_spent"
    budget: Literal["calls", "tokens", "seconds", "gpu_seconds"]
    limit: float


class Noted(Event):
    """Something a person should know, which is no failure: a fallback taken, a folder copied, a lane reloaded."""

    kind: Literal["run.noted"] = "run.noted"
    text: str
