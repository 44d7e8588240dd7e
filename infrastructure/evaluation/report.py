"""The form of a report: what it says of each setting, and between them.

Owns every figure's name and meaning; `reporting` makes them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infrastructure.evaluation.estimates import Estimate

_Frozen = ConfigDict(frozen=True)


class PassAtK(BaseModel):
    """One pass@k."""

    model_config = _Frozen

    k: int
    estimate: Estimate


class Selection(BaseModel):
    """What choosing among candidates gained and lost."""

    model_config = _Frozen

    oracle: Estimate
    """Share of the samples in which any candidate passes the given tests: oracle@n."""
    regret: Estimate
    """Oracle less solved: share in which a candidate passes and the delivered one does not."""
    regretted: tuple[str, ...]
    """The problems of those samples."""
    candidates: float
    """Candidates with a patch, on average: n."""
    right_candidates: float
    """Share of them that pass."""


class Trust(BaseModel):
    """What the runs themselves said, against the judge afterwards; samples."""

    model_config = _Frozen

    rightly_accepted: int
    wrongly_accepted: int
    """`done` or `unverified`, and the given tests fail."""
    wrongly_refused: int
    """Neither, and the given tests pass with the delivered patch."""
    rightly_refused: int


class Costs(BaseModel):
    """What it took, over all samples with a verdict."""

    model_config = _Frozen

    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    tokens_per_solved: float | None
    """None where nothing is solved."""
    gpu_seconds: float
    """Loading, reading prompts and writing answers, as servers say it of calls that came to their end."""
    gpu_seconds_per_solved: float | None
    run_seconds: float
    """Of all runs together."""
    wall_seconds: float
    """In which at least one of them was going."""
    run_seconds_median: float
    run_seconds_p95: float


class Answers(BaseModel):
    """How well answers could be used."""

    model_config = _Frozen

    applied: int
    """Answers of the coder whose changes came into a candidate's tree."""
    rejected: int
    apply_rate: float | None
    """Applied of both; None where there was none."""
    malformed: int
    """Answers of any role that could not be read, so that it was asked once more."""
    truncated: int
    """Answers that were cut off at a bound."""
    stopped: int
    """Answers that were given up on the live stream, because they repeated themselves or only thought."""
    reloads: int
    """Calls that waited for a model to be loaded."""


class ArmReport(BaseModel):
    """One setting."""

    model_config = _Frozen

    arm: str
    problems: int
    """With at least one verdict."""
    samples: int
    """With a verdict."""
    no_verdict: int
    missing: int
    solved: Estimate
    solved_samples: int
    first_try: Estimate
    """Solved by the first answer of a candidate of the first plan."""
    pass_at: tuple[PassAtK, ...]
    """For k up to the fewest verdicts of a problem."""
    solved_after: dict[str, int]
    """Solved samples by the tries of the chosen candidate; `plan 2 try 1` for a later round."""
    failures: dict[str, int]
    selection: Selection
    trust: Trust
    answers: Answers
    costs: Costs


class Comparison(BaseModel):
    """A setting against the first one, over the problems and seeds that both have a verdict of."""

    model_config = _Frozen

    arm: str
    base: str
    difference: Estimate
    """Of the solved shares."""
    pairs: int
    better: int
    """Pairs that only this one solved."""
    worse: int
    """Pairs that only the first one solved."""


class EvalReport(BaseModel):
    """What came of an evaluation so far."""

    model_config = _Frozen

    set: str
    corral: str
    """Its version."""
    prompts: str
    """SHA-256 over all prompts."""
    problems: int
    seeds: tuple[int, ...]
    self_tests: bool
    trials: int
    arms: tuple[ArmReport, ...]
    comparisons: tuple[Comparison, ...]
    unfit: dict[str, str]
    """Problems whose tests cannot judge, and why."""
    simulated: bool
    complete: bool
    """Whether every trial has a verdict."""
