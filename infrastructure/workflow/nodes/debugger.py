"""`debugger`: why the candidate's tests fail, and what to change."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import DEBUGGER, DebuggerQuestion, Diagnosis
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import DiagnosisMade
from infrastructure.workflow.evidence import failing_of
from infrastructure.workflow.material import stored_files
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import CandidateStart, FileRef


class DebuggerReads(TypedDict, total=False):
    """The red candidate."""

    start: Required[CandidateStart]
    attempt: int
    contents: tuple[FileRef, ...]
    report: str
    reason: str
    stuck: str


class DebuggerWrites(TypedDict):
    """The diagnosis; None when the model gave none."""

    diagnosis: Diagnosis | None


async def debugger_node(state: DebuggerReads, step: Step) -> DebuggerWrites:
    """Ask why. Without an answer the failing tests themselves must do."""
    start, attempt = state["start"], state.get("attempt", 1)
    failing = await failing_of(step.scope, state.get("report", ""))
    question = DebuggerQuestion(
        task=start.task,
        plan=start.plan,
        failing="\n".join(filter(None, (state.get("stuck"), failing or state.get("reason", "")))),
        files=await stored_files(step.scope, state.get("contents", ()), step.note),
    )
    try:
        diagnosis = await DEBUGGER.ask(
            step.model("debugger", f"debugger:{start.number}:{attempt}", start.place), question
        )
    except UnusableAnswer as problem:
        step.note(f"the diagnosis could not be read ({problem.reason}); repairing by the failing tests alone")
        return {"diagnosis": None}
    step.emit(DiagnosisMade(attempt=attempt, cause=diagnosis.cause, fix=diagnosis.fix))
    return {"diagnosis": diagnosis}
