"""Handing a turn over: who has it now, by what the session says.

An answer's calls are those of the agent that made it, however many of them are done; then the turn is with the agent to
which the last of them handed it over.

Owns the words of a hand-over's result, out of which it is read again after a crash. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.conversation.history import done_in, open_calls
from agents.conversation.roster import SWITCH_MODE
from agents.conversation.router import AgentRouter
from agents.model import Message

_DONE = "The turn goes on with "


@dataclass(frozen=True, slots=True)
class Handover:
    """To whom, and why."""

    agent: str
    reason: str = ""


def handover_result(handover: Handover) -> str:
    """The result of the call that hands over."""
    return f"{_DONE}{handover.agent}."


def refused_handover(wanted: Handover, agent: str, router: AgentRouter, handovers: int, limit: int) -> str:
    """Why the turn stays where it is; empty where it may go."""
    if wanted.agent not in router:
        return f"There is no agent {wanted.agent[:80]!r}. There are {', '.join(router.names)}."
    if wanted.agent == agent:
        return f"You are {agent} already. Go on yourself."
    if handovers >= limit:
        return f"This turn was handed over {handovers} times, which is the most. Go on yourself, or say what you lack."
    return ""


def handovers_in(messages: Sequence[Message]) -> tuple[Handover, ...]:
    """The hand-overs of the current turn, oldest first."""
    return tuple(
        Handover(str(done.call.arguments.get("agent", "")), str(done.call.arguments.get("reason", "")))
        for done in done_in(messages)
        if done.call.name == SWITCH_MODE and done.result.startswith(_DONE)
    )


def speaker_in(messages: Sequence[Message], written: str) -> str:
    """Who has the turn.

    Args:
        messages: Of the session; a summary may stand for the hand-overs.
        written: Who has it by what was written down when it passed on.
    """
    if open_calls(messages):
        last = max(at for at, message in enumerate(messages) if message.role == "assistant")
        messages = messages[:last]
    done = handovers_in(messages)
    return done[-1].agent if done else written
