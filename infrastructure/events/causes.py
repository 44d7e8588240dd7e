"""Why something happens: what a person asked for, and the event that led here.

Owns the two ids that every event carries beside its body. The correlation names what began it all: a request over HTTP,
a command, a job of a batch. The causation names the one event that led to this one. Both go from caller to callee by
context, so that deep code needs no parameter; a task begins with what its maker had.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from infrastructure.ids import RunId

CORRELATION_LENGTH = 64
_CORRELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}")


class Happened(Protocol):
    """An event that may lead to others: one that is stored, or one whose number is yet to come."""

    @property
    def run(self) -> RunId:
        """The run or session under which the log has it."""
        ...

    @property
    def seq(self) -> int:
        """Its number there; 0 while it has none."""
        ...


@dataclass(slots=True, eq=False)
class Place:
    """Where an event that was handed to the log stands. `seq` is 0 until the log has written it, and if it cannot."""

    run: RunId
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """What led here. The correlation is empty where nobody asked, or where the run's own first event tells."""

    correlation: str = ""
    event: Happened | None = None

    def causation(self, run: RunId) -> str:
        """The event that led here as the table of `run` has it: its number, with the run before it if that is another.

        Asked when the event is written: what was handed over before it has its number by then.
        """
        if self.event is None or not self.event.seq:
            return ""
        return str(self.event.seq) if self.event.run == run else f"{self.event.run}/{self.event.seq}"


_NONE = Cause()
_cause: ContextVar[Cause] = ContextVar("corral_cause", default=_NONE)


def cause() -> Cause:
    """What led to this point of the program."""
    return _cause.get()


def correlation() -> str:
    """What a person's request began; empty outside of any."""
    return _cause.get().correlation


@contextmanager
def correlated(correlation: str) -> Generator[None]:
    """All that happens inside, and in tasks made there, was begun by this. An empty one leaves it to the run's own."""
    token = _cause.set(Cause(correlation))
    try:
        yield
    finally:
        _cause.reset(token)


@contextmanager
def caused_by(event: Happened | None) -> Generator[None]:
    """All that happens inside was led to by this event."""
    token = _cause.set(replace(_cause.get(), event=event))
    try:
        yield
    finally:
        _cause.reset(token)


def led_here(by: Cause) -> None:
    """From here on, in this task, all that happens was led to by this."""
    _cause.set(by)


def is_correlation(text: str) -> bool:
    """Whether a stranger's word may be taken for an id: short, printable, harmless in a log and in a header."""
    return _CORRELATION.fullmatch(text) is not None


def whole_causation(stored: str, run: str) -> str:
    """A causation as it is told, `run/number`, from how the table has it."""
    return f"{run}/{stored}" if stored.isdecimal() else stored
