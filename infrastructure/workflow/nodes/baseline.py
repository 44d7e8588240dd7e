"""`take_snapshot`, `run_baseline`: what a run works on, and how the tests stand before any change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Required

import aiofiles
import aiofiles.os
from typing_extensions import TypedDict

from infrastructure.config.settings import Candidates
from infrastructure.events.catalogue import SnapshotTaken
from infrastructure.judge.discovery import judge_files, plan_tests
from infrastructure.judge.explaining import explained
from infrastructure.judge.runner import run_tests
from infrastructure.workflow.evidence import keep_plan, keep_report, tests_ran
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.state import BaselineWrites, SnapshotWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Baseline, FileRef, Gate
from infrastructure.workspace.snapshot import take_snapshot
from infrastructure.workspace.trees import Tree


class SnapshotReads(TypedDict, total=False):
    """What a run starts with."""

    task: Required[str]
    repo: str
    run: str
    candidates: Candidates
    repairs: int
    rounds: int
    approve: Sequence[Gate]


class BaselineReads(TypedDict, total=False):
    """What is known of the judge."""

    task: Required[str]
    run: str
    test_command: str
    tests: Sequence[str]


async def take_snapshot_node(state: SnapshotReads, step: Step) -> SnapshotWrites:
    """Copy the repository as it is now, and fill in what the caller left open."""
    repo = Path(await aiofiles.os.path.abspath(state.get("repo") or "."))
    snapshot = await take_snapshot(repo, step.scope.trees)
    step.emit(SnapshotTaken(files=len(snapshot.files), repository=snapshot.is_repository, dirty=snapshot.dirty))
    if not snapshot.is_repository:
        step.note(f"{repo} is no git repository: its files were copied, and the patch applies to the folder itself")
    for skipped in snapshot.skipped[:5]:
        step.note(f"left out of the snapshot: {skipped.path} ({skipped.reason})")
    return {
        "run": step.scope.run,
        "repo": str(repo),
        "candidates": state.get("candidates", 1),
        "repairs": state.get("repairs", 2),
        "rounds": state.get("rounds", 2),
        "approve": tuple(state.get("approve", ())),
    }


async def run_baseline_node(state: BaselineReads, step: Step) -> BaselineWrites:
    """Find the judge's tests and run them on the untouched snapshot."""
    snapshot = await snapshot_of(step.scope)
    given = await _given(state.get("tests", ()), snapshot.repo)
    plan = await plan_tests(snapshot, test_command=state.get("test_command", ""), tests=given)
    if plan is None:
        step.note("no tests were given or found; the result can only be checked by tests written here")
        return {"baseline": Baseline(judge="none")}
    if plan.note:
        step.note(plan.note)
    files = await judge_files(snapshot, given, plan.command)
    report = await run_tests(step.scope.sandbox, Tree(snapshot.root), plan, files, limits=step.scope.limits)
    step.emit(tests_ran(report, 0, "judge", str(step.scope.sandbox.level)))
    if why := explained(report, plan, snapshot.files):
        step.note(why)
    blobs = step.scope.blobs
    baseline = Baseline(
        judge=plan.judge,
        plan=await keep_plan(blobs, plan),
        report=await keep_report(blobs, report),
        command=plan.command,
        given=tuple([FileRef(path, await blobs.put(content)) for path, content in given.items()]),
    )
    return {"baseline": baseline}


async def _given(tests: Sequence[str], repo: Path) -> dict[str, bytes]:
    """The user's test files by their place in the tree: where they are in the repository, else at its root."""
    given: dict[str, bytes] = {}
    for name in tests:
        path = await asyncio.to_thread(Path(name).resolve)  # as the snapshot's own place is: links followed
        inside = path.relative_to(repo) if path.is_relative_to(repo) else Path(path.name)
        async with aiofiles.open(path, "rb") as file:
            given[inside.as_posix()] = await file.read()
    return given
