"""How much room there is for a prompt and its answer, before anybody asks.

Owns which window counts: what the lane sets, what its servers show, what may be asked for where nobody has set one; and
that it is narrower, never wider, where these differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.windows import LARGEST_ASKED
from infrastructure.transport.errors import OllamaError
from infrastructure.transport.window import SMALLEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.lanes import LaneBook
    from infrastructure.pool.models import Catalogue
    from infrastructure.transport.messages import ModelInfo

_MODELS_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoom:
    """A model's window and how its tokens are counted.

    Attributes:
        window: Tokens, prompt and answer together.
        sure: Whether a setting or a server says so; else it is the safe assumption.
        ratio: Tokens for each byte that a prompt weighs: see `estimate_tokens`. Learned from the servers' counts; the
            general one before the first.
    """

    window: int
    sure: bool
    ratio: float


class Rooms:
    """Over one pool's servers."""

    def __init__(self, dispatcher: Dispatcher, lanes: LaneBook, catalogue: Catalogue) -> None:
        self._pool = dispatcher
        self._lanes = lanes
        self._catalogue = catalogue
        self._infos: dict[str, ModelInfo] = {}

    async def of(self, name: str) -> ModelRoom:
        """The room of a lane or model. A server is asked about the model once, where its lane sets no window."""
        fixed = self._lanes.configured(name).num_ctx  # a window that was widened may be widened again
        settings = self._lanes.settings(name)
        lane, _ = self._lanes.split(settings, {})
        lane = self._pool.inventory.aliases.lane(lane)
        info = await self._info(settings.model) if fixed is None else None
        if info is not None:
            fixed = _whole(info.parameters.get("num_ctx"))
        trained = info.context_length if info else None
        window, sure = window_of(fixed, self._pool.inventory.seen_windows(lane), trained)
        return ModelRoom(window=window, sure=sure, ratio=self._pool.figures.ratio(lane.model))

    def forget(self) -> None:
        """Other servers may say otherwise: each model is asked about anew."""
        self._infos.clear()

    async def _info(self, model: str) -> ModelInfo | None:
        """What a server says of the model; None where none would: the call itself says why."""
        if model not in self._infos:
            try:
                info = await self._catalogue.show(model, None)
            except OllamaError:
                return None
            if len(self._infos) >= _MODELS_KEPT:
                self._infos.clear()
            self._infos[model] = info
        return self._infos[model]


def window_of(fixed: int | None, seen: Iterable[int], trained: int | None) -> tuple[int, bool]:
    """The window that counts, and whether that is certain.

    1. One that the lane or the Modelfile sets, or less where a server shows less.
    2. Else, what may be asked for when it is needed (`widen`), where the model's own limit is known.
    3. Else what its servers show, the narrowest; and where nothing is known, the smallest that a server gives.
    """
    narrowest = min(seen, default=None)
    if fixed is not None:
        return min(fixed, narrowest or fixed), True
    if trained:
        return max(narrowest or 0, min(LARGEST_ASKED, trained)), True
    return narrowest or SMALLEST_WINDOW, narrowest is not None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None
