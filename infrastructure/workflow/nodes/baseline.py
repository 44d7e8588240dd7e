"""`take_snapshot`, `run_baseline`: what a run works on, and how the tests stand before any change."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Required

import aiofiles.os
from typing_extensions import TypedDict

from agents.codegen import Intent
from infrastructure.config.settings import Candidates
from infrastructure.events.catalogue import SnapshotTaken
from infrastructure.judge.discovery import TestPlan, judge_files, plan_tests
from infrastructure.judge.explaining import explained
from infrastructure.judge.reports import TestReport
from infrastructure.workflow.evidence import keep_plan, keep_report
from infrastructure.workflow.given import given_of
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.state import BaselineWrites, SnapshotWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.trying import find_plan, recorded, tree_sha, try_tests, untouched
from infrastructure.workflow.values import Baseline, FileRef, Gate
from infrastructure.workspace.choosing import is_result
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.snapshot import take_snapshot

_STEP = "run_baseline"


class SnapshotReads(TypedDict, total=False):
    """What a run starts with, and what tells that the thread has had one before."""

    task: Required[str]
    repo: str
    run: str
    candidates: Candidates
    at_once: int
    repairs: int
    rounds: int
    approve: Sequence[Gate]
    test_command: str
    tests: Sequence[str]
    intent: Intent
    spent: str


class BaselineReads(TypedDict, total=False):
    """What is known of the judge."""

    task: Required[str]
    run: str
    test_command: str
    tests: Sequence[str]


async def take_snapshot_node(state: SnapshotReads, step: Step) -> SnapshotWrites:
    """Copy the repository as it is now, and fill in what the caller left open."""
    given = given_of(state)
    repo = Path(await aiofiles.os.path.abspath(given.repo or "."))
    snapshot = await take_snapshot(repo, step.scope.trees)
    step.emit(SnapshotTaken(files=len(snapshot.files), repository=snapshot.is_repository, dirty=snapshot.dirty))
    if not snapshot.is_repository:
        step.note(f"{repo} is no git repository: its files were copied, and the patch applies to the folder itself")
    for skipped in snapshot.skipped[:5]:
        step.note(f"left out of the snapshot: {skipped.path} ({skipped.reason})")
    return {
        "run": step.scope.run,
        "repo": str(repo),
        "candidates": given.candidates,
        "repairs": given.repairs,
        "rounds": given.rounds,
        "approve": tuple(given.approve),
    }


async def run_baseline_node(state: BaselineReads, step: Step) -> BaselineWrites:
    """Find the judge's tests and run them on the untouched snapshot."""
    snapshot = await snapshot_of(step.scope)
    given = await _given(step, state.get("tests", ()), snapshot.repo)
    plan = await _plan(step, snapshot, state.get("test_command", ""), given)
    if plan is None:
        step.note("no tests were given or found; the result can only be checked by tests written here")
        return {"baseline": Baseline(judge="none")}
    if plan.note:
        step.note(plan.note)
    files = await judge_files(snapshot, given, plan.command)
    report = await try_tests(step, untouched(_STEP, "judge", snapshot, plan, files))
    if why := await _explained(step, report, plan, snapshot):
        step.note(why)
    return {"baseline": await _kept(step, plan, report, given)}


async def _kept(step: Step, plan: TestPlan, report: TestReport, given: Mapping[str, bytes]) -> Baseline:
    blobs = step.scope.blobs
    return Baseline(
        judge=plan.judge,
        plan=await keep_plan(blobs, plan),
        report=await keep_report(blobs, report),
        command=plan.command,
        given=tuple([FileRef(path, await blobs.put(content)) for path, content in given.items()]),
    )


async def _plan(step: Step, snapshot: Snapshot, command: str, given: Mapping[str, bytes]) -> TestPlan | None:
    request = {"command": command, "given": sorted(given), "tree": tree_sha(snapshot)}
    return await find_plan(step.scope, _STEP, request, lambda: plan_tests(snapshot, test_command=command, tests=given))


async def _explained(step: Step, report: TestReport, plan: TestPlan, snapshot: Snapshot) -> str:
    """What kept the tests from running; recorded, since the advice looks at this machine's interpreters."""

    async def make() -> bytes:
        return explained(report, plan, snapshot.files).encode("utf-8", "surrogatepass")

    if not report.red and report.crashed is None:
        return ""
    answer = await recorded(step.scope, _STEP, "advice", {"red": sorted(report.red)}, make)
    return answer.content.decode("utf-8", "surrogatepass")


async def _given(step: Step, tests: Sequence[str], repo: Path) -> dict[str, bytes]:
    """The user's test files by their place in the tree, as they were when this step read them first."""

    async def make() -> bytes:
        read = await _read(tests, repo)
        return json.dumps({path: base64.b64encode(content).decode() for path, content in read.items()}).encode()

    if not tests:
        return {}
    answer = await recorded(step.scope, _STEP, "given", {"tests": list(tests)}, make)
    return {path: base64.b64decode(content) for path, content in json.loads(answer.content).items()}


async def _read(tests: Sequence[str], repo: Path) -> dict[str, bytes]:
    """The user's test files by their place in the tree: where they are in the repository, else at its root.

    Those that a batch wrote for its job are the latter, also where the batch's folder lies in the repository.
    """
    given: dict[str, bytes] = {}
    for name in tests:
        path = await asyncio.to_thread(Path(name).resolve)  # as the snapshot's own place is: links followed
        own = path.is_relative_to(repo) and not await asyncio.to_thread(is_result, path, repo)
        inside = path.relative_to(repo) if own else Path(path.name)
        given[inside.as_posix()] = await asyncio.to_thread(path.read_bytes)
    return given
