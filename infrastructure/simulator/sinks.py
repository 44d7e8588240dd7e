"""Owns where an answer's text goes: line by line to a reader, or together into one object."""

from collections.abc import Callable, Collection
from typing import Protocol

from infrastructure.simulator.dialects import Dialect, logprob
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.filters import Delta, ThinkingFilter, ToolFilter
from infrastructure.simulator.golang import Json
from infrastructure.simulator.templates import ToolUse
from infrastructure.simulator.toxics import Fault
from infrastructure.simulator.version import Version

NDJSON = (("Content-Type", "application/x-ndjson"),)


class TextFilter(Protocol):
    """Turns text into what it means."""

    def feed(self, text: str) -> Delta:
        """What this text adds."""
        ...

    def rest(self) -> Delta:
        """What was held back at the end."""
        ...


class Pipeline:
    """The filters that an answer passes, in order; tool calls of native models are kept for the end.

    `tools` are the names of those offered.
    """

    def __init__(self, *, thinking: bool, tools: Collection[str], keep_calls: bool) -> None:
        self._thinking = ThinkingFilter() if thinking else None
        self._tools = ToolFilter(tools, native=keep_calls) if tools else None
        self._keep_calls = keep_calls
        self.kept: list[ToolUse] = []

    @property
    def plain(self) -> bool:
        """Whether text passes unchanged."""
        return self._thinking is None and self._tools is None

    @property
    def half_call(self) -> str | None:
        """The function of a call that was begun and not closed."""
        return self._tools.half_call if self._tools else None

    def feed(self, text: str) -> Delta:
        """What this text adds."""
        delta = self._thinking.feed(text) if self._thinking else Delta(content=text)
        return self._for_tools(delta)

    def rest(self) -> Delta:
        """What was held back at the end."""
        delta = self._for_tools(self._thinking.rest()) if self._thinking else Delta()
        if self._tools is None:
            return delta
        last = self._tools.rest()
        return Delta(delta.content + last.content, delta.thinking, delta.tool_uses + last.tool_uses)

    def _for_tools(self, delta: Delta) -> Delta:
        if self._tools is None or not delta.content:
            return delta
        parted = self._tools.feed(delta.content)
        uses = parted.tool_uses
        if self._keep_calls:
            self.kept.extend(uses)
            uses = ()
        return Delta(parted.content, delta.thinking, uses)


class Answer:
    """Takes an answer's tokens; a fault, where the model has one, strikes after its number of chunks."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        dialect: Dialect,
        pipeline: Pipeline,
        stream: bool,
        shows_all: bool,
        logprobs: int | None,
        version: Version,
        stamp: Callable[[], str],
        fault: Fault | None,
        strike: Callable[[Fault], None],
    ) -> None:
        self.chunks = 0
        self.struck = False
        self.raw: list[str] = []
        """What the model said, thinking and calls included, up to a stop word."""
        self._content: list[str] = []
        self.logprobs: list[Json] = []
        self._thinking: list[str] = []
        self._uses: list[ToolUse] = []
        self._exchange = exchange
        self._dialect = dialect
        self._pipeline = pipeline
        self._stream = stream
        self._shows_all = shows_all
        """`/api/generate` sends a line for each token, also where a filter keeps all of it."""
        self._top = logprobs
        self._version = version
        self._stamp = stamp
        self._fault = fault
        self._strike = strike

    def piece(self, text: str, token: str) -> None:
        """Text of one token, see `Sink`."""
        if self.struck:
            return
        if self._fault is not None and self.chunks >= self._fault.after_chunks:
            self.struck = True
            self._strike(self._fault)
            return
        entries: list[Json] = []
        if self._top is not None:
            entries.append(logprob(token, self._top, self._version))
        delta = Delta(text) if self._pipeline.plain else self._pipeline.feed(text)
        self.raw.append(text)
        if delta or entries or (self._shows_all and text):
            self._emit(delta, entries)

    @property
    def half_call(self) -> str | None:
        """The function of a call that the model has begun and not closed."""
        return self._pipeline.half_call

    def finish(self) -> None:
        """The model is done: send on what the filters held back."""
        if rest := self._pipeline.rest():
            self._emit(rest, [])

    def last_delta(self) -> Delta:
        """What the last object carries: everything, or of a stream only calls that were kept for it."""
        kept = tuple(self._pipeline.kept)
        if self._stream:
            return Delta(tool_uses=kept)
        return Delta("".join(self._content), "".join(self._thinking), tuple(self._uses) + kept)

    def _emit(self, delta: Delta, entries: list[Json]) -> None:
        self.chunks += 1
        if self._stream:
            if not self._exchange.begun:
                self._exchange.begin(200, NDJSON)
            self._exchange.send(self._dialect.chunk(self._stamp(), delta, entries))
            return
        self._content.append(delta.content)
        self._thinking.append(delta.thinking)
        self._uses.extend(delta.tool_uses)
        self.logprobs.extend(entries)
