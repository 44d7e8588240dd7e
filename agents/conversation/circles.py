"""An agent that goes in circles: the same call with the same result again and again, or two that take turns.

Owns when it is told, and when the turn ends. Pure: it follows from the calls and results of the turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal, TypeAlias

from agents.conversation.history import Done

REPEATED = 3
"""The same call with the same result so often in a row: the agent is told. Once more, and the turn ends."""
ALTERNATED = 6
"""Two calls with the same results in turns, so many calls in all: likewise; two more, and the turn ends."""

Circle: TypeAlias = Literal["", "told", "over"]

TOLD = (
    "You are going in circles: your last calls gave what they gave before. Do not make them again. Do something else,"
    " or say in words what you found and what keeps you from going on."
)
OVER = "the agent made the same calls again and again, with the same results"


def circle(done: Sequence[Done]) -> Circle:
    """Whether the calls of a turn end in a circle, and how long it has gone on."""
    marks = [_mark(each) for each in done]
    repeated, alternated = _repeated(marks), _alternated(marks)
    if repeated > REPEATED or alternated >= ALTERNATED + 2:
        return "over"
    return "told" if repeated == REPEATED or alternated >= ALTERNATED else ""


def _mark(done: Done) -> str:
    said = json.dumps([done.call.name, done.call.arguments, done.result], sort_keys=True, default=str)
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def _repeated(marks: Sequence[str]) -> int:
    length = 0
    while length < len(marks) and marks[-1 - length] == marks[-1]:
        length += 1
    return length


def _alternated(marks: Sequence[str]) -> int:
    """How many calls at the end are A, B, A, B…, with A and B different."""
    if len(marks) < 2 or marks[-1] == marks[-2]:
        return 0
    length = 2
    while length < len(marks) and marks[-1 - length] == marks[1 - length]:
        length += 1
    return length
