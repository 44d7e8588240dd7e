"""Test plans and reports between the steps: kept in the content store, named by hash, shown to roles in bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agents.codegen import SourceFile
from infrastructure.events.catalogue import TestsRan
from infrastructure.events.catalogue.work import TestCounts
from infrastructure.judge.discovery import TestPlan, dump_plan, judge_files
from infrastructure.judge.discovery import load_plan as read_plan
from infrastructure.judge.reports import TestReport, dump_report, failing_text
from infrastructure.judge.reports import load_report as read_report
from infrastructure.judge.steering import is_test_by_name, is_test_file, named_by
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.material import Note, Reading
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.values import Baseline, FileRef
from infrastructure.workspace.manifest import Snapshot

_SHOWN_FAILING = 50


async def keep_plan(blobs: Blobs, plan: TestPlan) -> str:
    """Keep a test plan; its hash."""
    return await blobs.put(dump_plan(plan))


async def load_plan(blobs: Blobs, sha: str) -> TestPlan:
    """A kept test plan."""
    return read_plan(await blobs.get(sha))


async def keep_report(blobs: Blobs, report: TestReport) -> str:
    """Keep a report; its hash."""
    return await blobs.put(dump_report(report))


async def load_report(blobs: Blobs, sha: str) -> TestReport:
    """A kept report."""
    return read_report(await blobs.get(sha))


async def maybe_report(blobs: Blobs, sha: str) -> TestReport | None:
    """A kept report, or None for an empty hash."""
    return await load_report(blobs, sha) if sha else None


async def failing_of(scope: RunScope, sha: str) -> str:
    """The failing tests of a kept report, short and localised, as a role is shown them."""
    return failing_text(await load_report(scope.blobs, sha)) if sha else ""


def counts_of(report: TestReport) -> TestCounts:
    """How many tests ended how."""
    counts = report.counts
    return TestCounts(passed=counts.passed, failed=counts.failed, errors=counts.error, skipped=counts.skipped)


def tests_ran(report: TestReport, attempt: int, suite: Literal["judge", "written"], sandbox: str) -> TestsRan:
    """The event that tells of a test run."""
    return TestsRan(
        attempt=attempt,
        suite=suite,
        counts=counts_of(report),
        failing=tuple(sorted(report.red)[:_SHOWN_FAILING]),
        crashed=report.crashed or "",
        seconds=report.seconds,
        sandbox=sandbox,
    )


async def judge_contents(scope: RunScope, snapshot: Snapshot, baseline: Baseline) -> dict[str, bytes]:
    """The judge's files as they are copied in after the last edit: the snapshot's own, under those the user gave."""
    return await judge_files(snapshot, await contents_of(scope, baseline.given), baseline.command)


async def contents_of(scope: RunScope, files: Sequence[FileRef]) -> dict[str, bytes]:
    """The bytes of kept files by path; deleted ones are left out."""
    return {ref.path: await scope.blobs.get(ref.sha) for ref in files if ref.sha is not None}


async def shown_tests(scope: RunScope, snapshot: Snapshot, baseline: Baseline, note: Note) -> tuple[SourceFile, ...]:
    """The judge's test files that were red on the snapshot, as the coder may see them; `note` hears of others.

    Where what is red names no file (`cargo::adds`, a command), or the run came to no end, any test may be meant, and
    what the command names; never what is no text, nor what only lies beside tests. What is known to be red comes first.
    """
    if not baseline.plan or not baseline.report:
        return ()
    report = await load_report(scope.blobs, baseline.report)
    contents = await judge_contents(scope, snapshot, baseline)
    red = {test.partition("::")[0] for test in report.red} & contents.keys()
    tests = {path for path in contents if is_test_by_name(path) or is_test_file(path) or _is_rust_test(path)}
    named = named_by(baseline.command) & contents.keys()
    any_of_them = bool(report.crashed) or (bool(report.red) and not red)
    meant = red | tests | named if any_of_them else red
    shown: list[SourceFile] = []
    room = Reading(note)
    for path in sorted(meant, key=lambda path: (path not in red, path not in named, path)):
        text = _text_of(contents[path])
        if text is not None and room.takes(path, len(contents[path])):
            shown.append(SourceFile(path, text))
    return tuple(shown)


def _is_rust_test(path: str) -> bool:
    return path.endswith(".rs") and path.startswith("tests/")


def _text_of(content: bytes) -> str | None:
    """What can be read; None for what is no text."""
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
