"""`ask_which`: one question to a person, where candidates stay split: what should this call give?"""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

from agents.answers.asserting import answered_test, typed_answer
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.workflow.nodes.gates import Decision, decided
from infrastructure.workflow.state import WhichWrites
from infrastructure.workflow.steps import Step
from infrastructure.workflow.values import FileRef, Ruling, Split

NAME = "ask_which"
"""The node's name in the graph."""
ANSWERED_TEST = "test_answered_by_a_person.py"
"""Where the test lies that an answer becomes: at the root, from which the project's modules are found."""


class WhichReads(TypedDict, total=False):
    """What the candidates are split about."""

    task: Required[str]
    run: str
    round: int
    split: Required[Split]


async def ask_which_node(state: WhichReads, step: Step) -> WhichWrites:
    """Ask, where somebody may be asked."""
    split = state["split"]
    if not step.scope.may_ask:
        return {}
    approval = f"behaviour:{split.round}"
    question = f"The candidates are split. What should {split.call} give?"
    asked = ApprovalAsked(approval=approval, gate="behaviour", question=question, answers=split.answers)
    answer = answer_of(decided(step, asked), split.answers)
    return {"ruling": Ruling(split.round, split.file, split.call, answer, await _kept(step, split, answer))}


def answer_of(decision: Decision, answers: tuple[str, ...]) -> str:
    """What a person said: one of the answers, or one of their own; empty for none of them.

    A yes without a word is a yes to the first, which is the likeliest.
    """
    said = decision.reason.strip()
    if decision.approved and not said:
        return answers[0]
    return said if said in answers else typed_answer(said) or ""


async def _kept(step: Step, split: Split, answer: str) -> FileRef | None:
    text = answered_test(split.file, split.call, answer) if answer else None
    return None if text is None else FileRef(ANSWERED_TEST, await step.scope.blobs.put(text.encode()))
