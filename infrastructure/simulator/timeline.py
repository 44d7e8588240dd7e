"""Owns what the log of the truth adds up to: how full the slots were, who waited how long, what was done twice."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infrastructure.simulator.records import RequestRecord, SlotSpan

Steps = list[tuple[float, int]]
"""A number over time: from each moment on (seconds of the loop's clock) it is so many."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long calls were in the server before they had a slot, in seconds."""

    calls: int
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prompt tokens, by what the server had to do for them."""

    evaluated: int
    cached: int
    """Known already, those restored from memory among them."""
    restored: int


def occupancy(spans: Iterable[SlotSpan], held: Iterable[RequestRecord]) -> Steps:
    """Slots taken over time, by calls that gave theirs back and by those that still hold one."""
    spans = list(spans)
    edges = [(span.start, 1) for span in spans] + [(span.end, -1) for span in spans]
    edges += [(record.slot_taken_at, 1) for record in held if record.slot_taken_at is not None]
    return _steps(edges)


def waiting(records: Iterable[RequestRecord]) -> Steps:
    """Calls over time that were in the server and had no slot yet."""
    edges: list[tuple[float, int]] = []
    for record in records:
        edges.append((record.received_at, 1))
        until = record.slot_taken_at or record.ended_at
        if until is not None:
            edges.append((until, -1))
    return _steps(edges)


def waits(records: Iterable[RequestRecord]) -> Waits:
    """The waits of all calls that got a slot."""
    seconds = [record.wait_seconds for record in records if record.wait_seconds is not None]
    return Waits(len(seconds), statistics.median(seconds or [0.0]), max(seconds, default=0.0))


def prefill(records: Iterable[RequestRecord]) -> Prefill:
    """The sums of all calls."""
    chosen = list(records)
    return Prefill(
        evaluated=sum(record.prefilled_tokens for record in chosen),
        cached=sum(record.cached_tokens for record in chosen),
        restored=sum(record.restored_tokens for record in chosen),
    )


def duplicates(records: Iterable[RequestRecord]) -> Mapping[str, Sequence[RequestRecord]]:
    """The calls that came more than once, by their `X-Request-Id`."""
    by_id: dict[str, list[RequestRecord]] = {}
    for record in records:
        if record.client_id is not None:
            by_id.setdefault(record.client_id, []).append(record)
    return {name: found for name, found in by_id.items() if len(found) > 1}


def _steps(edges: Iterable[tuple[float, int]]) -> Steps:
    """Edges that coincide are one step."""
    steps: Steps = []
    now = 0
    for at, step in sorted(edges):
        now += step
        if steps and steps[-1][0] == at:
            steps.pop()
        steps.append((at, now))
    return steps
