"""What a call wants, and what of it is sent to the server it was given.

Owns `Errand`, fixed before the call is queued; and the parts of a request that depend on where and when it is sent:
the bound of the answer, the time that is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infrastructure.pool.calls import Call, Watch
from infrastructure.transport.window import SMALLEST_WINDOW, bounded_num_predict

if TYPE_CHECKING:
    from agents.model import Options
    from infrastructure.config.settings import LaneSettings, PhaseLimits
    from infrastructure.pool.asks import Ask
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.lanes import Lane

_ROOM = 8
"""An answer is left at least this part of the window, since the size of the prompt is only estimated."""
_SHORTEST_SECONDS = 0.001


@dataclass(slots=True, kw_only=True)
class Errand:
    """What a call wants: fixed before it is queued, but not frozen, since that would cost more than all else here."""

    ask: Ask
    settings: LaneSettings
    lane: Lane
    options: Options
    """The call's own, without the lane's."""
    call: Call = field(default_factory=Call)
    watch: Watch | None = None
    whole: bool = False
    """The caller wants only the whole answer: until then the call may begin anew elsewhere."""
    size: int = field(init=False)
    """Bytes of the prompt; see `Ask.size`."""
    turns: int = field(init=False)
    """Messages in the prompt; see `Ask.turns`."""

    def __post_init__(self) -> None:
        self.size, self.turns = self.ask.size, self.ask.turns  # asked for at every step, and costly to tell


def request_options(errand: Errand, pool: Dispatcher, server: str) -> Options:
    """The options to send: the lane's, the call's, and a bound of the answer that fits the window there."""
    options = {**errand.lane.options, **errand.options}
    longest, wanted = pool.settings.num_predict, options.get("num_predict")
    if not errand.size:
        return options if wanted is not None or errand.ask.embeds else {**options, "num_predict": longest}
    estimate, window = estimated_tokens(errand, pool), pool.inventory.window(server, errand.lane)
    if wanted is None:
        options["num_predict"] = default_bound(estimate, window, longest)
    elif isinstance(wanted, int):  # anything else is the server's to refuse
        options["num_predict"] = answer_bound(wanted, estimate, window, longest)
    return options


def estimated_tokens(errand: Errand, pool: Dispatcher) -> int:
    """How long the prompt is thought to be."""
    return pool.figures.estimate(errand.lane.model, errand.size, errand.turns)


def phases_left(errand: Errand, pool: Dispatcher, asked_at: float) -> PhaseLimits:
    """The time limits, none of them beyond the call's deadline."""
    limits, deadline = pool.settings.phases, errand.call.deadline
    if deadline is None:
        return limits
    left = max(_SHORTEST_SECONDS, asked_at + deadline - pool.clock())
    return limits.model_copy(update={"total": min(limits.total, left)})


def by_deadline(errand: Errand, pool: Dispatcher) -> bool:
    """Whether it is the deadline, not the pool's limit, that ends a call."""
    deadline = errand.call.deadline
    return deadline is not None and deadline <= pool.settings.phases.total


def default_bound(estimate: int, window: int | None, longest: int) -> int:
    """The `num_predict` to send where the call asks for none.

    The default is as large as the window that many servers give a model. Until the window is known, which the first
    answer shows, it is taken for that, so that the two defaults do not overrun each other; but half of it is always
    left, since in a larger window a long prompt may well have a long answer.
    """
    if window is None:
        return min(longest, max(SMALLEST_WINDOW - estimate, SMALLEST_WINDOW // 2))
    return answer_bound(longest, estimate, window, longest)


def answer_bound(wanted: int, estimate: int, window: int | None, longest: int) -> int:
    """The `num_predict` to send: what is wanted and still fits, at least an eighth of the window.

    Without a known window "as much as there is" (below 0) becomes `longest`, since nothing else would end it.
    """
    if window is None:
        return wanted if wanted >= 0 else longest
    fits = bounded_num_predict(wanted, estimate, window)
    return max(fits, min(wanted, window // _ROOM)) if wanted >= 0 else max(fits, window // _ROOM)
