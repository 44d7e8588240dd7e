"""`intent`: what the task asks for."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import INTENT, Intent, IntentQuestion
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import IntentRead
from infrastructure.workflow.material import listing, snapshot_of
from infrastructure.workflow.state import IntentWrites
from infrastructure.workflow.steps import Step


class IntentReads(TypedDict, total=False):
    """The task, as it was given."""

    task: Required[str]
    run: str


async def intent_node(state: IntentReads, step: Step) -> IntentWrites:
    """Ask what is wanted. A model that cannot say is taken to be asked for code: the commonest case."""
    snapshot = await snapshot_of(step.scope)
    question = IntentQuestion(task=state["task"], listing=listing(snapshot))
    try:
        intent = await INTENT.ask(step.model("intent", "intent"), question)
    except UnusableAnswer as problem:
        step.note(f"the intent could not be read ({problem.reason}); going on as a code task")
        intent = Intent(summary=state["task"][:500], kind="code")
    step.emit(IntentRead(intent=intent.kind, summary=intent.summary))
    return {"intent": intent}
