"""What flows through the conversation graph: small words and counts. What was said is in the session.

Owns the state and what each node reads and writes of it.
"""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict


class TurnInput(TypedDict, total=False):
    """What a turn begins with. It sets every key, since a session's turns share a thread."""

    session: Required[str]
    turn: Required[str]
    agent: Required[str]
    """Who speaks next."""
    calls: int
    handovers: int
    handed_over: str
    crowded: int
    open: int
    waits: bool
    over: str


class ConversationState(TurnInput, total=False):
    """Everything that the graph knows of a turn."""


class TurnReads(TypedDict, total=False):
    """What every node reads."""

    session: Required[str]
    turn: Required[str]
    agent: Required[str]
    calls: int
    handovers: int
    handed_over: str
    crowded: int


class AgentWrites(TypedDict, total=False):
    """Of an agent that has spoken, or could not."""

    calls: int
    """Answers in this turn so far."""
    crowded: int
    """How often in a row the history did not fit."""
    open: int
    """How many calls wait to be done."""
    over: str
    """Why the turn ends unwell."""


class ToolWrites(TypedDict, total=False):
    """Of calls that were done."""

    waits: bool
    """Whether to look again: somebody has said something."""
    agent: str
    handovers: int
    handed_over: str
    """Why the turn was handed over, for the agent that has it now."""


class SummaryWrites(TypedDict, total=False):
    """Of a summary: nothing, since it is in the session."""


def turn_input(session: str, turn: str, agent: str, calls: int = 0) -> TurnInput:
    """The beginning of a turn, or where it is gone on with after so many answers."""
    return TurnInput(
        session=session,
        turn=turn,
        agent=agent,
        calls=calls,
        handovers=0,
        handed_over="",
        crowded=0,
        open=0,
        waits=False,
        over="",
    )
