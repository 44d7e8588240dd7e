"""Tests that passed once and are not to be lost again: the anchors of a candidate.

Owns what is an anchor (any test of the judge's, or written from the plan, that passes for the best attempt so far) and
which of them a repair has broken. Without them a repair may trade one green test for another, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from infrastructure.judge.reports import TestReport, error_line
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.values import Attempt

UNDONE = " A repair that broke what passed was undone."
"""Added to what the tests said of the files, which stand as they were."""

_ANCHORS: TypeAdapter[dict[str, tuple[str, ...]]] = TypeAdapter(dict[str, tuple[str, ...]])
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """The reports of one try; None where those tests were not run."""

    judge: TestReport | None
    written: TestReport | None

    def names(self) -> dict[str, tuple[str, ...]]:
        """The tests that pass, by whose they are."""
        return {whose: tuple(sorted(report.passed)) for whose, report in self._reports() if report is not None}

    def broken(self, anchors: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The anchors that do not pass now. What was not run has broken nothing."""
        return tuple(
            sorted(
                anchor
                for whose, report in self._reports()
                if report is not None
                for anchor in anchors.get(whose, ())
                if anchor not in report.passed
            )
        )

    def said_of(self, test: str) -> str:
        """What a test that does not pass says, in a line; empty where it says nothing."""
        for _, report in self._reports():
            if report is not None and test in report.failures:
                return error_line(report.failures[test])
        return ""

    def _reports(self) -> tuple[tuple[str, TestReport | None], ...]:
        return ("judge", self.judge), ("written", self.written)


def broken_text(passing: Passing, broken: tuple[str, ...]) -> str:
    """Which anchors broke and why, for the coder, as the rest of a sentence that begins with "it"."""
    lines = [f"{test} ({said})" if (said := passing.said_of(test)) else test for test in broken[:_SHOWN]]
    more = f", and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return f"broke what passed before it: {', '.join(lines)}{more}"


async def keep_anchors(blobs: Blobs, passing: Passing) -> str:
    """Keep the names of what passes; their hash."""
    return await blobs.put(_ANCHORS.dump_json(passing.names()))


async def load_anchors(blobs: Blobs, attempt: Attempt) -> dict[str, tuple[str, ...]]:
    """The anchors that an attempt has set."""
    return _ANCHORS.validate_json(await blobs.get(attempt.anchors))
