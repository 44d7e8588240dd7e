"""Reading what the harness wrote. Pure.

Owns the trust in a report: lines with the run's own key count, anything else is what tests wrote there and is passed
over; a count that does not fit means that lines are missing; records that contradict the ending are not believed.
What the canaries let through (`infrastructure/judge/canaries.py`) is told apart by marks that the reader has drawn.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.judge.reports import TestOutcome

_FAILURES_CHARACTERS = 512 << 10
_RED = frozenset({TestOutcome.FAILED, TestOutcome.ERROR, TestOutcome.XPASSED})


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    begin: Literal["pytest", "unittest"] | None = None
    start: str | None = None
    test: str | None = None
    outcome: TestOutcome | None = None
    message: str = ""
    mark: str = ""
    altered: str | None = None
    finish: int | None = None
    tests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a report says.

    Attributes:
        outcomes: By test id. A test that is reported twice has the worse outcome.
        failures: What red tests say.
        running: The test that had begun and not ended at the last line.
        finish: The framework's own exit status; None where the last line is missing or lines before it are.
        unfailing: Ways to fail that let a false claim pass, as the canaries say; sorted.
        altered: Functions of the framework that were others at the end than at the start, and `NO_CANARY`; sorted.
    """

    outcomes: Mapping[str, TestOutcome]
    failures: Mapping[str, str]
    running: str | None
    finish: int | None
    unfailing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()


NO_CANARY = "no test that must fail could be run"
"""In `Record.altered`, where tests ran and nothing shows that they could have failed."""
NO_TESTS = 5
"""The framework's exit status when there was nothing to run."""


def contradiction(record: Record, exit_code: int | None) -> str | None:
    """Why a report that came to its end is not to be believed; None where its parts agree.

    The framework counts what failed by itself, the harness writes a line for each test. Whoever changes one of them in
    the process of the tests has not changed the other.
    """
    if record.finish is None:
        return None
    red = sum(outcome in _RED for outcome in record.outcomes.values())
    if (record.finish == 0) != (exit_code == 0):
        return f"the process ended with {exit_code}, and the report says that it would with {record.finish}"
    if record.finish == 0 and red:
        return f"the framework says that all went well, and the report has {red} red"
    if record.finish == 1 and not red:
        return "the framework says that something failed, and the report has nothing red (a plugin may fail a run)"
    if record.finish == NO_TESTS and TestOutcome.PASSED in record.outcomes.values():
        return "the framework says that there were no tests, and the report has some that passed"
    return None


@dataclass(slots=True)
class _Reading:
    outcomes: dict[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    failures: dict[str, str] = field(default_factory=dict[str, str])
    room: int = _FAILURES_CHARACTERS
    ended: int = 0
    running: str | None = None
    finish: int | None = None
    canaries: int = 0
    unfailing: set[str] = field(default_factory=set[str])
    altered: set[str] = field(default_factory=set[str])


def read_records(content: bytes, key: str, marks: Collection[str] = ()) -> Record:
    """Read a report.

    Args:
        content: The lines.
        key: The one that this run was given.
        marks: Those of its canaries; none where none were asked for.
    """
    reading = _Reading()
    for raw in content.split(b"\n"):
        line = _parse(raw, key)
        if line is not None:
            _take(reading, line, marks)
    if marks and not reading.canaries and any("::" in test for test in reading.outcomes):
        reading.altered.add(NO_CANARY)
    return Record(
        outcomes=reading.outcomes,
        failures=reading.failures,
        running=reading.running,
        finish=reading.finish,
        unfailing=tuple(sorted(reading.unfailing)),
        altered=tuple(sorted(reading.altered)),
    )


def _parse(raw: bytes, key: str) -> _Line | None:
    if not raw:
        return None
    try:
        line = _Line.model_validate(json.loads(raw))
    except (ValueError, ValidationError, RecursionError):
        return None
    return line if line.key == key else None


def _take(reading: _Reading, line: _Line, marks: Collection[str]) -> None:
    reading.finish = None  # a line after the last one: the last one was not
    if line.start is not None:
        reading.running = line.start
    elif line.test is not None and line.outcome is not None:
        reading.ended += 1
        if reading.running == line.test:
            reading.running = None
        if line.mark in marks:
            _note_canary(reading, line.outcome, line.message)
        else:
            _note(reading, line.test, line.outcome, line.message)
    elif line.altered is not None:
        reading.altered.add(line.altered)
    elif line.finish is not None and line.tests == reading.ended:
        reading.finish = line.finish


def _note_canary(reading: _Reading, outcome: TestOutcome, message: str) -> None:
    reading.canaries += outcome is not TestOutcome.SKIPPED
    if outcome is TestOutcome.PASSED:
        reading.unfailing.update(message.split(", ") if message else ("a test",))


def _note(reading: _Reading, test: str, outcome: TestOutcome, message: str) -> None:
    known = reading.outcomes.get(test)
    if known in _RED or (known is TestOutcome.PASSED and outcome is TestOutcome.SKIPPED):
        return
    reading.outcomes[test] = outcome
    if outcome in _RED and reading.room > 0:
        reading.failures[test] = message[-reading.room :]
        reading.room -= len(message)
