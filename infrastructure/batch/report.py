"""The report at the end: counts, pass@k, what it took, what went wrong; and the samples for other tools.

Owns the estimators. pass@k is the unbiased one of the HumanEval paper (Chen et al. 2021, arXiv:2107.03374, §2.1): over
n samples of which c pass, 1 − C(n−c, k) / C(n, k), averaged over the jobs. It is given for k up to the fewest samples
that any job has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict

from infrastructure.batch.records import Told, read_records

_Z95 = 1.959964
_KS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


class PassAt(BaseModel):
    """One pass@k, with the 95 % Wilson interval over its jobs."""

    model_config = ConfigDict(frozen=True)

    k: int
    value: float
    low: float
    high: float
    jobs: int
    """Jobs it is averaged over: those with a verdict."""


class BatchReport(BaseModel):
    """What came of a batch so far."""

    model_config = ConfigDict(frozen=True)

    batch: str
    name: str
    out: str
    jobs: int
    """Jobs times samples: the runs that are asked for. The five counts below add up to it."""
    passed: int
    """Given or found tests that were red are green, and nothing broke."""
    unverified: int
    """Nothing broke, and no given or found test shows that it is right."""
    failed: int
    """No candidate passed, a budget ran out, or a job that has tests was answered in words."""
    no_verdict: int
    """The environment failed, or it was stopped: the same command runs it again."""
    missing: int
    """Not run to its end yet."""
    records: int
    """Those that are not missing."""
    statuses: dict[str, int]
    """Records by the status of their run; a verdict also asks which tests there were."""
    pass_at: tuple[PassAt, ...]
    """Over the runs with a verdict, of which only `passed` is a pass."""
    repairs: int
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Of all runs together."""
    errors: dict[str, int]
    """Error classes of the records that have one."""
    simulated: bool
    interrupted: bool
    exit_code: int


def report_on(records: Sequence[Told], *, batch: str, name: str, out: str, jobs: int, interrupted: bool) -> BatchReport:
    """The report on the records of a batch, one a job and sample."""
    statuses = Counter(str(told.status) for told in records)
    verdicts = Counter(told.verdict for told in records)
    missing = jobs - len(records)
    clean = verdicts["passed"] + verdicts["unverified"] == jobs
    return BatchReport(
        batch=batch,
        name=name,
        out=out,
        jobs=jobs,
        passed=verdicts["passed"],
        unverified=verdicts["unverified"],
        failed=verdicts["failed"],
        no_verdict=verdicts[None],
        missing=missing,
        records=len(records),
        statuses=dict(sorted(statuses.items())),
        pass_at=_pass_at(records),
        repairs=sum(max(0, told.attempts - 1) for told in records),
        model_calls=sum(told.model_calls for told in records),
        prompt_tokens=sum(told.prompt_tokens for told in records),
        completion_tokens=sum(told.completion_tokens for told in records),
        seconds=round(sum(told.seconds for told in records), 3),
        errors=dict(sorted(Counter(told.error_class for told in records if told.error_class).items())),
        simulated=any(told.simulated for told in records),
        interrupted=interrupted,
        exit_code=130 if interrupted else 0 if clean else 6,
    )


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The unbiased estimate of one job.

    Raises:
        ValueError: k is larger than the number of samples.
    """
    if not 0 < k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def samples_of(records: Path) -> Iterator[bytes]:
    """HumanEval solutions as evalplus reads them, from a file with one record an identity. Blocking."""
    for record in read_records(records):
        if record.solution is not None and record.verdict is not None:
            yield orjson.dumps({"task_id": record.task_id, "solution": record.solution})


def _pass_at(records: Iterable[Told]) -> tuple[PassAt, ...]:
    judged: dict[str, list[bool]] = {}
    for told in records:
        if told.final:
            judged.setdefault(told.job, []).append(told.verdict == "passed")
    most = min((len(samples) for samples in judged.values()), default=0)
    return tuple(_averaged(judged, k) for k in _KS if k <= most)


def _averaged(judged: Mapping[str, Sequence[bool]], k: int) -> PassAt:
    value = sum(pass_at_k(len(samples), sum(samples), k) for samples in judged.values()) / len(judged)
    low, high = _wilson(value, len(judged))
    return PassAt(k=k, value=round(value, 6), low=round(low, 6), high=round(high, 6), jobs=len(judged))


def _wilson(share: float, trials: int) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927); with several samples a job it is on the wide side."""
    spread = _Z95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)
