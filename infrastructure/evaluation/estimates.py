"""Estimators: a share with its interval, pass@k, a paired difference. Pure.

Owns the formulas. Every interval is of 95 %. The bootstrap draws problems, not samples, since samples of one problem go
together; it is seeded, so that the same numbers have the same interval.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infrastructure.batch.report import pass_at_k

_Z95 = 1.959963984540054
DRAWS = 2_000
"""Resamples of a bootstrap."""
_SEED = 20_260_101

Method = Literal["wilson", "bootstrap over problems"]


class Estimate(BaseModel):
    """A share or a difference of shares, and its interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float
    method: Method


def wilson(hits: int, trials: int) -> Estimate:
    """A share of independent trials, with the score interval (Wilson 1927); of no trial nothing is known."""
    if trials == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, method="wilson")
    share, spread = hits / trials, _Z95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return _rounded(share, max(0.0, middle - half), min(1.0, middle + half), "wilson")


def bootstrap(values: Sequence[float]) -> Estimate:
    """The mean of one value a problem, with the percentile interval of a bootstrap (Efron 1979)."""
    if not values:
        return Estimate(value=0.0, low=0.0, high=1.0, method="bootstrap over problems")
    draw, count = random.Random(_SEED), len(values)
    means = sorted(sum(draw.choices(values, k=count)) / count for _ in range(DRAWS))
    low, high = means[round(0.025 * (DRAWS - 1))], means[round(0.975 * (DRAWS - 1))]
    return _rounded(sum(values) / count, low, high, "bootstrap over problems")


def share_of(by_problem: Sequence[Sequence[bool]]) -> Estimate:
    """The mean over problems of the share of their samples: Wilson's interval for one sample each, else a bootstrap."""
    if all(len(samples) == 1 for samples in by_problem):
        return wilson(sum(sum(samples) for samples in by_problem), len(by_problem))
    return bootstrap([sum(samples) / len(samples) for samples in by_problem])


def pass_at(by_problem: Sequence[Sequence[bool]], k: int) -> Estimate:
    """The unbiased pass@k, 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374), averaged over problems.

    Raises:
        ValueError: a problem has fewer samples than k.
    """
    return bootstrap([pass_at_k(len(samples), sum(samples), k) for samples in by_problem])


def paired(base: Sequence[float], other: Sequence[float]) -> Estimate:
    """How much more the other has, problem by problem.

    Raises:
        ValueError: they are not of the same problems.
    """
    return bootstrap([after - before for before, after in zip(base, other, strict=True)])


def _rounded(value: float, low: float, high: float, method: Method) -> Estimate:
    return Estimate(value=round(value, 6), low=round(low, 6), high=round(high, 6), method=method)
