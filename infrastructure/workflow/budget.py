"""What a run may use, and what it has used.

Owns the count. A spent budget is a value that ends the run with the best so far, never an error a person sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NoReturn

from infrastructure.config.settings import BudgetSettings

BudgetName = Literal["calls", "tokens", "seconds", "gpu_seconds"]


def budget_words(name: str) -> str:
    """A budget as people say it."""
    return "GPU seconds" if name == "gpu_seconds" else name


class BudgetExhausted(Exception):
    """A budget of the run is spent."""

    def __init__(self, budget: BudgetName, limit: float) -> None:
        super().__init__(budget, limit)
        self.budget: BudgetName = budget
        self.limit = limit


@dataclass(slots=True)
class Budget:
    """Counts calls, tokens, seconds and GPU seconds against their limits.

    Attributes:
        limits: What may be used.
        now: A clock in seconds.
        started: When the run began on that clock, moved back by what earlier executions used.
        calls: Model calls so far, recorded ones of earlier executions included.
        tokens: Prompt and completion tokens so far.
        gpu_seconds: In which servers loaded the model, read prompts and wrote answers for it so far.
    """

    limits: BudgetSettings
    now: Callable[[], float]
    started: float
    calls: int = 0
    tokens: int = 0
    gpu_seconds: float = 0.0
    spent: BudgetName | None = None
    """The budget that ran out, once one has."""

    def check(self) -> None:
        """Raise `BudgetExhausted` when the next call would be over."""
        if self.calls >= self.limits.calls:
            self._end("calls", self.limits.calls)
        if self.tokens >= self.limits.tokens:
            self._end("tokens", self.limits.tokens)
        if self.now() - self.started >= self.limits.seconds:
            self._end("seconds", self.limits.seconds)
        if self.limits.gpu_seconds is not None and self.gpu_seconds >= self.limits.gpu_seconds:
            self._end("gpu_seconds", self.limits.gpu_seconds)

    def begin_call(self) -> None:
        """Count a call that is about to be sent, or raise `BudgetExhausted`."""
        self.check()
        self.calls += 1

    def end_call(self, tokens: int, gpu_seconds: float = 0.0) -> None:
        """Count the tokens of a finished call, and the time that its server worked for it."""
        self.tokens += tokens
        self.gpu_seconds += gpu_seconds

    def end_seconds(self) -> NoReturn:
        """Say that the time ran out while a call was waited for."""
        self._end("seconds", self.limits.seconds)

    def seconds_left(self) -> float:
        """Time left, never below zero."""
        return max(0.0, self.limits.seconds - (self.now() - self.started))

    def _end(self, budget: BudgetName, limit: float) -> NoReturn:
        self.spent = budget
        raise BudgetExhausted(budget, limit)


class Stopwatch:
    """A clock of one run that goes on only while a step works: a person takes an evening to answer, and spends nothing.

    Args:
        now: A clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._steps = 0
        self._since = 0.0
        self._before = 0.0

    def __call__(self) -> float:
        """Seconds in which at least one step was at work."""
        return self._before + (self._now() - self._since if self._steps else 0.0)

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Let it go on; steps may overlap, and lie one in another."""
        if not self._steps:
            self._since = self._now()
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
            if not self._steps:
                self._before += self._now() - self._since
