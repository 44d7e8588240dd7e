"""The steps of a run that asked a model or a tool, by what was recorded. Pure.

Owns their names as a person is shown them, and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge

from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.recordings import RecordedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStep:
    """A step of a run that asked for something: when it first did, and what of whom."""

    step: str
    began: datetime
    asked: tuple[str, ...]
    """The roles and tools, in the order of their questions."""
    tokens: int = 0
    seconds: float = 0.0


def steps_of(calls: Sequence[RecordedCall], tools: Sequence[RecordedTool]) -> tuple[RecordedStep, ...]:
    """The steps of a run that asked a model or a tool, in the order in which they were first answered.

    Both come in the order they were recorded, which stays: a clock that was put back only moves one against the other.
    """
    steps: dict[str, RecordedStep] = {}
    for each in merge(calls, tools, key=lambda used: used.ended):
        who = each.role if isinstance(each, RecordedCall) else each.name
        tokens = each.prompt_tokens + each.completion_tokens if isinstance(each, RecordedCall) else 0
        known = steps.get(each.step) or RecordedStep(step=each.step, began=each.started, asked=())
        steps[each.step] = replace(
            known,
            asked=(*known.asked, who),
            tokens=known.tokens + tokens,
            seconds=known.seconds + (each.ended - each.started).total_seconds(),
        )
    return tuple(steps.values())
