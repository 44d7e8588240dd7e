"""Callers' own traces: what a `traceparent` header says, until the run that the request began asks for it.

Owns the form of the header (W3C Trace Context, level 1) and a bounded memory of it, by the request's correlation id.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

HEADER = "traceparent"
KEPT = 1000
"""Requests that are remembered; the oldest go first. What a request begins asks within moments."""
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """A span of the caller's."""

    trace: int
    span: int
    sampled: bool


class Parents:
    """Which request came from which span. Of one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Parent] = OrderedDict()

    def remember(self, correlation: str, header: str) -> None:
        """Note what a request says of its caller's trace; what is no such header counts as none, as W3C has it."""
        if (parent := read_parent(header)) is None:
            self._known.pop(correlation, None)  # the id may have been another request's
            return
        self._known[correlation] = parent
        self._known.move_to_end(correlation)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    def of(self, correlation: str) -> Parent | None:
        """The span from which a request came, if it said so."""
        return self._known.get(correlation)


def read_parent(header: str) -> Parent | None:
    """What the header says; None for one that is malformed, or names nothing."""
    found = _FORM.fullmatch(header.strip())
    if found is None or (found[1] == "00" and found[5]):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return Parent(trace, span, sampled=bool(int(found[4], 16) & 1)) if trace and span else None
