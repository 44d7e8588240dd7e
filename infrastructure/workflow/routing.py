"""Which way a run goes. Pure functions from the state to the name of the next node; no awaits, no world.

Each router is a question (`after_choose`: what comes after choosing?) and returns a `Literal` of node names, so a
picture of the graph shows every arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from langgraph.types import Send

from infrastructure.workflow.state import CandidateState, CodegenState
from infrastructure.workflow.stuck import gives_up
from infrastructure.workflow.values import Candidate, CandidateStart, Outcome

AUTO_CANDIDATES = 4
"""How many candidates `auto` tries at most, where nothing is known of the model. The first runs in any case, each other
one if a slot is idle for it."""
MOST_AUTO_CANDIDATES = 8
"""However many calls at once a model's servers bear."""

_GOOD = frozenset({Outcome.DONE, Outcome.UNVERIFIED})
_RANK = {Outcome.DONE: 0, Outcome.UNVERIFIED: 1, Outcome.FAILED: 2, Outcome.LOST: 3}


def after_intent(state: CodegenState) -> Literal["responder", "run_baseline"]:
    """A question is answered; everything else is worked on."""
    intent = state.get("intent")
    return "responder" if intent is not None and intent.kind == "question" else "run_baseline"


def after_responder(state: CodegenState) -> Literal["deliver", "__end__"]:
    """An answer is the end; without one, for want of budget, the run ends as others do."""
    return "__end__" if state.get("status") else "deliver"


def after_planner(state: CodegenState) -> Literal["approve_plan", "tester"]:
    """A person looks at the plan only where that was asked for."""
    return "approve_plan" if "plan" in state.get("approve", ()) and "plan" in state else "tester"


def after_approve_plan(state: CodegenState) -> Literal["tester", "deliver"]:
    """A plan that was turned down ends the run."""
    return "deliver" if state.get("declined") else "tester"


def after_tester(state: CodegenState) -> list[Send] | Literal["choose"]:
    """One `Send` for each candidate; none without a plan, which a spent budget leaves out."""
    plan, intent, baseline = state.get("plan"), state.get("intent"), state.get("baseline")
    if plan is None or intent is None or baseline is None:
        return "choose"
    written = state.get("written")
    current = state.get("round", 1)
    first = 1 + len(state.get("tried", ()))
    research = state.get("research")
    wanted = state.get("candidates", 1)
    return [
        Send(
            "coder",
            CandidateStart(
                task=state["task"],
                kind="tests" if intent.kind == "tests" else "code",
                run=state.get("run", ""),
                repo=state.get("repo", ""),
                number=first + variant,
                variant=variant,
                round=current,
                plan=plan,
                files=_unique((*plan.files, *(research.files if research else ()))),
                baseline=baseline,
                written=written if written is not None and written.round == current else None,
                repairs=state.get("repairs", 0),
                compared=wanted != 1,
                optional=wanted == "auto",
            ),
        )
        for variant in range(_auto(state.get("at_once", 0)) if wanted == "auto" else wanted)
    ]


def after_choose(
    state: CodegenState,
) -> Literal["examiner", "ask_which", "reviewer", "reflector", "approve_patch", "deliver"]:
    """Split is looked into. Good goes to review, once; red back to planning while rounds and budget are left."""
    look = state.get("look")
    if look:
        return look
    chosen = state.get("chosen")
    if chosen is not None and chosen.outcome in _GOOD:
        reviewed = state.get("objected") or state.get("spent")
        return _gate_or_deliver(state) if reviewed else "reviewer"
    if state.get("spent"):
        return "deliver"
    return "reflector" if state.get("round", 1) < state.get("rounds", 1) else "deliver"


def after_reviewer(state: CodegenState) -> Literal["reflector", "approve_patch", "deliver"]:
    """An objection goes to the reflector once, while a round is left."""
    if state.get("objected") and state.get("round", 1) < state.get("rounds", 1):
        return "reflector"
    return _gate_or_deliver(state)


def after_write(state: CandidateState) -> Literal["apply", "__end__"]:
    """Where the budget did not suffice for an answer, the candidate ends as the last attempt left it."""
    return "__end__" if state.get("spent") else "apply"


def after_apply(state: CandidateState) -> Literal["run_tests", "write", "__end__"]:
    """An answer that could not be used is asked for again while tries are left; one that leads in a circle, once."""
    if not state.get("rejected"):
        return "run_tests"
    return "write" if _tries_left(state) else "__end__"


def after_tests(state: CandidateState) -> Literal["debugger", "write", "__end__"]:
    """Red is diagnosed while tries are left, not in circles, and while other code could turn it green.

    What a repair broke is known and undone: the coder is told, and the diagnosis of before holds.
    """
    red = state.get("outcome", "") == "failed" and state.get("repairable", True)
    if not red or not _tries_left(state):
        return "__end__"
    return "write" if state.get("rejected") else "debugger"


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best so far: by outcome, then fewest red tests, then the later round, then the lower number."""
    ended = [each for each in candidates if each.outcome is not Outcome.LOST]
    return min(ended, key=lambda each: (_RANK[each.outcome], each.failing, -each.round, each.number), default=None)


def _auto(at_once: int) -> int:
    return min(MOST_AUTO_CANDIDATES, at_once) if at_once > 0 else AUTO_CANDIDATES


def _gate_or_deliver(state: CodegenState) -> Literal["approve_patch", "deliver"]:
    return "approve_patch" if "patch" in state.get("approve", ()) else "deliver"


def _tries_left(state: CandidateState) -> bool:
    if state.get("spent") or gives_up(state.get("repeated", 0), state.get("unchanged", 0)):
        return False
    return state.get("attempt", 1) <= state["start"].repairs


def _unique(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))
