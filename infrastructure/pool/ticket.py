"""A call as the scheduler sees it.

Owns what is remembered of one call from its first wait to its end, and the slot it may hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.states import CALL_STEPS, SLOT_STEPS, BadTransition, CallState, SlotState

if TYPE_CHECKING:
    from infrastructure.pool.affinity import Conversation
    from infrastructure.pool.calls import Call
    from infrastructure.pool.fairness import Account
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.line import Line
    from infrastructure.pool.server_state import Berth


@dataclass(slots=True, eq=False)
class Slot:
    """One parallel place for a lane on a server."""

    server: str
    lane: Lane
    berth: Berth
    state: SlotState = SlotState.FREE
    ticket: Ticket | None = None
    """The call in it; a cancelling slot keeps none of a call that was pre-empted, since that one moves on."""

    def become(self, state: SlotState) -> None:
        """Change the state, along the table only."""
        if state not in SLOT_STEPS[self.state]:
            raise BadTransition(self.state, state)
        self.state = state


@dataclass(slots=True, eq=False, kw_only=True)
class Ticket:
    """One call. Numbers are given in order of arrival and kept when the call is queued again."""

    number: int
    lane: Lane
    call: Call
    account: Account
    """What its client has had, in its band."""
    enqueued_at: float
    expires_at: float
    """When it is given up if it still waits: its deadline or the queue limit, whichever is first."""
    state: CallState = CallState.QUEUED
    conversation: Conversation | None = None
    """Its lane and prefix, where it has one."""
    slot: Slot | None = None
    line: Line | None = None
    """Where it waits."""
    excluded: frozenset[str] = frozenset()
    """Servers that have failed it."""
    begun: bool = False
    """Whether the caller has had a part of the answer: then it can no longer move."""
    attempts: int = 0
    prompt_tokens: int = 0
    """How long the prompt is thought to be."""
    read: bool = False
    """Whether its caller reads the answer as it comes."""
    embeds: bool = False
    """Whether it wants vectors, which servers make one call at a time."""
    owner: str | None = None
    """The server that has the beginning of its prompt in its cache, as known while it waits."""
    charged: float = 0
    """Weighted tokens that its client was charged for the slot."""
    beside: int = 0
    """Calls of its lane that were in flight there when it got its slot."""
    placed_at: float = 0
    """When it got its slot."""
    overlaps: tuple[float, ...] = ()
    """Of each call that has ended beside it: how long both were being answered, in seconds; below zero: this one was
    not yet, and had been there for so long."""
    loads: bool = False
    """Whether it was sent where its model has to be loaded first."""
    first_byte_at: float | None = None
    """Of this attempt."""
    queued_since: float = 0
    queued_seconds: float = 0
    """In the queue, all waits together."""

    def become(self, state: CallState) -> None:
        """Change the state, along the table only."""
        if state not in CALL_STEPS[self.state]:
            raise BadTransition(self.state, state)
        self.state = state

    def twin(self, number: int) -> Ticket:
        """Another ticket for the same call, as it was when it came."""
        return Ticket(
            number=number,
            lane=self.lane,
            call=self.call,
            account=self.account,
            conversation=self.conversation,
            enqueued_at=self.enqueued_at,
            expires_at=self.expires_at,
            prompt_tokens=self.prompt_tokens,
            embeds=self.embeds,
        )


def number_of(ticket: Ticket) -> int:
    """The key of the order of arrival."""
    return ticket.number
