"""From the end of an execution to a report of tests.

Owns what a run that ended is taken to have said: by the harness's records, by a report file or the printed events of
another runner, or by its exit code alone; and that these must agree with how the process ended. What they have left in
the throw-away place is read from outside, bounded. Blocking.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from infrastructure.judge.discovery import TestPlan
from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.judge.junit import Outcomes, UnusableReport, read_report_file
from infrastructure.judge.languages import read_cargo, read_go
from infrastructure.judge.places import Place
from infrastructure.judge.reading import NO_TESTS, Record, contradiction, read_records
from infrastructure.judge.reports import TestOutcome, TestReport, error_line
from infrastructure.sandbox import Execution
from infrastructure.workspace.beneath import read_file
from infrastructure.workspace.errors import PathMissing, PathRefused, TooLarge

_REPORT_BYTES = 32 << 20
_OUTPUT_CHARACTERS = 8_000
_PYTEST_ENDED = frozenset(
    {0, 1, NO_TESTS}
)  # passed, some failed, none collected; the others are faults of the run itself
_NODE_TOOL = re.compile(r"^> |node_modules", re.MULTILINE)
"""npm says with such a line what it starts."""
_NOT_STARTED = frozenset({126, 127})  # as a shell says it: not executable, not found


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: `stopped` says why it was ended by us, `before` whether the command has been started before."""

    execution: Execution
    stopped: str | None
    before: bool

    @property
    def unstarted(self) -> bool:
        """Whether it looks like a command that is not there; one that has been started before is there."""
        return self.stopped is None and not self.before and self.execution.exit_code in _NOT_STARTED


def report_of(plan: TestPlan, place: Place, execution: Execution, *, before: bool) -> TestReport:
    """What a run said.

    Args:
        plan: What was run.
        place: Where; nothing runs there any more.
        execution: How it ended.
        before: Whether this command has been started before, so that it can be.

    Raises:
        TestCommandNotStarted: There is no such program, or it may not be executed.
    """
    output = "\n".join(part for part in (execution.stdout, execution.stderr) if part)
    output = _localised(place, output)[-_OUTPUT_CHARACTERS:]
    empty = TestReport(
        outcomes={}, output=output, seconds=execution.seconds, command=plan.command, altered=place.rewritten()
    )
    stopped = None
    if execution.stopped is not None or execution.exit_code is None:
        stopped = f"stopped after {execution.seconds:.0f} s ({execution.stopped or 'killed'})"
    ended = Ended(execution, stopped, before)
    match plan.framework:
        case "pytest" | "unittest":
            report = _by_harness(plan, place, empty, ended)
        case "command":
            report = _by_exit_code(plan, empty, ended)
        case _:
            report = _by_runner(plan, place, empty, ended)
    return replace(report, failures={test: _localised(place, text) for test, text in report.failures.items()})


# --------------------------------------------------------------------------------------- pytest, unittest
def _by_harness(plan: TestPlan, place: Place, empty: TestReport, ended: Ended) -> TestReport:
    try:
        content = place.records(_REPORT_BYTES)
    except TooLarge as error:
        return replace(empty, crashed=ended.stopped or f"its report cannot be read: {error}")
    if not content:
        code = ended.execution.exit_code
        if ended.stopped is None and code in _NOT_STARTED and place.untouched:
            raise _not_started(plan, empty.output)
        reason = f"the test runner reported nothing and ended with {code}{_said(empty.output)}"
        return replace(empty, crashed=ended.stopped or reason)
    return _by_records(empty, read_records(content, place.key, place.marks), ended, plan)


def _by_records(empty: TestReport, record: Record, ended: Ended, plan: TestPlan) -> TestReport:
    crashed, code = ended.stopped, ended.execution.exit_code
    if crashed is None and record.finish is None:
        crashed = f"the test process ended early, with {code}"
    if crashed is None and plan.framework == "pytest" and record.finish not in _PYTEST_ENDED:
        crashed = f"pytest could not run the tests and ended with {record.finish}{_said(empty.output)}"
    if crashed is None and (doubt := contradiction(record, code)) is not None:
        crashed = f"its report cannot be believed: {doubt}"
    outcomes, failures = dict(record.outcomes), dict(record.failures)
    if crashed is not None and record.running is not None:
        outcomes[record.running] = TestOutcome.ERROR
        failures[record.running] = f"The test process ended in this test: {crashed}"
    altered = tuple(sorted({*empty.altered, *record.altered}))
    return replace(
        empty, outcomes=outcomes, failures=failures, crashed=crashed, unfailing=record.unfailing, altered=altered
    )


