"""Streams that a person reads are kept from stalling.

Owns the rule: a server evaluates a prompt batch by batch, and until a batch is done no stream of the same model gets a
token (measured on real servers: gaps of one batch's time). So beside a stream that somebody reads, no call of a lower
band starts whose uncached prompt makes longer gaps than the limit. It goes elsewhere, waits, or goes when its prefix is
in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import INTERACTIVE

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.server_state import Berth
    from infrastructure.pool.ticket import Ticket

GAP_SECONDS = 0.1
"""The longest gap that a lower band's prompt may make in a person's stream."""
PATIENCE_SECONDS = 30.0
"""A call that has been kept waiting for so long goes nevertheless."""
_USUAL_BATCH = 512
"""Ollama's `num_batch` where the lane does not set one."""


def disturbs(ticket: Ticket, berth: Berth, speed: float, cached: int, now: float) -> bool:
    """Whether a call of a lower band would make a stream that a person reads stall for too long.

    Args:
        ticket: the call.
        berth: the slots of its lane on the server.
        speed: tokens a second of prompts there.
        cached: tokens of its prompt that lie in the cache there.
        now: seconds.
    """
    if gap_seconds(ticket.lane, ticket.prompt_tokens - cached, speed) <= GAP_SECONDS:
        return False
    if now - ticket.queued_since >= PATIENCE_SECONDS:
        return False
    return any(reader.read for reader in berth.serves(INTERACTIVE))


def gap_seconds(lane: Lane, uncached: int, speed: float) -> float:
    """How long streams beside it get no token: the time of one batch."""
    if uncached <= 0:
        return 0.0
    batch = lane.num_batch or _USUAL_BATCH
    return min(uncached, batch) / speed
