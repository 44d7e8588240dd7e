"""`tester`: tests from the plan, before there is code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Required

from typing_extensions import TypedDict

from agents.codegen import TESTER, Intent, Plan, Research, TesterQuestion, TestFramework
from agents.codegen.tester import is_test_path
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import TestsWritten
from infrastructure.judge.discovery import judge_files, plan_written
from infrastructure.judge.runner import run_tests
from infrastructure.workflow.evidence import keep_plan, keep_report, load_plan, tests_ran
from infrastructure.workflow.material import snapshot_of, source_files
from infrastructure.workflow.state import TesterWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Baseline, FileRef, Written
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.trees import Tree


class TesterReads(TypedDict, total=False):
    """The plan and the judge."""

    task: Required[str]
    run: str
    round: int
    intent: Intent
    research: Research
    plan: Required[Plan]
    baseline: Baseline


async def tester_node(state: TesterReads, step: Step) -> TesterWrites:
    """Write tests and run them on the untouched snapshot: only those that are red there can prove a change."""
    if "intent" in state and state["intent"].kind == "tests":
        return {}  # the tests that the task asks for are tried themselves, on the untouched code
    number = state.get("round", 1)
    snapshot = await snapshot_of(step.scope)
    question = await _question(state, step, snapshot)
    try:
        files = await TESTER.ask(step.model("tester", f"tester:{number}"), question)
    except UnusableAnswer as problem:
        step.note(f"no tests could be written ({problem.reason})")
        return {}
    step.emit(TestsWritten(files=tuple(file.path for file in files)))
    contents = {file.path: file.content.encode() for file in files}
    return {"written": await _tried(step, snapshot, number, contents, state.get("baseline"))}


async def _tried(
    step: Step, snapshot: Snapshot, number: int, contents: Mapping[str, bytes], baseline: Baseline | None
) -> Written:
    like = await load_plan(step.scope.blobs, baseline.plan) if baseline is not None and baseline.plan else None
    plan = await plan_written(snapshot, contents, like)
    files = await judge_files(snapshot, contents)
    report = await run_tests(step.scope.sandbox, Tree(snapshot.root), plan, files, limits=step.scope.limits)
    step.emit(tests_ran(report, 0, "written", str(step.scope.sandbox.level)))
    blobs = step.scope.blobs
    return Written(
        round=number,
        files=tuple([FileRef(path, await blobs.put(content)) for path, content in contents.items()]),
        plan=await keep_plan(blobs, plan),
        report=await keep_report(blobs, report),
    )


async def _question(state: TesterReads, step: Step, snapshot: Snapshot) -> TesterQuestion:
    plan = state["plan"]
    chosen = (*plan.files, *(state["research"].files if "research" in state else ()))
    return TesterQuestion(
        task=state["task"],
        plan=plan,
        interfaces=await source_files(snapshot, [path for path in chosen if not is_test_path(path)], step.note),
        framework=await _framework(state, step),
        existing_tests=tuple(path for path in snapshot.files if is_test_path(path))[:100],
    )


async def _framework(state: TesterReads, step: Step) -> TestFramework:
    """What the project's own tests use; unittest where there are none, since every Python has it."""
    baseline = state.get("baseline")
    if baseline is not None and baseline.plan:
        framework = (await load_plan(step.scope.blobs, baseline.plan)).framework
        return "pytest" if framework == "pytest" else "unittest"
    return "unittest"
