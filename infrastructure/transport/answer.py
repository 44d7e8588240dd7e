"""A streamed answer, line by line.

Owns the rules of Ollama's stream: every line is an object, an `error` line ends it, `done` ends it well, and an end
without `done` is a broken answer (the server's own repeat guard does so, and so does a server that is stopped).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from infrastructure.transport.decoding import BadShape, Line, parse_object
from infrastructure.transport.errors import Partial, StreamBroken, UnreadableAnswer
from infrastructure.transport.failures import error_text
from infrastructure.transport.lines import LineSplitter, LineTooLong

if TYPE_CHECKING:
    from collections.abc import Callable

    from infrastructure.transport.exchange import Exchange
    from infrastructure.transport.messages import Chunk


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
            await self._more()
        line = self._lines.popleft()
        try:
            return parse_object(line)
        except BadShape as error:
            if self._ended and not self._lines and line.startswith(b"{"):
                raise StreamBroken(
                    message="the answer ended in the middle of a line", server=self._exchange.server
                ) from None
            raise UnreadableAnswer(str(error), server=self._exchange.server) from None

    async def _more(self) -> None:
        piece = await self._exchange.piece()
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

    def __init__(self, exchange: Exchange, parse: Callable[[Line], Chunk], line_bytes: int) -> None:
        self._exchange = exchange
        self._parse = parse
        self._reader = LineReader(exchange, line_bytes)
        self._text: list[str] = []
        self._thinking: list[str] = []
        self.finished = False
        """Whether the last chunk has been seen."""

    def __aiter__(self) -> Answer:
        """Itself: an answer is read once."""
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            StreamBroken: with all that had arrived before.
        """
        if self.finished:
            raise StopAsyncIteration
        try:
            line = await self._reader.next()
        except StreamBroken as broken:
            raise self._broken(broken.message) from broken.__cause__
        if line is None:
            raise self._broken("the answer ended without its last line")
        if line.get("error"):
            raise self._broken(error_text(line["error"]))
        return self._chunk(line)

    def _chunk(self, line: Line) -> Chunk:
        try:
            chunk = self._parse(line)
        except BadShape as error:
            raise UnreadableAnswer(str(error), server=self._exchange.server) from None
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        self.finished = chunk.final is not None
        return chunk

    def _broken(self, message: str) -> StreamBroken:
        partial = Partial("".join(self._text), "".join(self._thinking))
        return StreamBroken(partial, message, server=self._exchange.server)
