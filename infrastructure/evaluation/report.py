"""The report: from judged samples to shares, costs and reasons, for each setting and between them. Pure.

Owns every figure and its meaning. Samples without a verdict, which the environment failed, are counted and left out
of the shares: the same command runs them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from infrastructure.evaluation.estimates import Estimate, paired, pass_at, share_of
from infrastructure.evaluation.failures import failure_of, has_verdict
from infrastructure.evaluation.place import Outline
from infrastructure.evaluation.samples import Sample

_KS = (1, 2, 3, 5, 10, 20, 50, 100)
_ACCEPTED = frozenset({"done", "unverified"})

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


def report_on(outline: Outline, samples: Iterable[Sample]) -> EvalReport:
    """The report on the samples of an evaluation, one an identity."""
    known = list(samples)
    by_arm = {arm.name: [each for each in known if each.arm == arm.name] for arm in outline.arms}
    asked = len(outline.problems) * len(outline.seeds)
    arms = tuple(_arm(name, of_it, asked) for name, of_it in by_arm.items())
    first, *others = by_arm
    return EvalReport(
        set=outline.set,
        problems=len(outline.problems),
        seeds=outline.seeds,
        self_tests=outline.self_tests,
        trials=outline.trials,
        arms=arms,
        comparisons=tuple(_compared(first, by_arm[first], other, by_arm[other]) for other in others),
        unfit={each.problem: each.fit for each in sorted(known, key=_problem) if each.fit != "fit"},
        simulated=any(each.simulated for each in known),
        complete=all(arm.samples == asked for arm in arms),
    )


def _problem(sample: Sample) -> str:
    return sample.problem


def _arm(name: str, samples: Sequence[Sample], asked: int) -> ArmReport:
    judged = [each for each in samples if has_verdict(each)]
    solved = [each for each in judged if each.solved]
    outcomes = _by_problem(judged, lambda each: each.solved)
    fewest = min(map(len, outcomes), default=0)
    reasons = Counter(str(reason) for each in samples if (reason := failure_of(each)) is not None)
    return ArmReport(
        arm=name,
        problems=len(outcomes),
        samples=len(judged),
        no_verdict=len(samples) - len(judged),
        missing=asked - len(samples),
        solved=share_of(outcomes),
        solved_samples=len(solved),
        first_try=share_of(_by_problem(judged, _at_first)),
        pass_at=tuple(PassAtK(k=k, estimate=pass_at(outcomes, k)) for k in _KS if k <= fewest),
        solved_after=dict(sorted(Counter(map(_how, solved)).items())),
        failures=dict(reasons.most_common()),
        selection=_selection(judged),
        trust=_trust(judged),
        answers=_answers(judged),
        costs=_costs(judged, len(solved)),
    )


def _by_problem(samples: Iterable[Sample], is_so: Callable[[Sample], bool]) -> list[list[bool]]:
    found: dict[str, list[bool]] = {}
    for each in samples:
        found.setdefault(each.problem, []).append(is_so(each))
    return [found[problem] for problem in sorted(found)]


def _at_first(sample: Sample) -> bool:
    return sample.solved and sample.attempts == 1 and sample.round <= 1


def _how(sample: Sample) -> str:
    tries = f"try {sample.attempts}"
    return tries if sample.round <= 1 else f"plan {sample.round} {tries}"


def _selection(samples: Sequence[Sample]) -> Selection:
    patched = [each for sample in samples for each in sample.tried if each.patch]
    return Selection(
        oracle=share_of(_by_problem(samples, lambda each: each.some_passes)),
        regret=share_of(_by_problem(samples, _regretted)),
        regretted=tuple(sorted({each.problem for each in samples if _regretted(each)})),
        candidates=round(len(patched) / len(samples), 3) if samples else 0.0,
        right_candidates=round(sum(bool(each.passes) for each in patched) / len(patched), 6) if patched else 0.0,
    )


def _regretted(sample: Sample) -> bool:
    return sample.some_passes and not sample.solved


def _trust(samples: Sequence[Sample]) -> Trust:
    found = Counter((each.status in _ACCEPTED, each.solved) for each in samples)
    return Trust(
        rightly_accepted=found[True, True],
        wrongly_accepted=found[True, False],
        wrongly_refused=found[False, True],
        rightly_refused=found[False, False],
    )


def _answers(samples: Sequence[Sample]) -> Answers:
    figures = [each.figures for each in samples]
    applied, rejected = sum(each.applied for each in figures), sum(each.rejected for each in figures)
    return Answers(
        applied=applied,
        rejected=rejected,
        apply_rate=round(applied / (applied + rejected), 6) if applied + rejected else None,
        malformed=sum(each.asked_again for each in figures),
        truncated=sum(each.truncated for each in figures),
        reloads=sum(each.reloads for each in figures),
    )


def _costs(samples: Sequence[Sample], solved: int) -> Costs:
    figures = [each.figures for each in samples]
    prompt, completion = sum(each.prompt_tokens for each in figures), sum(each.completion_tokens for each in figures)
    gpu = sum(each.gpu_seconds for each in figures)
    return Costs(
        model_calls=sum(each.calls for each in figures),
        prompt_tokens=prompt,
        completion_tokens=completion,
        tokens_per_solved=round((prompt + completion) / solved, 1) if solved else None,
        gpu_seconds=round(gpu, 3),
        gpu_seconds_per_solved=round(gpu / solved, 3) if solved else None,
        run_seconds=round(sum(each.seconds for each in samples), 3),
        wall_seconds=round(_wall(samples), 3),
    )


def _wall(samples: Sequence[Sample]) -> float:
    """Seconds covered by the runs: a pause between two commands is no work."""
    spans = sorted(
        (each.started, each.ended) for each in samples if each.started is not None and each.ended is not None
    )
    covered, end = 0.0, None
    for start, stop in spans:
        begin = start if end is None or start > end else end
        if stop > begin:
            covered += (stop - begin).total_seconds()
            end = stop
    return covered


def _compared(base: str, before: Sequence[Sample], arm: str, after: Sequence[Sample]) -> Comparison:
    first, other = _verdicts(before), _verdicts(after)
    pairs = sorted(first.keys() & other.keys())
    problems = sorted({problem for problem, _ in pairs})

    def shares(verdicts: Mapping[tuple[str, int], bool]) -> list[float]:
        found = [[verdicts[pair] for pair in pairs if pair[0] == problem] for problem in problems]
        return [sum(each) / len(each) for each in found]

    return Comparison(
        arm=arm,
        base=base,
        difference=paired(shares(first), shares(other)),
        pairs=len(pairs),
        better=sum(other[pair] and not first[pair] for pair in pairs),
        worse=sum(first[pair] and not other[pair] for pair in pairs),
    )


def _verdicts(samples: Iterable[Sample]) -> dict[tuple[str, int], bool]:
    return {(each.problem, each.seed): each.solved for each in samples if has_verdict(each)}
