"""What is wrong with a loaded model, as its server lists it: slow, or with a smaller window than was asked for.

Owns that it is told once for each server, model and reason, however many calls there are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane
    from infrastructure.transport.messages import LoadedModel

_TOLD_KEPT = 1000
_SURELY_GPU = 0.5
"""So much of a model in GPU memory shows that a server has a GPU. Without one it lists some as there all the same: 2 to
26 %, seen of 0.32.15."""
_SPILLED = (
    "only {} % of it is in GPU memory, so it is slow; a smaller model or window fits, or fewer models at once:"
    " `corral models fit`"
)
_OFF_GPU = (
    "it runs on the CPU, although the server has had models on a GPU: that is full, or lost to the server, which then"
    " has to be started again"
)
_NARROW = (
    "its window is {:,} tokens, fewer than the {:,} that its lane asks for: it was trained for no more, memory is"
    " short, or another client has loaded it"
)
_log = logging.getLogger(__name__)


class Cautions:
    """What was told already, of all servers."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, str]] = set()
        self._have_gpu: set[str] = set()

    def see(self, label: str, model: LoadedModel, lane: Lane | None) -> None:
        """A server lists a model in memory.

        Args:
            label: the server's name.
            model: as it is listed.
            lane: the lane of ours that loaded it; None where that was somebody else, whose concern it is.
        """
        if model.size_vram and model.size_vram >= _SURELY_GPU * model.size:
            self._have_gpu.add(label)
        if lane is None:
            return
        if label in self._have_gpu and model.size_vram < model.size:
            share = 100 * model.size_vram // model.size
            reason, said = ("spilled", _SPILLED.format(share)) if share else ("off the GPU", _OFF_GPU)
            self._tell(label, model.name, reason, said)
        if lane.num_ctx and model.context_length and model.context_length < lane.num_ctx:
            self._tell(label, model.name, "narrow", _NARROW.format(model.context_length, lane.num_ctx))

    def _tell(self, label: str, model: str, reason: str, said: str) -> None:
        if (label, model, reason) in self._told or len(self._told) >= _TOLD_KEPT:
            return
        self._told.add((label, model, reason))
        _log.warning("%s on %s: %s", model, label, said)
