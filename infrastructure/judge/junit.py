"""Report files of other runners: JUnit's XML, and the JSON of jest and vitest.

Owns how such a file is read: it was written where code that nobody has read was running, so it is bounded, no entity
and no document type is taken, and what is torn or contradicts itself is a complaint and not a report. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from xml.parsers import expat

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infrastructure.judge.reports import TestOutcome

_DEEPEST = 64
_MOST_TESTS = 200_000
_MESSAGE_CHARACTERS = 4000
_FAILURES_CHARACTERS = 512 << 10
_RED: Mapping[str, TestOutcome] = {"failure": TestOutcome.FAILED, "error": TestOutcome.ERROR}
_SEVERITY = (TestOutcome.SKIPPED, TestOutcome.PASSED, TestOutcome.FAILED, TestOutcome.ERROR)
_NO_CLASS = frozenset({"", "test", "suite"})
"""What node writes for every test; it says nothing."""


class UnusableReport(Exception):
    """A report file that cannot be read, or contradicts itself."""


@dataclass(slots=True)
class Outcomes:
    """What a runner says of its tests: outcomes by id, and the end of what red ones say, bounded."""

    outcomes: dict[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    failures: dict[str, str] = field(default_factory=dict[str, str])
    room: int = _FAILURES_CHARACTERS

    def add(self, test: str, outcome: TestOutcome, message: str = "") -> None:
        """Note a test; of one that is told twice, the worse outcome.

        Raises:
            UnusableReport: There are too many.
        """
        known = self.outcomes.get(test)
        if known is not None and _SEVERITY.index(known) >= _SEVERITY.index(outcome):
            return
        if len(self.outcomes) >= _MOST_TESTS:
            raise UnusableReport(f"it has more than {_MOST_TESTS:,} tests")
        self.outcomes[test] = outcome
        if outcome in _RED.values() and self.room > 0:
            text = message.strip()[-min(_MESSAGE_CHARACTERS, self.room) :]
            self.failures[test] = text
            self.room -= len(text)

    @property
    def red(self) -> int:
        """How many are red."""
        return sum(outcome in _RED.values() for outcome in self.outcomes.values())


def read_report_file(content: bytes, root: str) -> Outcomes:
    """Read a report, XML or JSON by its first character.

    Args:
        content: The file.
        root: The folder that the tests ran in, which ids do without.

    Raises:
        UnusableReport: It is neither, torn, too large in some way, or contradicts itself.
    """
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        raise UnusableReport("it is empty")
    if start == b"{":
        return _read_json(content, root)
    return _Xml(root).read(content)


# ----------------------------------------------------------------------------------------------- JUnit
@dataclass(slots=True)
class _Case:
    name: str
    place: str
    outcome: TestOutcome = TestOutcome.PASSED
    message: str = ""


@dataclass(slots=True)
class _Suite:
    name: str
    claimed: int | None
    red: int = 0


class _Xml:
    """Reads one document, element by element; nothing of it is kept but the tests."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found = Outcomes()
        self._depth = 0
        self._suites: list[_Suite] = []
        self._case: _Case | None = None
        self._listening = 0

    def read(self, content: bytes) -> Outcomes:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise UnusableReport(f"it is no whole XML: {error}") from error
        return self._found

    def _refuse(self, *_given: object) -> None:
        raise UnusableReport("it has a document type or an entity, which no runner writes")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnusableReport(f"it is more than {_DEEPEST} elements deep")
        if self._depth == 1 and tag not in {"testsuites", "testsuite"}:
            raise UnusableReport(f"it is no JUnit report: it begins with <{tag[:40]}>")
        if tag == "testsuite":
            self._suites.append(_Suite(attributes.get("name", ""), _claimed(attributes)))
        elif tag == "testcase":
            self._case = self._new_case(attributes)
        elif self._case is not None and tag in {*_RED, "skipped"}:
            self._case.outcome = _RED.get(tag, TestOutcome.SKIPPED)
            self._case.message = attributes.get("message", "")
            self._listening = self._depth

    def _new_case(self, attributes: dict[str, str]) -> _Case:
        file, group = attributes.get("file", ""), attributes.get("classname", "")
        if group in _NO_CLASS:
            group = "::".join(each.name for each in self._suites if each.name)
        place = "::".join(part for part in (_inside(file, self._root), group) if part)
        return _Case(attributes.get("name", ""), place)

    def _text(self, text: str) -> None:
        if self._listening and self._case is not None and len(self._case.message) < 16 * _MESSAGE_CHARACTERS:
            self._case.message += text

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._listening > self._depth:
            self._listening = 0
        if tag == "testsuite" and self._suites:
            self._leave(self._suites.pop())
        elif tag == "testcase" and self._case is not None:
            case, self._case = self._case, None
            name = _inside(case.name, self._root)
            self._found.add(f"{case.place}::{name}" if case.place else name, case.outcome, case.message)
            for suite in self._suites:
                suite.red += case.outcome in _RED.values()

    def _leave(self, suite: "_Suite") -> None:
        """A suite whose own count of what is red says otherwise than its tests do is no report."""
        if suite.claimed is not None and bool(suite.claimed) != bool(suite.red):
            raise UnusableReport(f"it counts {suite.claimed} red in {suite.name or 'a suite'}, and has {suite.red}")


def _claimed(attributes: dict[str, str]) -> int | None:
    said = [attributes[name] for name in ("failures", "errors") if name in attributes]
    numbers = [int(each[:9]) for each in said if each.isascii() and each.isdigit()]
    return sum(numbers) if numbers else None


def _inside(place: str, root: str) -> str:
    return PurePosixPath(place).relative_to(root).as_posix() if place.startswith(f"{root}/") else place


# -------------------------------------------------------------------------------------- jest and vitest
class _JestTest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str = ""
    full_name: str = Field(default="", alias="fullName")
    status: Literal["passed", "failed", "skipped", "pending", "todo", "disabled", "focused"]
    messages: tuple[str, ...] | None = Field(default=(), alias="failureMessages")


class _JestFile(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    status: str = ""
    message: str | None = ""
    tests: tuple[_JestTest, ...] = Field(default=(), alias="assertionResults")


class _JestReport(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    success: bool
    failed_tests: int = Field(default=0, alias="numFailedTests")
    files: tuple[_JestFile, ...] = Field(alias="testResults")


def _read_json(content: bytes, root: str) -> Outcomes:
    try:
        report = _JestReport.model_validate_json(content)
    except (ValidationError, RecursionError) as error:
        raise UnusableReport("it is no whole report of jest or vitest") from error
    found = Outcomes()
    for file in report.files:
        place = _inside(file.name, root)
        if file.status == "failed" and not any(test.status == "failed" for test in file.tests):
            found.add(place, TestOutcome.ERROR, file.message or "")
        for test in file.tests:
            outcome = TestOutcome(test.status) if test.status in {"passed", "failed"} else TestOutcome.SKIPPED
            found.add(f"{place}::{test.full_name.strip() or test.title}", outcome, "\n".join(test.messages or ()))
    if bool(report.failed_tests) > bool(found.red) or (report.success and found.red):
        raise UnusableReport(f"it counts {report.failed_tests} red, and has {found.red}")
    return found
