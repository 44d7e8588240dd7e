"""A call as the scheduler sees it.

Owns what is remembered of one call from its first wait to its end, and the slot it may hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import CALL_STEPS, SLOT_STEPS, BadTransition, CallState, SlotState

if TYPE_CHECKING:
    from infrastructure.pool.affinity import Conversation
    from infrastructure.pool.calls import Call
    from infrastructure.pool.fairness import Account
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.line import Line
    from infrastructure.pool.server_state import Berth


_QUEUED = CallState.QUEUED


class Slot:
    """One parallel place for a lane on a server."""

    __slots__ = ("berth", "lane", "server", "state", "ticket")

    def __init__(self, server: str, lane: Lane, berth: Berth) -> None:
        self.server = server
        self.lane = lane
        self.berth = berth
        self.state = SlotState.FREE
        self.ticket: Ticket | None = None
        """The call in it; a cancelling slot keeps none of a call that was pre-empted, since that one moves on."""

    def become(self, state: SlotState) -> None:
        """Change the state, along the table only."""
        if state not in SLOT_STEPS[self.state]:
            raise BadTransition(self.state, state)
        self.state = state


class Ticket:
    """One call. Numbers are given in order of arrival and kept when the call is queued again."""

    __slots__ = (
        "account",
        "attempts",
        "begun",
        "beside",
        "call",
        "charged",
        "conversation",
        "embeds",
        "enqueued_at",
        "excluded",
        "expires_at",
        "first_byte_at",
        "lane",
        "line",
        "loads",
        "number",
        "overlaps",
        "owner",
        "placed_at",
        "prompt_tokens",
        "queued_seconds",
        "queued_since",
        "read",
        "slot",
        "state",
        "uncached",
    )

    def __init__(
        self,
        *,
        number: int,
        lane: Lane,
        call: Call,
        account: Account,
        enqueued_at: float,
        expires_at: float,
        conversation: Conversation | None = None,
        excluded: frozenset[str] = frozenset(),
        prompt_tokens: int = 0,
        read: bool = False,
        embeds: bool = False,
        queued_since: float = 0.0,
    ) -> None:
        self.number = number
        self.lane = lane
        self.call = call
        self.account = account
        """What its client has had, in its band."""
        self.enqueued_at = enqueued_at
        self.expires_at = expires_at
        """When it is given up if it still waits: its deadline or the queue limit, whichever is first."""
        self.state = _QUEUED
        self.conversation = conversation
        """Its lane and prefix, where it has one."""
        self.slot: Slot | None = None
        self.line: Line | None = None
        """Where it waits."""
        self.excluded = excluded
        """Servers that have failed it."""
        self.begun = False
        """Whether the caller has had a part of the answer: then it can no longer move."""
        self.attempts = 0
        self.prompt_tokens = prompt_tokens
        """How long the prompt is thought to be."""
        self.uncached = 0
        """Of a guess that has a slot: so much of its prompt was thought to be in no cache there."""
        self.read = read
        """Whether its caller reads the answer as it comes."""
        self.embeds = embeds
        """Whether it wants vectors, which servers make one call at a time."""
        self.owner: str | None = None
        """The server that has the beginning of its prompt in its cache, as known while it waits."""
        self.charged = 0.0
        """Weighted tokens that its client was charged for the slot."""
        self.beside = 0
        """Calls of its lane that were in flight there when it got its slot."""
        self.placed_at = 0.0
        """When it got its slot."""
        self.overlaps: tuple[float, ...] = ()
        """Of each call that has ended beside it: how long both were being answered, in seconds; below zero: this one
        was not yet, and had been there for so long."""
        self.loads = False
        """Whether it was sent where its model has to be loaded first."""
        self.first_byte_at: float | None = None
        """Of this attempt."""
        self.queued_since = queued_since
        self.queued_seconds = 0.0
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
