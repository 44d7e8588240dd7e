"""What is going on in a run right now: steps, calls, tokens, the newest text.

Owns `LiveView`, a value that events change, and how it is drawn. Only unfinished things are in it, so it stays small
however long the run is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from backend.cli.console import visible
from infrastructure.events import catalogue as events

_INNER = ("write", "apply", "run_tests", "debugger")
"""The steps inside a candidate."""
_TAIL = 2000
"""Characters kept of a call's text: more than any line of a terminal."""


@dataclass(slots=True)
class LiveCall:
    """A call under way. `pieces` counts what streamed, which is about one a token."""

    role: str
    state: str
    began: float
    candidate: int | None = None
    pieces: int = 0
    characters: int = 0
    tail: str = ""
    thinking: bool = False


@dataclass(slots=True)
class LiveView:
    """The steps and calls under way.

    Attributes:
        now: A clock in seconds.
        steps: Step name, with its candidate where there are several, to when it began.
        calls: Calls by id.
    """

    now: Callable[[], float] = time.monotonic
    steps: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[str, LiveCall] = field(default_factory=dict[str, LiveCall])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    began: float = field(init=False)
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots"), init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    def feed(self, event: events.Event) -> None:
        """Take an event in."""
        match event:
            case events.NodeStarted():
                self.steps[_step(event)] = self.now()
            case events.NodeCompleted() | events.NodeFailed() | events.NodeWaiting():
                self.steps.pop(_step(event), None)
            case events.CandidateEnded():
                self._forget(event.candidate)
            case events.RunInterrupted() | events.RunFinished():
                self.steps.clear()
                self.calls.clear()
            case events.CallCompleted():
                self.prompt_tokens += event.prompt_tokens
                self.completion_tokens += event.completion_tokens
                self.calls.pop(event.call, None)
            case events.CallFailed() | events.CallReplayed():
                self.calls.pop(event.call, None)
            case _:
                self._feed_call(event)

    def standing(self) -> str:
        """What is under way, in one line: the calls, or the steps where none asks a model; empty between steps."""
        if self.calls:
            return " · ".join(self._about(call) for call in self.calls.values())
        now = self.now()
        return " · ".join(f"{name}: {now - began:.0f} s" for name, began in self.steps.items())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it: a line of steps, then a line or two a call."""
        yield Group(self._head(), *(self._drawn(call, options.max_width) for call in self.calls.values()))

    def _forget(self, candidate: int | None) -> None:
        """Drop what a candidate had under way: one that lost is cut off, and tells no end of its call and step."""
        self.calls = {name: call for name, call in self.calls.items() if call.candidate != candidate}
        inner = [f"{node} {candidate}" for node in _INNER]
        self.steps = {name: began for name, began in self.steps.items() if name not in inner}

    def _feed_call(self, event: events.Event) -> None:
        match event:
            case events.CallQueued():
                self._call(event).state = f"queued behind {event.ahead}" if event.ahead else "queued"
            case events.CallPlaced():
                self._call(event).state = f"connecting to {event.server}"
            case events.CallWaiting():
                what = "loads the model" if event.loading else "reads the prompt"
                self._call(event).state = f"{event.server} {what}"
            case events.CallRestarted():
                self.calls.pop(event.call, None)
                self._call(event).state = "asked again"
            case events.TextStreamed():
                self._streamed(self._call(event), event)
            case _:
                return

    def _streamed(self, call: LiveCall, event: events.TextStreamed) -> None:
        call.characters += len(event.text)
        call.thinking = event.thinking
        call.tail = (call.tail + event.text)[-_TAIL:]
        call.state = "thinks" if event.thinking else "writes"

    def _call(
        self,
        event: events.CallQueued | events.CallPlaced | events.CallWaiting | events.CallRestarted | events.TextStreamed,
    ) -> LiveCall:
        call = self.calls.get(event.call)
        if call is None:
            call = self.calls[event.call] = LiveCall(event.role, "asked", self.now(), event.candidate)
        return call

    def _head(self) -> Table:
        now = self.now()
        steps = " · ".join(f"{name} {now - began:.0f} s" for name, began in self.steps.items()) or "between steps"
        tokens = f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens"
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._spinner, Text(visible(f"{steps}   {tokens} · {now - self.began:.0f} s"), style="bold"))
        return grid

    def _about(self, call: LiveCall) -> str:
        about = f"{call.role}: {call.state} ({self.now() - call.began:.0f} s"
        return about + (f", about {call.characters // 4:,} tokens)" if call.characters else ")")

    def _drawn(self, call: LiveCall, width: int) -> Text:
        line = Text(visible(f"  {self._about(call)}"), style="cyan", no_wrap=True, overflow="ellipsis")
        tail = " ".join(call.tail.split())
        if tail:
            room = max(10, width - 6)
            line.append("\n    " + visible(tail)[-room:], style="dim")
        return line


def _step(event: events.Event) -> str:
    return event.node if event.candidate is None else f"{event.node} {event.candidate}"
