"""How figures are taken: CPU time of this process, interleaved rounds, ratios to the floor of the same round."""

from __future__ import annotations

import random
import resource
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Figure = TypeVar("Figure")
Name = TypeVar("Name", bound=Hashable)


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """User and system CPU time so far."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Memory of this process now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a pseudo file
        return int(file.read().split()[1]) * resource.getpagesize()


def interleaved(
    contenders: Mapping[Name, Callable[[], Figure]], rounds: int, seed: int = 1
) -> dict[Name, list[Figure]]:
    """Each contender once a round, in an order of its own each round."""
    order = random.Random(seed)
    figures: dict[Name, list[Figure]] = {name: [] for name in contenders}
    for _ in range(rounds):
        names = list(contenders)
        order.shuffle(names)
        for name in names:
            figures[name].append(contenders[name]())
    return figures


def summary(values: Sequence[float]) -> str:
    """Median and the middle half."""
    if len(values) < 4:
        return f"{statistics.median(values):.3g}"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"


def ratios(values: Sequence[float], floor: Sequence[float]) -> list[float]:
    """Each figure over the floor of its own round."""
    return [value / base for value, base in zip(values, floor, strict=True)]
