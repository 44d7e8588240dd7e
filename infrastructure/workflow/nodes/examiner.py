"""`examiner`: inputs from the plan, and what each candidate gives for them."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import EXAMINER, Examination, ExaminerQuestion, Plan, Research, is_test_path
from agents.errors import UnusableAnswer
from infrastructure.judge.discovery import TestPlan
from infrastructure.judge.probing import dump_outputs
from infrastructure.workflow.evidence import load_plan
from infrastructure.workflow.material import snapshot_of, source_files
from infrastructure.workflow.state import ExaminerWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.trial import candidate_tree
from infrastructure.workflow.trying import Probe, find_probe_plan, try_calls
from infrastructure.workflow.values import Baseline, Candidate, Examined, Observed, Outcome
from infrastructure.workspace.manifest import Snapshot


class ExaminerReads(TypedDict, total=False):
    """The plan, the judge's Python, and the candidates."""

    task: Required[str]
    run: str
    round: int
    plan: Required[Plan]
    research: Research
    baseline: Baseline
    tried: tuple[Candidate, ...]


async def examiner_node(state: ExaminerReads, step: Step) -> ExaminerWrites:
    """Ask for inputs, and try every candidate of the round on them. What is no Python cannot be tried."""
    number = state.get("round", 1)
    snapshot = await snapshot_of(step.scope)
    candidates = [each for each in state.get("tried", ()) if each.round == number and each.patch]
    if not any(ref.path.endswith(".py") for each in candidates for ref in each.files):
        step.note("the candidates were not tried on inputs: no Python file is changed")
        return {"examined": Examined(number)}
    try:
        asked = await EXAMINER.ask(step.model("examiner", f"examiner:{number}"), await _question(state, step, snapshot))
    except UnusableAnswer as problem:
        step.note(f"the candidates were not tried on inputs ({problem.reason})")
        return {"examined": Examined(number)}
    return {"examined": await _tried(state, step, snapshot, asked, candidates)}


async def _tried(
    state: ExaminerReads, step: Step, snapshot: Snapshot, asked: Examination, candidates: list[Candidate]
) -> Examined:
    scope, place, like = step.scope, f"examiner:{state.get('round', 1)}", await _like(state, step)
    plan = await find_probe_plan(scope, place, snapshot, like)
    observed: list[Observed] = []
    for each in candidates:
        if each.outcome is Outcome.LOST:
            continue
        async with candidate_tree(scope, snapshot, each.number, each.files) as tree:
            tried = Probe(step=place, number=each.number, snapshot=snapshot, tree=tree, changed=each.files, plan=plan)
            outputs = await try_calls(scope, tried, asked.file, asked.calls)
        if any(output.gave for output in outputs):
            observed.append(Observed(each.number, await scope.blobs.put(dump_outputs(outputs))))
    if not observed:
        step.note(f"the candidates were not compared by inputs: none gives a value for any call in {asked.file}")
    return Examined(state.get("round", 1), asked.file, tuple(asked.calls), tuple(observed))


async def _like(state: ExaminerReads, step: Step) -> TestPlan | None:
    baseline = state.get("baseline")
    return await load_plan(step.scope.blobs, baseline.plan) if baseline is not None and baseline.plan else None


async def _question(state: ExaminerReads, step: Step, snapshot: Snapshot) -> ExaminerQuestion:
    plan = state["plan"]
    chosen = (*plan.files, *(state["research"].files if "research" in state else ()))
    files = await source_files(snapshot, [path for path in chosen if not is_test_path(path)], step.note)
    return ExaminerQuestion(task=state["task"], plan=plan, interfaces=files)
