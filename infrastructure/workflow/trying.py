"""How a step uses a tool: asked once, recorded, and taken from the record when the step runs again.

Owns what counts as the same request. For a test run that is the plan, the tree by its contents, the judge's files, the
limits and the sandbox's level. What is looked up outside the snapshot (an interpreter, a dependency folder, the
user's test files) is recorded as well, since another machine, or the same one tomorrow, would answer otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from agents.model import JsonObject
from infrastructure.judge.discovery import TestPlan, dump_plan, load_plan, plan_probe, plan_written
from infrastructure.judge.probing import Output, dump_outputs, load_outputs, probe
from infrastructure.judge.reports import TestReport, dump_report, load_report
from infrastructure.judge.runner import run_tests
from infrastructure.storage.blobs import sha_of
from infrastructure.workflow.evidence import tests_ran
from infrastructure.workflow.ports import ToolAnswer, ToolKey
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import FileRef
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.trees import Tree

CIRCUMSTANCES = ("limits", "sandbox")
"""What of a request tells how it was carried out, rather than what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """Tests to be run by a step.

    Attributes:
        step: The step's place in the run, the same after a crash (`run_tests:2:1`).
        name: Which of the step's test runs it is.
        suite: Whose tests they are, for the event.
        attempt: Of the candidate; 0 on the untouched snapshot.
        snapshot: What the tree was made from.
        tree: The tree.
        changed: What in it differs from the snapshot.
        plan: What is run.
        files: The judge's files.
        without: Files of the tree that are left out.
        before: Whether the untouched snapshot was seen before, so that a plain command is held to it.
    """

    __test__ = False  # pytest would take the class for tests

    step: str
    name: str
    suite: Literal["judge", "written"]
    attempt: int
    snapshot: Snapshot
    tree: Tree
    plan: TestPlan
    files: Mapping[str, bytes]
    changed: Sequence[FileRef] = ()
    without: Collection[str] = ()
    before: bool = False


def untouched(
    step: str, suite: Literal["judge", "written"], snapshot: Snapshot, plan: TestPlan, files: Mapping[str, bytes]
) -> TestRun:
    """Tests on the snapshot itself, before any change."""
    return TestRun(
        step=step,
        name=suite,
        suite=suite,
        attempt=0,
        snapshot=snapshot,
        tree=Tree(snapshot.root),
        plan=plan,
        files=files,
    )


async def try_tests(step: Step, run: TestRun) -> TestReport:
    """Run tests in the sandbox, or take the report of the very same run of this step; the event is told either way.

    Raises:
        TestCommandNotStarted, SandboxFault, UnsafeCommand: as `run_tests`; nothing is recorded then.
    """
    answer = await _asked(step.scope, run, lambda: _report(step.scope, run))
    report = load_report(answer.content)
    step.emit(tests_ran(report, run.attempt, run.suite, answer.sandbox))
    return report


async def try_untouched_again(step: Step, run: TestRun) -> TestReport:
    """Run tests on the untouched snapshot once more, or take what another candidate's step was told of it.

    It is recorded with each step that asks, so that a replay does not hang on who was the first.

    Raises:
        TestCommandNotStarted, SandboxFault, UnsafeCommand: as `run_tests`; nothing is recorded then.
    """
    again = step.scope.second_baseline
    answer = await _asked(step.scope, run, lambda: again.of(lambda: _report(step.scope, run)))
    return load_report(answer.content)


async def _report(scope: RunScope, run: TestRun) -> bytes:
    report = await run_tests(
        scope.sandbox, run.tree, run.plan, run.files, without=run.without, before=run.before, limits=scope.limits
    )
    return dump_report(report)


async def _asked(scope: RunScope, run: TestRun, make: Callable[[], Awaitable[bytes]]) -> ToolAnswer:
    request: JsonObject = {
        "plan": json.loads(dump_plan(run.plan)),
        "tree": tree_sha(run.snapshot),
        "changed": [[ref.path, ref.sha] for ref in run.changed],
        "files": {path: sha_of(content) for path, content in sorted(run.files.items())},
        "without": sorted(run.without),
        "limits": asdict(scope.limits),
        "sandbox": str(scope.sandbox.level),
    }
    return await recorded(scope, run.step, run.name, request, make, sandbox=str(scope.sandbox.level))


