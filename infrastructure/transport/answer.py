"""A streamed answer, line by line.

Owns the rules of Ollama's stream: every line is an object, an `error` line ends it, `done` ends it well, and an end
without `done` is a broken answer (the server's own repeat guard does so, and so does a server that is stopped).
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from infrastructure.transport.decoding import BadShape, Line, parse_object
from infrastructure.transport.errors import PhaseTimeout, StreamBroken, UnreadableAnswer
from infrastructure.transport.failures import error_text
from infrastructure.transport.gathering import MOST_CHARACTERS, Gathered
from infrastructure.transport.lines import LineSplitter, LineTooLong

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from infrastructure.transport.exchange import Exchange
    from infrastructure.transport.messages import Chunk

_LOG = "`journalctl -u ollama`, `docker logs`, or ~/.ollama/logs/server.log"
_ENDED_HINT = (
    "ask again; Ollama ends a stream without a word when a model repeats itself without end (then another temperature"
    f" or model helps) and when the model's runner crashed (then its log says why: {_LOG})"
)
_FAILED_HINT = f"ask again; the model's runner failed there, most often for want of memory: its log says why ({_LOG})"
_TOO_LONG_HINT = (
    "the server does not keep to num_predict: check that the address is Ollama's, or ask for a larger num_predict if"
    " answers may be that long"
)


class LineReader:
    """The JSON objects of an answer, as they arrive."""

    def __init__(self, exchange: Exchange, line_bytes: int) -> None:
        self._exchange = exchange
        self._splitter = LineSplitter(line_bytes)
        self._lines: deque[bytes] = deque()
        self._ended = False

    async def next(self) -> Line | None:
        """The next object; None when the answer ends between two lines.

        Raises:
            UnreadableAnswer: a line is not a JSON object, or too long.
            StreamBroken: the answer ends, or the connection breaks, in the middle of a line or before the end.
        """
        while not self._lines:
            if self._ended:
                return None
            self._take(await self._exchange.piece())
        line = self._lines.popleft()
        try:
            return parse_object(line)
        except BadShape as error:
            if self._ended and not self._lines and line.startswith(b"{"):
                raise StreamBroken(
                    message="the answer ended in the middle of a line", server=self._exchange.server
                ) from None
            raise UnreadableAnswer(str(error), foreign=True, server=self._exchange.server) from None

    def _take(self, piece: bytes | None) -> None:
        try:
            if piece is not None:
                self._lines.extend(self._splitter.feed(piece))
                return
        except LineTooLong:
            raise UnreadableAnswer("a line longer than the limit", server=self._exchange.server) from None
        self._ended = True
        last = self._splitter.flush()
        if last and not last.isspace():
            self._lines.append(last)


class Answer:
    """The chunks of one answer; the last one carries `final`."""

    def __init__(
        self, exchange: Exchange, parse: Callable[[Line], Chunk], line_bytes: int, most: int = MOST_CHARACTERS
    ) -> None:
        """An answer to the exchange, of at most so many characters."""
        self._exchange = exchange
        self._parse = parse
        self._reader = LineReader(exchange, line_bytes)
        self._most = most
        self.gathered = Gathered()
        """What has come so far."""
        self.finished = False
        """Whether the last chunk has been seen."""

    def __aiter__(self) -> Answer:
        """Itself: an answer is read once."""
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            StreamBroken: with all that had arrived before.
            UnreadableAnswer: no Ollama says this, or so much.
        """
        if self.finished:
            raise StopAsyncIteration
        try:
            line = await self._reader.next()
        except StreamBroken as broken:
            raise self._broken(broken.message) from broken.__cause__
        except PhaseTimeout as late:
            late.partial = self.gathered.partial
            raise
        if line is None:
            raise self._broken("the server ended the answer without its last line", _ENDED_HINT)
        if line.get("error"):
            raise self._broken(error_text(line["error"]), _FAILED_HINT)
        return self._chunk(line)

    def _chunk(self, line: Line) -> Chunk:
        try:
            chunk = self._parse(line)
        except BadShape as error:
            raise UnreadableAnswer(str(error), server=self._exchange.server) from None
        self.gathered.add(chunk)
        if self.gathered.characters > self._most:
            told = f"it grew beyond {self._most:,} characters"
            raise UnreadableAnswer(told, server=self._exchange.server, hint=_TOO_LONG_HINT)
        self.finished = chunk.final is not None
        return chunk

    def _broken(self, message: str, hint: str | None = None) -> StreamBroken:
        return StreamBroken(self.gathered.partial, message, server=self._exchange.server, hint=hint)


class Streamed(AbstractAsyncContextManager["Answer"]):
    """A question and its streamed answer. Entering asks; leaving early stops the server."""

    def __init__(self, ask: Callable[[], Exchange], answer: Callable[[Exchange], Answer]) -> None:
        self._ask = ask
        self._read = answer
        self._exchange: Exchange | None = None
        self._answer: Answer | None = None

    async def __aenter__(self) -> Answer:
        self._exchange = self._ask()
        await self._exchange.__aenter__()
        self._answer = self._read(self._exchange)
        return self._answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._exchange is None:
            return
        try:
            if kind is None and self._answer is not None and self._answer.finished:
                await self._exchange.drain()
        finally:
            await self._exchange.__aexit__(kind, error, trace)
