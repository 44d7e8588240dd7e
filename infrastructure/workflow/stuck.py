"""A candidate that goes in circles: an edit that has failed before, a failure that no edit moves, the same slip again.

Owns what of an attempt is remembered, when two count as the same, and how the coder is told. Pure. Text that repeats
itself inside one answer is found while it streams (`runaway`), an answer that changes nothing when it is applied.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from infrastructure.judge.localising import localised
from infrastructure.judge.reports import TestReport, error_line
from infrastructure.workflow.values import PastTry

TOLD = 1
"""How often a candidate is told that it goes in circles. Once more, and another plan makes better use of the budget."""
PATCH_AGAIN = " A repair was a patch that had failed before."
"""Added to what the tests said of the files, which stand as they were."""
FAILED_AGAIN = " Different attempts failed in the same way."

_PASSING = (
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "0x…"),
    (re.compile(r"\b\d+(?:\.\d+)?\s?(?:ms|s|seconds?)\b"), "… s"),
    (re.compile(r"\bline \d+\b"), "line …"),
    (re.compile(r"(?<=\w):\d+(?::\d+)?(?=:|\s|$)"), ":…"),
    (re.compile(r"(?<=/tmp/)[^\s'\"]+"), "…"),
)
"""What differs between two failures that are the same: addresses, durations, places in files, names of the moment."""
_NUMBER = re.compile(r"\d+")


def failure_mark(reports: Iterable[TestReport | None]) -> str:
    """How tests failed, as a hash: which are red, and what each says. Empty where no red test says anything.

    What is expected and what came stays in it: another wrong value is another failure.
    """
    said = [
        [report.crashed and _steady(report.crashed), *((test, _message(report, test)) for test in sorted(report.red))]
        for report in reports
        if report is not None and (report.crashed is not None or report.red)
    ]
    tells = any(part if isinstance(part, str) else part and part[1] for report in said for part in report)
    return hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest() if tells else ""


def useless_mark(reason: str) -> str:
    """Why an answer could not be used, as a hash: its first line without numbers; what follows is a hint."""
    line = " ".join(_NUMBER.sub("…", reason.strip().partition("\n")[0]).split())
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest() if line else ""


def with_patch(past: Sequence[PastTry], patch: str) -> PastTry | None:
    """The attempt that made this very patch, and failed; the last where there are several."""
    return next((each for each in reversed(past) if patch and each.patch == patch), None)


def with_failure(past: Sequence[PastTry], mark: str) -> PastTry | None:
    """The attempt that failed in this very way, by another patch."""
    return next((each for each in reversed(past) if mark and each.failure == mark), None)


def with_slip(past: Sequence[PastTry], mark: str) -> PastTry | None:
    """The attempt whose answer could not be used for this very reason."""
    return next((each for each in reversed(past) if mark and each.useless == mark), None)


def has_progressed(past: Sequence[PastTry], passed: int) -> bool:
    """Whether more tests pass than in any attempt before: then what was told of circles is over."""
    return passed > max((each.passed for each in past if each.patch), default=passed)


def gives_up(repeated: int, unchanged: int) -> bool:
    """Whether a candidate has been told, and goes on in circles. An answer that changes nothing is one, too."""
    return repeated + unchanged > TOLD


def patch_told(before: PastTry, said: str) -> str:
    """For the coder, as the rest of a sentence that begins with its answer."""
    how = f"which failed with {said}" if said else "which failed"
    return f"it is the patch of attempt {before.attempt} again, {how}. The tests were not run again; do something else."


def failure_told(before: PastTry, attempt: int) -> str:
    """For the coder and who diagnoses."""
    return (
        f"Attempts {before.attempt} and {attempt} are different, and the same tests fail with the same messages. What"
        " was changed between them is not the cause: look for it elsewhere."
    )


def slip_told(before: PastTry) -> str:
    """For the coder, after the reason."""
    return f"Attempt {before.attempt} could not be used for the same reason. Write it in another way."


def _message(report: TestReport, test: str) -> str:
    """What a test says, in one line where that tells enough; a bare `AssertionError` is told by its frames."""
    text = report.failures.get(test, "")
    line = error_line(text)
    return _steady(line if ":" in line else localised(text))


def _steady(text: str) -> str:
    for passing, instead in _PASSING:
        text = passing.sub(instead, text)
    return " ".join(text.split())
