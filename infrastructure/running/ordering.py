"""When, within a run, a step asked and was answered: by the numbers of its events, since a clock may be put back.

Pure. A step's name is that of its node, with the round, or with candidate and attempt (`planner:1`, `run_tests:2:1`).
"""

from __future__ import annotations

from collections.abc import Iterable

from infrastructure.events.catalogue import CallCompleted, CallReplayed, Event, NodeCompleted, NodeStarted, TestsRan
from infrastructure.events.catalogue.call import CallEvent
from infrastructure.events.log import Stored


class Order:
    """The order of a run's steps, by its events."""

    def __init__(self, events: Iterable[Stored]) -> None:
        self._events = tuple(sorted(events, key=lambda stored: stored.seq))
        self._answers: dict[str, int] = {}
        self._asked: dict[str, Stored] = {}
        for stored in self._events:
            event = stored.event
            if isinstance(event, CallEvent):
                self._asked.setdefault(event.call.partition("#")[0], stored)
            if isinstance(event, (CallCompleted, CallReplayed)):
                self._answers.setdefault(event.call, stored.seq)

    def began(self, step: str) -> int | None:
        """The event with which a step first asked, a model or else a tool; None where none tells of it."""
        found = self._asked.get(step) or self._tried(step)
        return None if found is None else found.seq

    def answered(self, step: str, ordinal: int) -> int | None:
        """The event that tells of an answer; None where none does."""
        return self._answers.get(f"{step}#{ordinal}")

    def ended(self, step: str) -> int | None:
        """The event with which the step's node came to its end; None where it did not."""
        began = self._asked.get(step) or self._tried(step)
        if began is None:
            return None
        return next((each.seq for each in self._after(began) if isinstance(each.event, NodeCompleted)), None)

    def _tried(self, step: str) -> Stored | None:
        """Where the node began that asked only tools in this step."""
        node, candidate, attempt = (*step.split(":"), "", "")[:3]
        started: Stored | None = None
        for stored in self._events:
            event = stored.event
            if event.node != node or (attempt and str(event.candidate or 0) != candidate):
                continue
            if isinstance(event, NodeStarted):
                started = stored
            if isinstance(event, TestsRan) and (not attempt or str(event.attempt) == attempt):
                return started
        return started

    def _after(self, began: Stored) -> Iterable[Stored]:
        place = _place(began.event)
        return (each for each in self._events if each.seq > began.seq and _place(each.event) == place)


def _place(event: Event) -> tuple[str, int | None]:
    return event.node, event.candidate
