"""`write`: the coder answers, first or after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Required

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from agents.answers.changes import Change
from agents.codegen import CODER, CoderQuestion, Diagnosis, EditFormat, Repair, choose_format
from agents.codegen.coder import CodeAnswer
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import EditsRejected
from infrastructure.workflow.evidence import failing_of, shown_tests
from infrastructure.workflow.mapping import interfaces
from infrastructure.workflow.material import snapshot_of, source_files, stored_files
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import CandidateStart, FileRef

REPLY: TypeAdapter[CodeAnswer] = TypeAdapter(tuple[Annotated[Change, Field(union_mode="left_to_right")], ...])
"""The form in which the coder's changes are kept between two steps."""


class WriteReads(TypedDict, total=False):
    """The candidate so far."""

    start: Required[CandidateStart]
    attempt: int
    contents: tuple[FileRef, ...]
    rejected: str
    report: str
    diagnosis: Diagnosis | None
    stuck: str
    malformed: Sequence[EditFormat]
    unseen: Sequence[str]


class WriteWrites(TypedDict):
    """The coder's changes, by their hash in the content store, or why there are none."""

    attempt: int
    reply: str
    rejected: str
    edit_format: EditFormat
    malformed: Sequence[EditFormat]
    shown: Sequence[str]


async def write_node(state: WriteReads, step: Step) -> WriteWrites:
    """Ask the coder. An answer that cannot be read, twice, spends the attempt."""
    start = state["start"]
    attempt = state.get("attempt", 0) + 1
    question = await _question(state, step)
    written: WriteWrites = {
        "attempt": attempt,
        "reply": "",
        "rejected": "",
        "edit_format": question.edit_format,
        "malformed": state.get("malformed", ()),
        "shown": _shown(question),
    }
    try:
        answer = await CODER.ask(step.model("coder", f"write:{start.number}:{attempt}", start.place), question)
    except UnusableAnswer as problem:
        step.emit(EditsRejected(attempt=attempt, reason=problem.reason, malformed_as=question.edit_format))
        written["rejected"] = f"{problem.reason}\n{problem.hint}".strip()
        written["malformed"] = (*written["malformed"], question.edit_format)
        return written
    written["reply"] = await _keep(step, answer)
    return written


async def _question(state: WriteReads, step: Step) -> CoderQuestion:
    start = state["start"]
    snapshot = await snapshot_of(step.scope)
    tests = await shown_tests(step.scope, snapshot, start.baseline, step.note)
    # What an answer was going to replace unseen stands first: what stands before the plan's files is never cut.
    unseen = tuple(state.get("unseen", ()))
    read = await source_files(snapshot, (*unseen, *start.files), step.note)
    files = tuple(file for file in read if file not in tests or file.path in start.plan.files)
    around = await interfaces(step.scope, snapshot, [file.path for file in files])
    planned = tuple(file for file in files if file.path in (*start.plan.files, *unseen)) or files
    return CoderQuestion(
        task=start.task,
        plan=start.plan,
        files=files,
        edit_format=choose_format(planned, step.scope.measured, malformed=state.get("malformed", ())),
        tests=tests,
        variant=start.variant,
        repair=await _repair(state, step),
        interfaces=around.text,
    )


def _shown(question: CoderQuestion) -> tuple[str, ...]:
    """The files whose text the question holds in its whole form; a narrow window may cut those that no plan names."""
    previous = question.repair.previous if question.repair else ()
    return tuple(dict.fromkeys(file.path for file in (*question.files, *question.tests, *previous)))


async def _repair(state: WriteReads, step: Step) -> Repair | None:
    """A rejected answer left the files as they were, so an earlier try's red tests and diagnosis still hold."""
    rejected, report, diagnosis = state.get("rejected", ""), state.get("report", ""), state.get("diagnosis")
    if not rejected and not report:
        return None
    told = [f"Your last answer could not be used: {rejected}"] if rejected else []
    if report and diagnosis is not None:
        told += [diagnosis.cause, diagnosis.fix]
    if stuck := state.get("stuck"):
        told.append(stuck)
    return Repair(
        diagnosis="\n".join(told),
        failing=await failing_of(step.scope, report) if report else "The tests were not run.",
        previous=await stored_files(step.scope, state.get("contents", ()), step.note),
    )


async def _keep(step: Step, answer: CodeAnswer) -> str:
    return await step.scope.blobs.put(REPLY.dump_json(answer))
