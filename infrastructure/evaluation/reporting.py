"""From judged samples to the report: shares, costs and reasons. Pure.

Samples without a verdict, which the environment failed, are counted and left out of the shares: the same command runs
them again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from infrastructure.evaluation.estimates import paired, pass_at, share_of
from infrastructure.evaluation.failures import failure_of, has_verdict
from infrastructure.evaluation.place import Outline
from infrastructure.evaluation.report import (
    Answers,
    ArmReport,
    Comparison,
    Costs,
    EvalReport,
    PassAtK,
    Selection,
    Trust,
)
from infrastructure.evaluation.samples import Sample

_KS = (1, 2, 3, 5, 10, 20, 50, 100)
_ACCEPTED = frozenset({"done", "unverified"})


def report_on(outline: Outline, samples: Iterable[Sample]) -> EvalReport:
    """The report on the samples of an evaluation, one an identity."""
    known = list(samples)
    by_arm = {arm.name: [each for each in known if each.arm == arm.name] for arm in outline.arms}
    asked = len(outline.problems) * len(outline.seeds)
    arms = tuple(_arm(name, of_it, asked) for name, of_it in by_arm.items())
    first, *others = by_arm
    return EvalReport(
        set=outline.set,
        corral=outline.corral,
        prompts=outline.prompts,
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
        stopped=sum(each.stopped for each in figures),
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
        run_seconds_median=_quantile([each.seconds for each in samples], 0.5),
        run_seconds_p95=_quantile([each.seconds for each in samples], 0.95),
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed; 0 of none."""
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 3) if values else 0.0


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
