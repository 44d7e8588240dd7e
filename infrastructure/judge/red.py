"""The tests that are still red, each in a line: what a person need not dig for.

Owns the order, and what is said of a test. A run that did not come to its end is the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from infrastructure.events.catalogue import RedTest
from infrastructure.judge.localising import localised
from infrastructure.judge.reports import TestReport, error_line, raised_line

_LINE_CHARACTERS = 200


def red_tests(report: TestReport | None) -> tuple[RedTest, ...]:
    """Every red test of a report by name, with what it says; empty where all is green, or nothing was run."""
    if report is None:
        return ()
    red = sorted(report.red)
    found: list[RedTest] = []
    if report.crashed is not None:
        found.append(RedTest(test=report.command or "the tests", says=_cut(f"broken off: {report.crashed}")))
        red = [test for test in red if test != report.command]
    return (*found, *(RedTest(test=test, says=_says(report.failures.get(test, ""))) for test in red))


def red_text(red: Sequence[RedTest], most: int) -> str:
    """The first few of them, in one line, and how many more there are."""
    said = ", ".join(f"{each.test} ({each.says})" if each.says else each.test for each in red[:most])
    return f"{said} and {len(red) - most} more" if len(red) > most else said


def _says(text: str) -> str:
    """What was raised, else the first line of what the test printed."""
    first = next((line.strip() for line in localised(text).split("\n") if line.strip()), "")
    return raised_line(text) or error_line(text) or _cut(first)


def _cut(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"