# ------------------------------------------------------------------------------------------ other runners
def _by_runner(plan: TestPlan, place: Place, empty: TestReport, ended: Ended) -> TestReport:
    try:
        found, doubt = _outcomes(plan, place)
    except (PathMissing, PathRefused):
        if ended.unstarted:
            raise _not_started(plan, empty.output) from None
        reason = f"it left no report and ended with {ended.execution.exit_code}{_said(empty.output)}"
        return replace(empty, crashed=ended.stopped or reason)
    except (UnusableReport, TooLarge) as error:
        return replace(empty, crashed=ended.stopped or f"its report cannot be believed: {error}")
    if not found.outcomes and ended.unstarted:
        raise _not_started(plan, empty.output)
    crashed = ended.stopped or _disagreement(found, doubt, ended.execution.exit_code, empty.output)
    return replace(empty, outcomes=found.outcomes, failures=found.failures, crashed=crashed)


def _outcomes(plan: TestPlan, place: Place) -> tuple[Outcomes, str]:
    """What it says, and why that is not to be believed."""
    content = read_file(place.root, place.report_name, limit=_REPORT_BYTES)
    match plan.framework:
        case "go":
            return read_go(content.decode("utf-8", "replace")), ""
        case "cargo":
            return read_cargo(content.decode("utf-8", "replace"))
        case _:
            return _without_empty_files(read_report_file(content, str(place.work)), place.work), ""


def _without_empty_files(found: Outcomes, work: Path) -> Outcomes:
    """A file that node tells of as one test has run none: where it should have, its process ended before them."""
    for test, outcome in list(found.outcomes.items()):
        if outcome is TestOutcome.PASSED and "::" not in test and _names_tests(work, test):
            del found.outcomes[test]
            found.add(test, TestOutcome.ERROR, "The file ended well and ran no test of those that it has.")
    return found


def _names_tests(work: Path, path: str) -> bool:
    try:
        content = read_file(work, path)
    except (PathMissing, PathRefused, TooLarge):
        return False
    return any(word in content for word in (b"node:test", b"test(", b"it("))


def _disagreement(found: Outcomes, doubt: str, code: int | None, output: str) -> str | None:
    if code == 0 and (doubt or found.red):
        return f"its report cannot be believed: {doubt or f'it ended well, and {found.red} are red'}"
    if code != 0 and not found.red:
        return f"it ended with {code}, and its report has nothing red{_said(output)}"
    return None


# ----------------------------------------------------------------------------------------- any other command
def _by_exit_code(plan: TestPlan, empty: TestReport, ended: Ended) -> TestReport:
    if ended.stopped is not None:
        return replace(empty, outcomes={plan.command: TestOutcome.ERROR}, crashed=ended.stopped)
    if ended.unstarted:
        raise _not_started(plan, empty.output)
    code = ended.execution.exit_code
    if code == 0:
        return replace(empty, outcomes={plan.command: TestOutcome.PASSED})
    failures = {plan.command: empty.output or f"it ended with {code}"}
    return replace(empty, outcomes={plan.command: TestOutcome.FAILED}, failures=failures)


def _not_started(plan: TestPlan, output: str) -> TestCommandNotStarted:
    said = output[-500:].strip()
    if plan.framework == "pytest" and "No module named 'pytest'" in said:
        return TestCommandNotStarted(plan.command, said, f"Install it there: {plan.interpreter} -m pip install pytest")
    if _NODE_TOOL.search(said):
        hint = "Install the project's dependencies first (npm ci): tests run with no network."
        return TestCommandNotStarted(plan.command, said, hint)
    return TestCommandNotStarted(plan.command, said)


def _said(output: str) -> str:
    line = error_line(output)
    return f": {line}" if line else ""


def _localised(place: Place, text: str) -> str:
    return text.replace(f"{place.work}/", "").replace(str(place.work), ".")
