"""`responder`: a question answered in words."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import RESPONDER, ResponderQuestion
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import AnswerGiven
from infrastructure.workflow.material import listing, named_in, snapshot_of, source_files
from infrastructure.workflow.state import ResponderWrites
from infrastructure.workflow.steps import Step


class ResponderReads(TypedDict, total=False):
    """The question."""

    task: Required[str]
    run: str


async def responder_node(state: ResponderReads, step: Step) -> ResponderWrites:
    """Answer from what the model knows, the listing, and the files that the question names."""
    snapshot = await snapshot_of(step.scope)
    files = await source_files(snapshot, named_in(state["task"], snapshot), step.note)
    question = ResponderQuestion(task=state["task"], listing=listing(snapshot), files=files)
    try:
        answer = await RESPONDER.ask(step.model("responder", "responder"), question)
    except UnusableAnswer as problem:
        return {"answer": "", "status": "failed", "judge": "none", "reason": f"no usable answer: {problem.reason}"}
    step.emit(AnswerGiven(text=answer))
    return {"answer": answer, "status": "done", "judge": "none", "reason": "a question was answered"}
