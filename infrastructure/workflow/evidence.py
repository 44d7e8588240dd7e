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
    """The judge's test files that were red on the snapshot, as the coder may see them; `note` hears of others."""
    if not baseline.plan or not baseline.report:
        return ()
    report = await load_report(scope.blobs, baseline.report)
    red_files = {test.partition("::")[0] for test in report.red}
    shown: list[SourceFile] = []
    room = Reading(note)
    for path, content in sorted((await judge_contents(scope, snapshot, baseline)).items()):
        if (path in red_files or report.crashed) and room.takes(path, len(content)):
            shown.append(SourceFile(path, content.decode("utf-8", "replace")))
    return tuple(shown)
