"""Windows that nobody has set.

Owns what is done when something does not fit into the window that a server gives a model by itself, 4,096 tokens on a
GPU below 23 GiB: ask for a larger one from then on. A window that the lane or the Modelfile sets is left alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.transport.errors import OllamaError
from infrastructure.transport.window import SMALLEST_WINDOW

if TYPE_CHECKING:
    from infrastructure.pool.lanes import LaneBook
    from infrastructure.pool.models import Catalogue

LARGEST_ASKED = 32768
"""No larger window is asked for by itself: a lane's memory grows with it. What a prompt of Corral's roles needs."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgrown:
    """What did not fit into a window, in tokens."""

    prompt_tokens: int | None
    """As the server counted them; None where it did not."""
    answer_tokens: int
    """How long the answer may be."""
    window: int | None
    """The window that was too small, where it is known."""


def wider_window(outgrown: Outgrown, trained: int | None) -> int | None:
    """The `num_ctx` to ask for: the smallest power of two that holds prompt and answer, within the model's own limit.

    The largest where the prompt was not counted. The answer gets less where the largest has no more. None where no
    window that may be asked for would help.
    """
    most = min(LARGEST_ASKED, trained or LARGEST_ASKED)
    prompt = outgrown.prompt_tokens
    found = most if prompt is None else SMALLEST_WINDOW
    while found < most and found < (prompt or 0) + outgrown.answer_tokens:
        found *= 2
    found = min(found, most)
    return found if found > max(outgrown.window or 0, prompt or 0) else None


async def widen(lanes: LaneBook, catalogue: Catalogue, name: str, outgrown: Outgrown) -> bool:
    """Give the lane a larger window from now on; whether it has one."""
    settings = lanes.configured(name)
    if settings.num_ctx is not None:
        return False
    try:
        info = await catalogue.show(settings.model, None)
    except OllamaError:  # the refusal itself is what the caller is told
        return False
    if "num_ctx" in info.parameters:
        return False
    found = wider_window(outgrown, info.context_length)
    if found is None:
        return False
    if lanes.widen(settings.model, found):
        _log.warning(
            "%s: what is asked does not fit into the window its server gives it (%s tokens). From now on one of %s is"
            " asked for, which loads the model anew; set num_ctx of the lane, or OLLAMA_CONTEXT_LENGTH on the server,"
            " to have it from the start",
            settings.model,
            "unknown" if outgrown.window is None else f"{outgrown.window:,}",
            f"{found:,}",
        )
    return True
