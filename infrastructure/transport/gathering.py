"""What of an answer has come so far, and how much may come.

Owns the bound of one answer: a server that streams for ever must not fill the memory. Text is kept in one buffer, since
a list of a million tokens takes many times the memory of its text.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from infrastructure.transport.encoding import dump
from infrastructure.transport.errors import Partial

if TYPE_CHECKING:
    from agents.model import Options, ToolCall
    from infrastructure.transport.messages import Chunk

CHARACTERS_A_TOKEN = 16
"""More than any text has on average: code models have 3 to 4, long runs of blanks perhaps 10."""
LEAST_CHARACTERS = 64 << 10
"""An answer may always be this long, however few tokens were asked for."""
MOST_CHARACTERS = 16 << 20
"""No answer may be longer, however many tokens were asked for, or if no number was."""
_CALL_CHARACTERS = 64
"""What a tool call weighs beside its words."""


def most_characters(options: Options) -> int:
    """How long an answer to a request with these options may grow: thinking, text and tool calls together."""
    tokens = options.get("num_predict")
    if not isinstance(tokens, int) or tokens < 0:
        return MOST_CHARACTERS
    return min(MOST_CHARACTERS, max(LEAST_CHARACTERS, CHARACTERS_A_TOKEN * tokens))


class Gathered:
    """The chunks of an answer, put together."""

    __slots__ = ("_text", "_thinking", "characters", "tool_calls")

    def __init__(self) -> None:
        self._text, self._thinking = StringIO(), StringIO()
        self.tool_calls: list[ToolCall] = []
        self.characters = 0
        """How much it is, tool calls included."""

    def add(self, chunk: Chunk) -> None:
        """The next piece."""
        if chunk.text:
            self.characters += self._text.write(chunk.text)
        if chunk.thinking:
            self.characters += self._thinking.write(chunk.thinking)
        if chunk.tool_calls:
            self.tool_calls += chunk.tool_calls
            self.characters += sum(map(_weight, chunk.tool_calls))

    @property
    def text(self) -> str:
        """The answer itself."""
        return self._text.getvalue()

    @property
    def thinking(self) -> str:
        """What was thought before it."""
        return self._thinking.getvalue()

    @property
    def partial(self) -> Partial:
        """Text and thinking."""
        return Partial(self.text, self.thinking)


def _weight(call: ToolCall) -> int:
    return _CALL_CHARACTERS + len(call.name) + len(call.id or "") + len(dump(call.arguments))
