"""The gates of runs as approvals: plan, patch and behaviour are rows beside those of tools.

Owns what an answer to a gate means to a run, and the hash of what was shown. Who answers by the approval's id and who
answers the run itself come to the same place: the answer is decided and used in one transaction, then the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from typing_extensions import TypedDict

from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.ids import RunId
from infrastructure.running.errors import RunNotWaiting
from infrastructure.sessions.approvals import (
    Approval,
    ApprovalState,
    Approve,
    Decision,
    DecisionKind,
    Edit,
    Gate,
    Reject,
    Respond,
    StaleApproval,
    sha_of,
)
from infrastructure.sessions.expiring import Work
from infrastructure.sessions.hitl import HITLManager
from infrastructure.sessions.loaded import whole

ALLOWED: Mapping[Gate, tuple[DecisionKind, ...]] = {
    "plan": ("approve", "reject"),
    "patch": ("approve", "reject"),
    "behaviour": ("approve", "respond", "reject"),
}
"""What may be answered at each gate of a run."""


def shown_sha(asked: ApprovalAsked) -> str:
    """The hash of what a person is shown: the plan, the patch, or the question with its answers."""
    return sha_of({"gate": asked.gate, "question": asked.question, "answers": asked.answers})


def decision_of(asked: ApprovalAsked, approved: bool, reason: str) -> Decision:
    """A yes or no to a run as a decision. A yes about behaviour says with its reason which."""
    reason = whole(reason)
    if not approved:
        return Reject(reason)
    return Respond(reason) if asked.gate == "behaviour" and reason.strip() else Approve(reason)


def answer_of(decision: Decision) -> tuple[bool, str]:
    """A decision as the yes or no that a run goes on with, and its reason."""
    match decision:
        case Approve(reason):
            return True, reason
        case Respond(text):
            return True, text
        case Reject(reason):
            return False, reason
        case Edit():
            raise StaleApproval("a gate of a run has no arguments to edit")


class GateGiven(TypedDict):
    """A person's answer as the graph is given it."""

    approved: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """An answer to a gate of a run.

    Attributes:
        approval: The gate's name in the run: `plan:1`, say.
        decide: What the answer means to the question as it is.
        by: Who gave it.
        nonce: Of the question that it answers; None for whatever the run waits with under this name.
    """

    approval: str
    decide: Callable[[ApprovalAsked], Decision]
    by: str = "person"
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class RunGates:
    """What runs ask people, over the manager of approvals."""

    approvals: HITLManager

    async def ask(self, run: RunId, asked: ApprovalAsked, execution: int) -> Approval:
        """Put a run's question; put again, only an answer to it as it is now counts."""
        return await self.approvals.ask_gate(
            run, asked.approval, asked, sha=shown_sha(asked), execution=execution, allowed=ALLOWED[asked.gate]
        )

    def asking(self, run: RunId, asked: ApprovalAsked) -> Work:
        """The work of `ask`, for the transaction that lets the run wait."""
        allowed = ALLOWED[asked.gate]
        return self.approvals.asking_gate(run, asked.approval, asked, sha=shown_sha(asked), allowed=allowed)

    async def given(self, run: RunId, asked: ApprovalAsked) -> GateGiven | None:
        """The answer that a person gave to exactly this question, where it was used and the run did not come to it."""
        row = await self.approvals.find(run, asked.approval)
        if row is None or row.state is not ApprovalState.USED or row.decision is None or row.sha != shown_sha(asked):
            return None
        return _given(row.decision)

    async def answer(self, run: RunId, asked: ApprovalAsked, answer: GateAnswer, execution: int) -> GateGiven:
        """Decide and use the approval of what the run waits with; what the graph goes on with.

        A run of before there were approvals has none yet, and one whose answer was lost with its process has a used
        one: nothing has come of that, so it is asked anew and answered at once.

        Raises:
            RunNotWaiting: the question is another one than was shown.
        """
        decision = answer.decide(asked)
        row = await self.approvals.find(run, asked.approval)
        if answer.nonce is not None and (row is None or row.nonce != answer.nonce):
            raise RunNotWaiting(run, asked.approval)
        if row is None or row.state is not ApprovalState.PENDING:
            row = await self.ask(run, asked, execution)
        try:
            await self.approvals.settle(row, decision, by=answer.by, sha=shown_sha(asked), execution=execution)
        except StaleApproval as error:
            raise RunNotWaiting(run, asked.approval) from error
        return _given(decision)


def _given(decision: Decision) -> GateGiven:
    approved, reason = answer_of(decision)
    return {"approved": approved, "reason": reason}
