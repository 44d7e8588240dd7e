"""Who is told of calls that end and servers that come and go: whoever counts, measures or traces, outside the pool.

Owns `CallObserver` and `ServerObserver`, and what they are told. The pool knows no metrics library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from infrastructure.pool.asks import GenerateAsk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.pool.calls import Reply
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.states import Band, CallState
    from infrastructure.pool.ticket import Ticket

Operation: TypeAlias = Literal["chat", "text_completion", "embeddings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """A call that is over."""

    operation: Operation
    model: str
    """Canonical name."""
    lane: str
    server: str | None
    """Label of the server it was sent to last; None if it never got a slot."""
    band: Band
    state: CallState
    """Done, failed or cancelled."""
    queued_seconds: float
    """In the pool's queue; of a call that never left it, all its time."""
    seconds: float
    """From the call to its end."""
    reply: Reply | None
    """Of a call that is done."""


class CallObserver(Protocol):
    """Told of the end of each call, in the event loop; must neither block nor raise."""

    def ended(self, end: CallEnd) -> None:
        """A call is over."""
        ...


class ServerObserver(Protocol):
    """Told when a server stops or begins to get calls, in the event loop; must neither block nor raise."""

    def ejected(self, server: str, reason: str) -> None:
        """A server (by label) gets no more calls: it could not be reached, or somebody drained it."""
        ...

    def returned(self, server: str) -> None:
        """One that got none gets calls again."""
        ...


def tell_end(
    observers: Iterable[CallObserver],
    errand: Errand,
    ticket: Ticket,
    state: CallState,
    *,
    server: str | None,
    seconds: float,
    reply: Reply | None,
) -> None:
    """Tell all of them that a call is over, in this state."""
    placed = bool(ticket.attempts)
    end = CallEnd(
        operation=_operation(errand),
        model=ticket.lane.model,
        lane=str(ticket.lane),
        server=server if placed else None,
        band=ticket.call.band,
        state=state,
        queued_seconds=ticket.queued_seconds if placed else seconds,
        seconds=seconds,
        reply=reply,
    )
    for observer in observers:
        observer.ended(end)


def _operation(errand: Errand) -> Operation:
    if errand.ask.embeds:
        return "embeddings"
    return "text_completion" if isinstance(errand.ask, GenerateAsk) else "chat"
