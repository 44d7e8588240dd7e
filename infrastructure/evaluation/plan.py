"""What is run: every problem under every setting with every seed, in an order that keeps comparisons fair.

Owns `Arm`, a setting that is compared with others, and the entries of the batch that carries an evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import BaseModel, ConfigDict

from infrastructure.batch import Entry, Own
from infrastructure.batch.place import told_apart
from infrastructure.config.settings import Candidates
from infrastructure.evaluation.problems import Problem

_LONGEST, _KEPT = 150, 140


class Arm(BaseModel):
    """One setting. What is None is left to the settings."""

    model_config = ConfigDict(frozen=True)

    model: str | None = None
    candidates: Candidates | None = None
    repairs: int | None = None
    rounds: int | None = None

    @property
    def name(self) -> str:
        """What people call it: what it sets."""
        return ", ".join(f"{name} {value}" for name, value in self if value is not None) or "as set"

    def own(self, seed: int) -> Own:
        """What its runs are told."""
        return Own(model=self.model, candidates=self.candidates, repairs=self.repairs, rounds=self.rounds, seed=seed)


def arms_of(
    *,
    models: Sequence[str] = (),
    candidates: Sequence[Candidates] = (),
    repairs: Sequence[int] = (),
    rounds: Sequence[int] = (),
) -> tuple[Arm, ...]:
    """Every combination, the first values first: they are what the others are compared with."""
    options = (models or (None,), candidates or (None,), repairs or (None,), rounds or (None,))
    return tuple(
        Arm(model=model, candidates=number, repairs=mends, rounds=plans)
        for model, number, mends, plans in product(*options)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One sample of one problem under one arm."""

    problem: Problem
    arm: Arm
    seed: int
    entry: Entry


def trials_of(
    problems: Sequence[Problem], arms: Sequence[Arm], seeds: Sequence[int], *, hide_tests: bool
) -> tuple[Trial, ...]:
    """All trials: one seed of all problems first, and of each problem all arms side by side.

    So an evaluation that is stopped has compared what it has run, and a server that slows down slows all arms.
    """
    trials: list[Trial] = []
    for seed, problem, arm in product(seeds, problems, arms):
        name = _name(f"{problem.id} · {arm.name} · seed {seed}")
        job = problem.job(name, hide_tests=hide_tests)
        entry = Entry(job=job, line=len(trials) + 1, own=arm.own(seed), named=told_apart(name))
        trials.append(Trial(problem=problem, arm=arm, seed=seed, entry=entry))
    return tuple(trials)


def _name(wanted: str) -> str:
    """A job's id is bounded, and two that are cut must not become one."""
    if len(wanted) <= _LONGEST:
        return wanted
    return f"{wanted[:_KEPT]} {hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
