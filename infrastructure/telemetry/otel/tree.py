"""One trace as it grows: the span of a run or a turn, and those that are open in it.

Owns finding a span again by what it is of, and ending all that is left when the whole ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from infrastructure.telemetry import names

Attributes: TypeAlias = Mapping[str, str | bool | int | float | tuple[str, ...]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def nanoseconds(at: datetime) -> int:
    """An aware instant as the protocol has it, exact to the microsecond."""
    return (at - _EPOCH) // _MICROSECOND * 1_000


@dataclass(slots=True)
class Tree:
    """A trace that is not over. What is asked of a span that is not there does nothing."""

    tracer: Tracer
    root: Span
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Host and port of each server, by its label."""
    turn: str = ""
    """Of a session; empty for a run."""
    approvals: dict[str, tuple[datetime, str]] = field(default_factory=dict[str, tuple[datetime, str]])
    """When each open question was put, and at which gate."""
    last: datetime = _EPOCH
    """When anything happened in it."""
    containers: dict[tuple[int | None, int], Span] = field(default_factory=dict[tuple[int | None, int], Span])
    """The step that tries a candidate, by candidate and round: the others of the candidate happen in it."""
    _open: dict[Hashable, Span] = field(default_factory=dict[Hashable, Span])

    def begin(
        self,
        key: Hashable,
        name: str,
        at: datetime,
        attributes: Attributes,
        *,
        parent: Span | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        """Open a span; one that is open under that key was left behind, and ends."""
        self.end(key, at)
        span = self._open[key] = self._started(name, at, attributes, parent, kind)
        return span

    def whole(
        self, name: str, began: datetime, ended: datetime, attributes: Attributes, *, parent: Span | None = None
    ) -> Span:
        """A span of something that is over."""
        span = self._started(name, began, attributes, parent, SpanKind.INTERNAL)
        span.end(nanoseconds(ended))
        return span

    def mark(self, name: str, at: datetime, attributes: Attributes, span: Span) -> None:
        """Note on a span that something happened."""
        span.add_event(name, attributes, nanoseconds(at))

    def find(self, *keys: Hashable) -> Span:
        """The open span of the first key that has one, else the root."""
        return next((self._open[key] for key in keys if key in self._open), self.root)

    def has(self, key: Hashable) -> bool:
        """Whether such a span is open."""
        return key in self._open

    def end(self, key: Hashable, at: datetime, *, error: str = "") -> None:
        """End a span, as failed where there is an error."""
        span = self._open.pop(key, None)
        if span is not None:
            if error:
                mark_failed(span, error)
            span.end(nanoseconds(at))

    def close(self, at: datetime) -> None:
        """End what is open, the latest first, and the whole."""
        for key in reversed(tuple(self._open)):
            self.end(key, at)
        self.root.end(nanoseconds(at))

    def _started(self, name: str, at: datetime, attributes: Attributes, parent: Span | None, kind: SpanKind) -> Span:
        context = set_span_in_context(parent or self.root, Context())
        return self.tracer.start_span(name, context, kind, attributes, start_time=nanoseconds(at))


def mark_failed(span: Span, error: str) -> None:
    """Say that what the span is of went wrong, by the class of the error: its message may hold anybody's text."""
    span.set_attribute(names.ERROR_TYPE, error)
    span.set_status(Status(StatusCode.ERROR, error))
