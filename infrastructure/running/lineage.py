"""Which event of a run led to the next.

Owns the rule. A step was led to by the step before it, of its own candidate where that has had one; what happens in a
step by its beginning; what becomes of a call by the call. Steps run side by side, so the order of the log says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from infrastructure.events.catalogue import Event, NodeCompleted, NodeStarted
from infrastructure.events.catalogue.call import CallEvent

if TYPE_CHECKING:
    from infrastructure.events.causes import Happened

_Step: TypeAlias = tuple[str, int | None, int]
"""Name, candidate, round."""


@dataclass(slots=True)
class Lineage:
    """The steps and calls of one execution, as far as they have come; `began` is where it starts from."""

    began: Happened | None
    _steps: dict[_Step, Happened] = field(default_factory=dict["_Step", "Happened"])
    _calls: dict[str, Happened] = field(default_factory=dict["str", "Happened"])
    _ended: dict[int | None, Happened] = field(default_factory=dict["int | None", "Happened"])

    def of(self, event: Event) -> Happened | None:
        """What led to this event, which is the next."""
        if isinstance(event, NodeStarted):
            return self._ended.get(event.candidate) or self._ended.get(None) or self.began
        if isinstance(event, CallEvent) and (call := self._calls.get(event.call)) is not None:
            return call
        return self._steps.get(_step(event), self.began)

    def add(self, event: Event, place: Happened) -> None:
        """It is in the log there."""
        if isinstance(event, NodeStarted):
            self._steps[_step(event)] = place
        elif isinstance(event, NodeCompleted):
            self._ended[event.candidate] = place
        elif isinstance(event, CallEvent):
            self._calls.setdefault(event.call, place)


def _step(event: Event) -> _Step:
    return event.node, event.candidate, event.round
