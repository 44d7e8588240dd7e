"""A call as it was sent to one server, and what came of it there.

Owns the figures of one attempt, what a whole answer or a refusal teaches the pool, and the reply that is made of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.calls import Reply
from infrastructure.pool.doubts import BYTES_TO_JUDGE
from infrastructure.transport.gathering import Gathered
from infrastructure.transport.window import check_window

if TYPE_CHECKING:
    from agents.model import Options
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.server_state import Berth
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.errors import ContextExceeded
    from infrastructure.transport.messages import Final, Metrics

_NOTHING = Gathered()


@dataclass(slots=True, eq=False)
class Sent:
    """One attempt at a call."""

    server: str
    label: str
    berth: Berth
    options: Options
    """As they were sent."""
    at: float
    """When it was sent, by the pool's clock."""
    first_byte_at: float | None = None
    gathered: Gathered = _NOTHING
    """What has come of the answer."""
    ends_at: float = math.inf
    """When the time of the call is over."""

    @classmethod
    def to(cls, slot: Slot, pool: Dispatcher, options: Options, at: float, gathered: Gathered = _NOTHING) -> Sent:
        """An attempt at the server of this slot."""
        return cls(slot.server, pool.servers[slot.server].label, slot.berth, options, at, None, gathered)


def answered(sent: Sent, errand: Errand, ticket: Ticket, pool: Dispatcher, final: Final) -> Reply:
    """The answer is whole: all that counts and learns is told, and this is what the caller gets.

    Raises:
        WindowOverrun: the server dropped a part of the prompt; nothing has been told then but the size of the prompt.
    """
    server, lane, metrics = sent.server, errand.lane, final.metrics
    window = pool.inventory.window(server, lane)
    if errand.size:
        _check_window(sent, errand, ticket, pool, metrics, window)
    now = pool.clock()
    first_byte = (sent.first_byte_at or now) - sent.at
    cached = pool.scheduler.estimates.cached(server, lane, metrics.prompt_tokens, metrics.prompt_ns / 1e9)
    pool.figures.served(server, lane, metrics, first_byte)
    pool.budget.answered()
    pool.hedges.answered()
    pool.scheduler.served(ticket, metrics, now - sent.at, now)
    said = sent.gathered
    return Reply(
        text=said.text,
        thinking=said.thinking,
        tool_calls=tuple(said.tool_calls),
        finish=final.finish,
        metrics=metrics,
        model=errand.settings.model,
        server=sent.label,
        attempts=ticket.attempts,
        queued_seconds=ticket.queued_seconds,
        first_byte_seconds=first_byte,
        seconds=now - ticket.enqueued_at,
        cached_tokens=cached,
        window=window,
        num_predict=_whole(sent.options.get("num_predict")),
        doubted=errand.size >= BYTES_TO_JUDGE and _is_doubtful(server, errand, pool, metrics),
    )


def refused(sent: Sent, errand: Errand, pool: Dispatcher, refusal: ContextExceeded) -> None:
    """A refusal counts the prompt's tokens, and names the window, as an answer does."""
    if refusal.prompt_tokens:
        pool.figures.learn(errand.lane.model, errand.size, errand.turns, refusal.prompt_tokens)
    if refusal.window:
        pool.inventory.see_window(sent.server, errand.lane, refusal.window)


def _check_window(
    sent: Sent, errand: Errand, ticket: Ticket, pool: Dispatcher, metrics: Metrics, window: int | None
) -> None:
    pool.figures.learn(errand.lane.model, errand.size, errand.turns, metrics.prompt_tokens)
    predicted = _whole(sent.options.get("num_predict"))
    check_window(metrics, window, estimated_tokens=ticket.prompt_tokens, num_predict=predicted, server=sent.label)


def _is_doubtful(server: str, errand: Errand, pool: Dispatcher, metrics: Metrics) -> bool:
    ask, size = errand.ask, errand.size
    return pool.doubts.doubtful(server, errand.lane, ask.text, size, errand.turns, metrics.prompt_tokens)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