async def find_plan(
    scope: RunScope, step: str, request: JsonObject, find: Callable[[], Awaitable[TestPlan | None]]
) -> TestPlan | None:
    """How tests are run, as this machine has it, or as it had it when this step asked first."""

    async def make() -> bytes:
        plan = await find()
        return b"" if plan is None else dump_plan(plan)

    answer = await recorded(scope, step, "plan", request, make)
    return load_plan(answer.content) if answer.content else None


async def find_written_plan(
    scope: RunScope, step: str, snapshot: Snapshot, tests: Mapping[str, bytes], like: TestPlan | None
) -> TestPlan:
    """How tests that a model wrote are run, on the Python of the judge's plan where there is one."""

    async def make() -> bytes:
        return dump_plan(await plan_written(snapshot, tests, like))

    request: JsonObject = {
        "written": {path: sha_of(content) for path, content in sorted(tests.items())},
        "like": None if like is None else json.loads(dump_plan(like)),
        "tree": tree_sha(snapshot),
    }
    return load_plan((await recorded(scope, step, "plan", request, make)).content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A candidate's tree on which calls are tried.

    Attributes:
        step: The step's place in the run, the same after a crash (`examiner:1`).
        number: The candidate.
        snapshot: What the tree was made from.
        tree: The tree.
        changed: What in it differs from the snapshot.
        plan: On which Python.
    """

    step: str
    number: int
    snapshot: Snapshot
    tree: Tree
    changed: Sequence[FileRef]
    plan: TestPlan


async def try_calls(scope: RunScope, tried: Probe, file: str, calls: Sequence[str]) -> tuple[Output, ...]:
    """Try a candidate on calls in the sandbox, or take what the very same calls of this step gave.

    Raises:
        SandboxFault, UnsafeCommand: as `probe`; nothing is recorded then.
    """
    request: JsonObject = {
        "plan": json.loads(dump_plan(tried.plan)),
        "tree": tree_sha(tried.snapshot),
        "changed": [[ref.path, ref.sha] for ref in tried.changed],
        "file": file,
        "calls": list(calls),
        "limits": asdict(scope.limits),
        "sandbox": str(scope.sandbox.level),
    }

    async def make() -> bytes:
        return dump_outputs(await probe(scope.sandbox, tried.tree, tried.plan, file, calls, limits=scope.limits))

    name = f"calls:{tried.number}"
    answer = await recorded(scope, tried.step, name, request, make, sandbox=str(scope.sandbox.level))
    return load_outputs(answer.content)


async def find_probe_plan(scope: RunScope, step: str, snapshot: Snapshot, like: TestPlan | None) -> TestPlan:
    """On which Python calls are tried: that of the judge's plan where there is one."""

    async def make() -> bytes:
        return dump_plan(await plan_probe(snapshot, like))

    request: JsonObject = {"like": None if like is None else json.loads(dump_plan(like)), "tree": tree_sha(snapshot)}
    return load_plan((await recorded(scope, step, "plan", request, make)).content)


async def recorded(
    scope: RunScope,
    step: str,
    name: str,
    request: JsonObject,
    make: Callable[[], Awaitable[bytes]],
    *,
    sandbox: str = "",
) -> ToolAnswer:
    """What a tool says to a request: from the record where this step has asked it before, else made and recorded."""
    body = json.dumps(request, sort_keys=True).encode("ascii")
    key = ToolKey(step=step, name=name, request_sha=sha_of(body))
    known = await scope.tools.recall(key, body)
    if known is not None:
        return known
    started = datetime.now(UTC)
    content = await make()
    answer = ToolAnswer(content=content, started=started, ended=datetime.now(UTC), sandbox=sandbox)
    await scope.tools.record(key, body, answer)
    return answer


def same_request(left: bytes, right: bytes) -> bool:
    """Whether two requests ask for the same. Limits and level tell how it was carried out, which may change."""
    return asked_for(left) == asked_for(right)


def asked_for(request: bytes) -> Mapping[str, object]:
    """What a request asks for, apart from how it is carried out."""
    fields = cast("dict[str, object]", json.loads(request))
    return {name: value for name, value in fields.items() if name not in CIRCUMSTANCES}


def tree_sha(snapshot: Snapshot) -> str:
    """SHA-256 over the snapshot's files: paths, modes, contents."""
    files = {path: [each.sha256, each.mode] for path, each in snapshot.files.items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode("ascii")).hexdigest()
