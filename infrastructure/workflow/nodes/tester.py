"""`tester`: tests from the plan, before there is code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Required

from typing_extensions import TypedDict

from agents.codegen import TESTER, Intent, Plan, Research, TesterQuestion, TestFramework
from agents.codegen.tester import TO_COMPARE, is_test_path
from agents.errors import UnusableAnswer
from infrastructure.config.settings import Candidates
from infrastructure.events.catalogue import TestsWritten
from infrastructure.judge.discovery import judge_files
from infrastructure.workflow.evidence import contents_of, keep_plan, keep_report, load_plan
from infrastructure.workflow.material import snapshot_of, source_files
from infrastructure.workflow.state import TesterWrites
from infrastructure.workflow.stated import EXAMPLES_TEST, examples_file
from infrastructure.workflow.steps import Step
from infrastructure.workflow.trying import find_written_plan, try_tests, untouched
from infrastructure.workflow.values import Baseline, FileRef, Ruling, Written
from infrastructure.workspace.manifest import Snapshot


class TesterReads(TypedDict, total=False):
    """The plan and the judge."""

    task: Required[str]
    run: str
    round: int
    intent: Intent
    candidates: Candidates
    research: Research
    plan: Required[Plan]
    baseline: Baseline
    ruling: Ruling


async def tester_node(state: TesterReads, step: Step) -> TesterWrites:
    """Write tests and run them on the untouched snapshot: only those that are red there can prove a change."""
    if "intent" in state and state["intent"].kind == "tests":
        return {}  # the tests that the task asks for are tried themselves, on the untouched code
    number = state.get("round", 1)
    snapshot = await snapshot_of(step.scope)
    question = await _question(state, step, snapshot)
    contents = {**await _asked(state, step, question), **await _stated(question), **await _answered(state, step)}
    if not contents:
        return {}
    step.emit(TestsWritten(files=tuple(contents)))
    return {"written": await _tried(step, snapshot, number, contents, state.get("baseline"))}


async def _asked(state: TesterReads, step: Step, question: TesterQuestion) -> dict[str, bytes]:
    try:
        files = await TESTER.ask(step.model("tester", f"tester:{state.get('round', 1)}"), question)
    except UnusableAnswer as problem:
        step.note(f"no tests could be written ({problem.reason})")
        return {}
    return {file.path: file.content.encode() for file in files if file.path != EXAMPLES_TEST}


async def _stated(question: TesterQuestion) -> dict[str, bytes]:
    """The examples that the task states."""
    if EXAMPLES_TEST in question.existing_tests:
        return {}
    text = await asyncio.to_thread(examples_file, question.task, question.interfaces, question.plan.files)
    return {} if text is None else {EXAMPLES_TEST: text.encode()}


async def _answered(state: TesterReads, step: Step) -> dict[str, bytes]:
    """The test that a person's answer became in an earlier round: it is kept with the written ones."""
    test = state["ruling"].test if "ruling" in state else None
    return {} if test is None else await contents_of(step.scope, [test])


async def _tried(
    step: Step, snapshot: Snapshot, number: int, contents: Mapping[str, bytes], baseline: Baseline | None
) -> Written:
    like = await load_plan(step.scope.blobs, baseline.plan) if baseline is not None and baseline.plan else None
    place = f"tester:{number}"
    plan = await find_written_plan(step.scope, place, snapshot, contents, like)
    files = await judge_files(snapshot, contents)
    report = await try_tests(step, untouched(place, "written", snapshot, plan, files))
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
        at_least=0 if _is_judged(state) or state.get("candidates", 1) == 1 else TO_COMPARE,
    )


def _is_judged(state: TesterReads) -> bool:
    """Whether tests that were given tell solutions apart."""
    return "baseline" in state and bool(state["baseline"].plan)


async def _framework(state: TesterReads, step: Step) -> TestFramework:
    """What the project's own tests use; unittest where there are none, since every Python has it."""
    baseline = state.get("baseline")
    if baseline is not None and baseline.plan:
        framework = (await load_plan(step.scope.blobs, baseline.plan)).framework
        return "pytest" if framework == "pytest" else "unittest"
    return "unittest"
