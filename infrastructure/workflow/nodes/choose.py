"""`choose`: the best candidate so far; where only written tests can tell, after comparing the round's candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Required

from typing_extensions import TypedDict

from agents.codegen import Intent
from infrastructure.config.settings import Candidates
from infrastructure.events.catalogue import CandidatesCompared, PatchChosen
from infrastructure.workflow.comparing import Comparison, compare, demoted, settle
from infrastructure.workflow.routing import best
from infrastructure.workflow.state import ChooseWrites, by_number
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate, Examined, Ruling, Split, Written


class ChooseReads(TypedDict, total=False):
    """All candidates of all rounds, and what is known of this round's."""

    task: Required[str]
    run: str
    round: int
    candidates: Candidates
    intent: Intent
    written: Written
    tried: tuple[Candidate, ...]
    examined: Examined
    ruling: Ruling


async def choose_node(state: ChooseReads, step: Step) -> ChooseWrites:
    """Take the best by what the tests said; note a spent budget, so that the run goes to its end."""
    spent: ChooseWrites = {"spent": step.scope.budget.spent} if step.scope.budget.spent else {}
    comparison = await _compared(state, step)
    ended: tuple[Candidate, ...] = ()
    if comparison is not None:
        look = looks_at(comparison, state, may_ask=step.scope.may_ask)
        if look and not (look == "examiner" and spent):
            return {**spent, "look": look, **_split(comparison, look)}
        taken = settle(comparison)
        ended = (taken, *demoted(comparison, taken))
        step.emit(_told(comparison, taken))
    chosen = best(in_the_running(state.get("tried", ()), comparison, ended))
    if chosen is None:
        return {**spent, "look": ""}
    step.emit(PatchChosen(status=chosen.outcome, reason=chosen.reason))
    return {**spent, "look": "", "chosen": chosen, "tried": ended}


def in_the_running(
    tried: Sequence[Candidate], comparison: Comparison | None, ended: Sequence[Candidate]
) -> tuple[Candidate, ...]:
    """Who may be the best: of those that were compared only the one that was taken, whatever is red in others."""
    compared = frozenset[int]() if comparison is None else frozenset(comparison.contenders)
    out = compared - {each.number for each in ended[:1]}
    return tuple(each for each in by_number(tried, ended) if each.number not in out)


async def _compared(state: ChooseReads, step: Step) -> Comparison | None:
    """Nothing to compare where one candidate was asked for, or tests: those are tried on the untouched code."""
    asked_for_tests = "intent" in state and state["intent"].kind == "tests"
    if state.get("candidates", 1) == 1 or asked_for_tests:
        return None
    number = state.get("round", 1)
    written, examined = state.get("written"), state.get("examined")
    return await compare(
        step.scope.blobs,
        [each for each in state.get("tried", ()) if each.round == number],
        written=written if written is not None and written.round == number else None,
        examined=examined if examined is not None and examined.round == number else None,
        ruling=state.get("ruling"),
    )


def looks_at(comparison: Comparison, state: ChooseReads, *, may_ask: bool) -> Literal["", "examiner", "ask_which"]:
    """What would tell more before one is taken: first what they do on common inputs, then one question, once a run."""
    if comparison.settled:
        return ""
    if comparison.examined is None:
        return "examiner"
    split = comparison.agreement is not None and comparison.agreement.split
    return "ask_which" if may_ask and split and comparison.telling and "ruling" not in state else ""


def _split(comparison: Comparison, look: str) -> ChooseWrites:
    if look != "ask_which" or comparison.examined is None:
        return {}
    call = comparison.telling[0]
    examined = comparison.examined
    return {"split": Split(examined.round, examined.file, call, comparison.answers(call))}


def _told(comparison: Comparison, taken: Candidate) -> CandidatesCompared:
    agreement = comparison.agreement
    groups = () if agreement is None else agreement.groups
    return CandidatesCompared(
        chosen=taken.number,
        groups=tuple(group.members for group in groups),
        kept=() if agreement is None else agreement.kept,
        dropped=() if agreement is None else agreement.dropped,
        sure=0.0 if agreement is None else round(agreement.sure, 3),
        split=agreement is not None and agreement.split,
        inputs=len(comparison.examined.calls) if comparison.examined is not None and comparison.outputs else 0,
        telling=comparison.telling,
    )
