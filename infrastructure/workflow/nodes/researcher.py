"""`researcher`: which files matter."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.codegen import RESEARCHER, Intent, Research, ResearcherQuestion
from agents.errors import UnusableAnswer
from infrastructure.events.catalogue import FilesChosen
from infrastructure.workflow.mapping import overview
from infrastructure.workflow.material import (
    FEW_FILES,
    MAPPED_FILES,
    listing,
    named_in,
    readme_head,
    snapshot_of,
)
from infrastructure.workflow.state import ResearcherWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Baseline
from infrastructure.workspace.manifest import Snapshot


class ResearcherReads(TypedDict, total=False):
    """The task and what was understood of it."""

    task: Required[str]
    run: str
    intent: Intent
    baseline: Baseline


async def researcher_node(state: ResearcherReads, step: Step) -> ResearcherWrites:
    """Choose files of the snapshot. Paths that are not in it are dropped: the model may not invent any."""
    snapshot = await snapshot_of(step.scope)
    listed = listing(snapshot)
    if len(listed) <= FEW_FILES:
        research = Research(notes="all of them: there are few", files=[file.path for file in listed])
    else:
        research = await _ask(state, step, snapshot)
    research = research.model_copy(update={"files": [path for path in research.files if path in snapshot.files]})
    step.emit(FilesChosen(files=tuple(research.files)))
    return {"research": research}


async def _ask(state: ResearcherReads, step: Step, snapshot: Snapshot) -> Research:
    summary = state["intent"].summary if "intent" in state else state["task"][:500]
    drawn = await overview(step.scope, snapshot, (state["task"], summary), baseline=state.get("baseline"))
    question = ResearcherQuestion(
        task=state["task"],
        summary=summary,
        listing=listing(snapshot, MAPPED_FILES if drawn.text else None),
        readme=await readme_head(snapshot),
        map=drawn.text,
    )
    try:
        return await RESEARCHER.ask(step.model("researcher", "researcher"), question)
    except UnusableAnswer as problem:
        step.note(f"the choice of files could not be read ({problem.reason}); taking those that the task names")
        return Research(notes="named by the task", files=list(named_in(state["task"], snapshot)))
