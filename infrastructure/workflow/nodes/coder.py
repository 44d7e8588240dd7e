"""`coder`: one candidate, run as a subgraph of its own, in a race with the others of its plan."""

from __future__ import annotations

from typing import Protocol, cast

from infrastructure.events.catalogue import CandidateEnded, CandidateStarted
from infrastructure.workflow.race import PASSED_FIRST, Lost
from infrastructure.workflow.state import CandidateState, CoderWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import Candidate, CandidateStart, Outcome


class CandidateGraph(Protocol):
    """The compiled subgraph of one candidate."""

    async def ainvoke(self, state: CandidateState, /) -> object:
        """Run it to its end; the last state."""
        ...


class CoderNode:
    """The node function, bound to the compiled subgraph."""

    def __init__(self, candidate: CandidateGraph) -> None:
        self._candidate = candidate

    async def __call__(self, start: CandidateStart, step: Step) -> CoderWrites:
        """Run the candidate. Losing the race is a value; any other cancellation goes on up."""
        step.emit(CandidateStarted())
        race = step.scope.race
        final = await race.run(start.place, self._run(start))
        if isinstance(final, Lost):
            ended = _lost(start, final.reason)
        else:
            ended = _candidate(start, final)
            if ended.outcome is Outcome.DONE and not race.won(start.round, start.number):
                ended = _lost(start, PASSED_FIRST)
        step.emit(
            CandidateEnded(outcome=ended.outcome, attempts=ended.attempts, reason=ended.reason, patch=ended.patch)
        )
        return {"tried": (ended,)}

    async def _run(self, start: CandidateStart) -> CandidateState:
        return cast("CandidateState", await self._candidate.ainvoke({"start": start}))


def _lost(start: CandidateStart, reason: str) -> Candidate:
    return Candidate(start.number, start.round, Outcome.LOST, reason, 0)


def _candidate(start: CandidateStart, final: CandidateState) -> Candidate:
    return Candidate(
        number=start.number,
        round=start.round,
        outcome=Outcome(final.get("outcome") or "failed"),
        reason=final.get("reason", "") or "it was not finished",
        attempts=final.get("attempt", 0),
        files=final.get("contents", ()),
        patch=final.get("patch", ""),
        report=final.get("report", ""),
        failing=final.get("failing", 0),
        judge=final.get("judge", "none"),
        written_report=final.get("written_report", ""),
        judge_report=final["kept"].judge_report if "kept" in final else "",
    )
