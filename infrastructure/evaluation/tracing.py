"""What a run's events say of it: its candidates, and what its calls took. Pure.

Owns the rule that of a step which ran again after a crash the later event counts, while the time of every call that was
really made counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import get_args

from infrastructure.evaluation.samples import Figures, Tried
from infrastructure.events.catalogue import (
    AnyEvent,
    CallCompleted,
    CallFailed,
    CallWaiting,
    CandidateEnded,
    EditsApplied,
    EditsRejected,
    PatchDelivered,
    TestsRan,
)
from infrastructure.workflow.runaway import Runaway

_CUT = "length"
_STOPPED = frozenset(get_args(Runaway))
CONTEXT_ERRORS = frozenset({"ContextExceeded", "WindowOverrun"})


@dataclass(slots=True)
class Trace:
    """Built event by event."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    truncated: int = 0
    stopped: int = 0
    asked_again: int = 0
    context_errors: int = 0
    delivered: str = ""
    """Hash of the patch that the run ended with."""
    _loading: set[str] = field(default_factory=set[str])
    _edits: dict[tuple[int, int], bool] = field(default_factory=dict[tuple[int, int], bool])
    _ended: dict[int, CandidateEnded] = field(default_factory=dict[int, CandidateEnded])
    _cut: dict[int, bool] = field(default_factory=dict[int, bool])
    _crashed: dict[int, str] = field(default_factory=dict[int, str])

    @classmethod
    def of(cls, events: Iterable[AnyEvent]) -> Trace:
        """The trace of a whole run."""
        trace = cls()
        for event in events:
            trace.add(event)
        return trace

    def add(self, event: AnyEvent) -> None:
        """Take an event in."""
        candidate = event.candidate or 0
        match event:
            case CallCompleted():
                self._completed(event, candidate)
            case CallFailed(error_class=name):
                self.context_errors += name in CONTEXT_ERRORS
            case CallWaiting(loading=True, call=call):
                self._loading.add(call)
            case EditsApplied(attempt=attempt) | EditsRejected(attempt=attempt):
                self._edits[candidate, attempt] = isinstance(event, EditsApplied)
            case TestsRan(crashed=crashed) if candidate:
                self._crashed[candidate] = crashed
            case CandidateEnded() if candidate:
                self._ended[candidate] = event
            case PatchDelivered(sha=sha):
                self.delivered = sha
            case _:
                return

    @property
    def figures(self) -> Figures:
        """What it took."""
        applied = sum(self._edits.values())
        return Figures(
            calls=self.calls,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            load_seconds=round(self.load_seconds, 6),
            prompt_seconds=round(self.prompt_seconds, 6),
            decode_seconds=round(self.decode_seconds, 6),
            reloads=len(self._loading),
            truncated=self.truncated,
            stopped=self.stopped,
            asked_again=self.asked_again,
            applied=applied,
            rejected=len(self._edits) - applied,
            context_errors=self.context_errors,
        )

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Its candidates by number, not judged yet."""
        return tuple(
            Tried(
                number=number,
                round=ended.round,
                outcome=ended.outcome,
                attempts=ended.attempts,
                patch=ended.patch,
                cut=self._cut.get(number, False),
                crashed=self._crashed.get(number, ""),
            )
            for number, ended in sorted(self._ended.items())
        )

    def _completed(self, call: CallCompleted, candidate: int) -> None:
        self.calls += 1
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.load_seconds += call.load_seconds
        self.prompt_seconds += call.prompt_seconds
        self.decode_seconds += call.decode_seconds
        self.truncated += call.finish == _CUT
        self.stopped += call.finish in _STOPPED
        self.asked_again += not call.call.endswith("#0")
        if candidate and call.role == "coder":
            self._cut[candidate] = call.finish == _CUT
