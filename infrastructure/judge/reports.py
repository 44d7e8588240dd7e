"""What a run of tests said.

Owns `TestReport`, its stored form, and the short text a role is shown of what failed. A red test is a value here, and
so is a run that timed out; a command that cannot start at all is an error (`errors.TestCommandNotStarted`).
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from infrastructure.judge.localising import localised, shortened

_ERROR = re.compile(
    r"^(?:E\s+|INTERNALERROR>\s*)?([A-Za-z_][\w.]*(?:Error|Exception|Exit|Failed|Interrupt|Warning)(?::\s.*)?)$",
    re.MULTILINE,
)
_RAISED = re.compile(r"(?:^E(?: .*)?$\n?)+", re.MULTILINE)
"""The lines in which pytest says what was raised."""
_FIRST = re.compile(r"\AE\s+(\S.*)$", re.MULTILINE)
_COMPLAINT = re.compile(r"^(?:ERROR:\s|.*?\berror:\s)(?!usage:)(.+)$", re.MULTILINE | re.IGNORECASE)
_LINE_CHARACTERS = 200


class TestOutcome(StrEnum):
    """How one test ended."""

    __test__ = False  # pytest would take the class for tests

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It could not be imported, set up or torn down, or the process died in it."""
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    """It failed, as its mark says that it does: a known bug."""
    XPASSED = "xpassed"
    """It passed, against its mark, and the run is red for it until the mark is taken away."""


_RED = frozenset({TestOutcome.FAILED, TestOutcome.ERROR, TestOutcome.XPASSED})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tests ended in each way: an expected failure counts as skipped, a success against its mark as failed."""

    passed: int
    failed: int
    error: int
    skipped: int


def _no_failures() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """One run of tests.

    Attributes:
        outcomes: By test id: `tests/test_a.py::TestCase::test_b`. A file or class that fails as a whole has an entry
            under its own id, a prefix of those of its tests.
        failures: The end of the traceback of each test that is not green, each bounded.
        crashed: Why the run did not come to its end; None when it did. What was reported until then is in `outcomes`.
        output: The end of what it printed.
        seconds: Wall time.
        command: As a person would type it.
        unfailing: Ways to fail that let a false claim pass: what tests that use them say, they say in vain.
        altered: What judges and was changed while it judged: functions of the test framework, files of the judge.
    """

    __test__ = False

    outcomes: Mapping[str, TestOutcome]
    failures: Mapping[str, str] = field(default_factory=_no_failures)
    crashed: str | None = None
    output: str = ""
    seconds: float = 0.0
    command: str = ""
    unfailing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    @property
    def passed(self) -> frozenset[str]:
        """The tests that passed."""
        return frozenset(test for test, outcome in self.outcomes.items() if outcome is TestOutcome.PASSED)

    @property
    def red(self) -> frozenset[str]:
        """The tests that failed, could not run, or passed where they were to fail: why the run is red."""
        return frozenset(test for test, outcome in self.outcomes.items() if outcome in _RED)

    def ended(self, *ways: TestOutcome) -> frozenset[str]:
        """The tests that ended in one of these ways."""
        return frozenset(test for test, outcome in self.outcomes.items() if outcome in ways)

    @property
    def green(self) -> bool:
        """Whether it came to its end, something passed, and nothing is red. No tests at all is not green."""
        return self.crashed is None and bool(self.passed) and not self.red

    @property
    def uncollected(self) -> tuple[str, ...]:
        """The test files that could not be loaded, so that none of their tests ran; sorted."""
        return tuple(sorted(each for each in self.red if "::" not in each and each != self.command))

    @property
    def counts(self) -> Counts:
        """How many of each."""
        of = Counter(self.outcomes.values())
        return Counts(
            passed=of[TestOutcome.PASSED],
            failed=of[TestOutcome.FAILED] + of[TestOutcome.XPASSED],
            error=of[TestOutcome.ERROR],
            skipped=of[TestOutcome.SKIPPED] + of[TestOutcome.XFAILED],
        )


_REPORT = TypeAdapter(TestReport)


def dump_report(report: TestReport) -> bytes:
    """The stored form of a report: JSON."""
    return _REPORT.dump_json(report)


def load_report(content: bytes) -> TestReport:
    """A report from its stored form.

    Raises:
        pydantic.ValidationError: It is none.
    """
    return _REPORT.validate_json(content)


def error_line(text: str) -> str:
    """What went wrong, of an output or a traceback in one line: the last exception, else a program's own complaint.

    Empty where no line looks like either.
    """
    found = _ERROR.findall(text) or _COMPLAINT.findall(text)[:1]
    return _cut(str(found[-1]).strip() if found else "")


def raised_line(text: str) -> str:
    """What pytest says was raised, in one line: of a plain `assert`, which names no exception, what was claimed.

    Empty where pytest says nothing of the kind.
    """
    *_, last = _RAISED.findall(text) or [""]
    found = _ERROR.findall(str(last)) or _FIRST.findall(str(last))
    return _cut(str(found[-1]).strip() if found else "")


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"


def uncollected_text(report: TestReport) -> str:
    """Which files could not be loaded, and the error of the first; empty where all were, or none says why."""
    first, *more = report.uncollected or ("",)
    line = error_line(report.failures.get(first, ""))
    others = f" and {len(more)} more" if more else ""
    return f"{first or 'the tests'}{others} could not be collected: {line}" if line else ""


def failing_text(report: TestReport, limit: int = 6_000) -> str:
    """What failed, for a role or a person: each red test with its own frames, what was expected and what came.

    At most `limit` characters.

    Empty when nothing failed and the run came to its end.
    """
    red = sorted(report.red)
    parts: list[str] = []
    if report.crashed is not None:
        parts.append(f"The test run did not come to its end: {report.crashed}")
        if not red and report.output:
            parts.append(_end_of(report.output, limit // 2))
    elif not report.outcomes:
        parts.append("No tests ran.")
        parts.append(_end_of(report.output, limit // 2))
    if red:
        parts.append(f"{len(red)} of {len(report.outcomes)} tests are red.")
        parts.extend(_failures(report, red, limit - sum(len(part) + 1 for part in parts)))
    return "\n".join(part for part in parts if part)[:limit]


def _failures(report: TestReport, red: list[str], room: int) -> list[str]:
    parts: list[str] = []
    for index, test in enumerate(red):
        heading = f"{report.outcomes[test].upper()} {test}"
        share = room // max(1, min(len(red) - index, 5))  # five in full say more than fifty in part
        if room < len(heading) + 40:
            parts.append(f"… and {len(red) - index} more")
            break
        body = shortened(localised(report.failures.get(test, "")), share - len(heading) - 1)
        part = f"{heading}\n{body}" if body else heading
        parts.append(part)
        room -= len(part) + 1
    return parts


def _end_of(text: str, room: int) -> str:
    """The last whole lines that fit: a traceback's end says what was expected and what came."""
    text = text.strip("\n")
    if len(text) <= room:
        return text
    if room < 4:
        return ""
    end = text[-(room - 2) :]
    line = end.find("\n")
    return "…\n" + (end[line + 1 :] if 0 <= line < len(end) - 1 else end)
