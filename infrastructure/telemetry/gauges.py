"""Numbers that somebody else has, asked for when the metrics are read.

Owns the list of whom to ask. What cannot be told is left out of the answer and said in the log: a page of metrics with
one number less is better than none.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from infrastructure.telemetry.metrics import FAMILIES, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_logger = logging.getLogger(__name__)


class Gauges:
    """Whom to ask for what."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, tuple[str, ...]], Callable[[], float]] = {}

    def add(self, name: str, ask: Callable[[], float], labels: tuple[str, ...] = ()) -> None:
        """Ask this for the metric of that name, in place of whoever was asked before; it must not block.

        Raises:
            KeyError: no metric has that name (`metrics.FAMILIES`).
            ValueError: its labels are others.
        """
        wanted = FAMILIES[name].labels
        if len(wanted) != len(labels):
            raise ValueError(f"{name} has the labels {wanted}, not {labels}")
        self._asked[name, labels] = ask

    def samples(self) -> Iterator[Sample]:
        """What each says now."""
        for (name, labels), ask in self._asked.items():
            try:
                value = ask()
            except Exception:
                _logger.exception("%s cannot be told", name)
            else:
                yield Sample(name, value, labels)
