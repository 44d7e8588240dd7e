"""What a person waits for or reads is kept from prompts of lower bands.

Owns two rules. A server evaluates a prompt batch by batch, and until a batch is done no stream of the same model gets a
token (measured on real servers: gaps of one batch's time); nor while it puts away what the prompt's slot has cached. So
beside a stream that somebody reads, no call of a lower band starts whose uncached prompt makes longer gaps than the
limit. It goes elsewhere, waits, or goes when its prefix is in the cache.

And a batch is filled slot by slot: a prompt waits until those in the slots before it have been read whole. So guesses
give way whose prompts would hold up a person's first token for longer than that, and none starts until it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import INTERACTIVE, SPECULATIVE

if TYPE_CHECKING:
    from infrastructure.pool.estimates import PaceThere
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.server_state import Berth
    from infrastructure.pool.ticket import Ticket

GAP_SECONDS = 0.1
"""The longest gap that a lower band's prompt may make in a person's stream."""
PATIENCE_SECONDS = 30.0
"""A call that has been kept waiting for so long goes nevertheless."""
_USUAL_BATCH = 512
"""Ollama's `num_batch` where the lane does not set one."""


def short(tokens: int, lane: Lane, there: PaceThere | None) -> bool:
    """Whether so many tokens of prompts may go where a person's call is, whatever that one does.

    They are read within the longest gap; or in one batch where nobody knows how fast that is.
    """
    if tokens <= 0:
        return True
    if there is None or there.speed is None:
        return tokens <= (lane.num_batch or _USUAL_BATCH)
    return there.aside + tokens / there.speed <= GAP_SECONDS


def disturbs(ticket: Ticket, berth: Berth, there: PaceThere | None, cached: int, now: float) -> bool:
    """Whether a call of a lower band would make a stream that a person reads stall, or a person's first token late.

    Args:
        ticket: the call.
        berth: the slots of its lane on the server.
        there: how the lane's calls go there, if that is known.
        cached: tokens of its prompt that lie in the cache there.
        now: seconds.
    """
    lane, uncached = ticket.lane, ticket.prompt_tokens - cached
    if short(uncached, lane, there) or now - ticket.queued_since >= PATIENCE_SECONDS:
        return False
    guess = ticket.call.band is SPECULATIVE
    gaps = gap_seconds(lane, uncached, there) > GAP_SECONDS
    return any((gaps and each.read) or (guess and each.first_byte_at is None) for each in berth.serves(INTERACTIVE))


def holding_up(berth: Berth, there: PaceThere | None) -> list[Ticket]:
    """The guesses in these slots that a person's call there would wait for, since they read long prompts.

    Args:
        berth: the slots of a lane on a server.
        there: how the lane's calls go there, if that is known.
    """
    reading = [guess for guess in berth.serves(SPECULATIVE) if guess.first_byte_at is None and guess.uncached > 0]
    return [] if short(sum(guess.uncached for guess in reading), berth.lane, there) else reading


def gap_seconds(lane: Lane, uncached: int, there: PaceThere | None) -> float:
    """How long streams beside it get no token: the time of one batch, and before it that of the cache."""
    if uncached <= 0 or there is None or there.speed is None:
        return 0.0
    return there.aside + min(uncached, lane.num_batch or _USUAL_BATCH) / there.speed
