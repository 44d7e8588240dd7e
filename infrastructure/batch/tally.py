"""Counting: how many are through, how fast, how much longer. Pure, but for the clock it is given."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from infrastructure.batch.records import Told
from infrastructure.batch.runs import Verdict

_WINDOW = 100
"""Endings that the rate is measured over."""


@dataclass(slots=True)
class Tally:
    """How a batch stands.

    Attributes:
        total: Jobs times samples.
        now: A clock in seconds.
    """

    total: int
    now: Callable[[], float]
    running: int = 0
    statuses: Counter[str] = field(default_factory=Counter[str])
    verdicts: Counter[Verdict | None] = field(default_factory=Counter["Verdict | None"])
    """Records by verdict; None: without one."""
    _ends: deque[float] = field(default_factory=lambda: deque[float](maxlen=_WINDOW))

    def begin(self, finished: Iterable[Told]) -> None:
        """Take in what earlier commands finished, and start the clock."""
        for told in finished:
            self._count(told)
        self._ends.append(self.now())

    def ended(self, told: Told) -> None:
        """One more is through."""
        self._count(told)
        self._ends.append(self.now())

    @property
    def done(self) -> int:
        """Passed or unverified."""
        return self.verdicts["passed"] + self.verdicts["unverified"]

    @property
    def failed(self) -> int:
        """Over, and neither."""
        return self.over - self.done

    @property
    def over(self) -> int:
        """With a record."""
        return self.statuses.total()

    @property
    def rate_per_hour(self) -> float | None:
        """Records an hour, measured over the last of this command; None before the first."""
        if len(self._ends) < 2:
            return None
        seconds = max(self._ends[-1] - self._ends[0], 0.001)
        return (len(self._ends) - 1) / seconds * 3600

    @property
    def eta_seconds(self) -> float | None:
        """Until the last record, at this rate; None before there is one."""
        rate = self.rate_per_hour
        return None if rate is None else (self.total - self.over) / rate * 3600

    def _count(self, told: Told) -> None:
        self.statuses[told.status] += 1
        self.verdicts[told.verdict] += 1
