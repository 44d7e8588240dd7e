"""Owns what happens to a model's text before it is sent: stop words, the repeat guard, thinking, tool calls."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

from infrastructure.simulator.templates import ToolUse

REPEAT_LIMIT = 30
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_OPEN_THINK, _CLOSE_THINK = "<think>", "</think>"
_OPEN_TOOL, _CLOSE_TOOL = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, slots=True)
class Delta:
    """What one token adds to an answer."""

    content: str = ""
    thinking: str = ""
    tool_uses: tuple[ToolUse, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.content or self.thinking or self.tool_uses)


class StopWords:
    """Cuts the text before the first stop word, and holds back what may become one."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._first = {word[0] for word in words if word}
        self._at_once = "" in words  # an empty stop word is found in anything
        self._held = ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """The text that may be sent, and whether a stop word ended the answer."""
        if self._at_once:
            return "", True
        if not self._held and self._first.isdisjoint(piece):
            return piece, False
        text = self._held + piece
        cuts = [position for word in self._words if (position := text.find(word)) >= 0]
        if cuts:
            self._held = ""
            return text[: min(cuts)], True
        keep = _overlap(text, self._words)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def rest(self) -> str:
        """What was held back when the answer ended in another way."""
        text, self._held = self._held, ""
        return text


class RepeatGuard:
    """Ends an answer that says one token over and over."""

    def __init__(self) -> None:
        self._last = ""
        self._times = 0

    def trips(self, piece: str) -> bool:
        """Whether this token is one repetition too many."""
        word = piece.strip()
        if word == self._last:
            self._times += 1
        else:
            self._last, self._times = word, 0
        return self._times > REPEAT_LIMIT


class _Where(StrEnum):
    """Where a text stands to its thinking."""

    BEFORE = "before"
    OPENED = "opened"
    WITHIN = "within"
    CLOSED = "closed"
    AFTER = "after"


class ThinkingFilter:
    """Parts `<think>…</think>` at the start of an answer from the rest. Blanks after either tag are dropped."""

    def __init__(self) -> None:
        self._held = ""
        self._where = _Where.BEFORE

    def feed(self, text: str) -> Delta:
        """What this text adds."""
        if self._where is _Where.AFTER:
            return Delta(content=text)
        self._held += text
        thought = ""
        if self._where is _Where.BEFORE:
            self._where = self._opened()
        if self._where is _Where.OPENED:
            self._where = self._past_blanks(_Where.WITHIN)
        if self._where is _Where.WITHIN:
            thought, self._where = self._thought()
        if self._where is _Where.CLOSED:
            self._where = self._past_blanks(_Where.AFTER)
        return Delta(content=self._take() if self._where is _Where.AFTER else "", thinking=thought)

    def rest(self) -> Delta:
        """What was held back at the end."""
        within = self._where is _Where.WITHIN
        text = self._take()
        return Delta(thinking=text) if within else Delta(content=text)

    def _opened(self) -> _Where:
        start = self._held.lstrip()
        if start.startswith(_OPEN_THINK):
            self._held = start[len(_OPEN_THINK) :]
            return _Where.OPENED
        return _Where.BEFORE if _OPEN_THINK.startswith(start) else _Where.AFTER

    def _thought(self) -> tuple[str, _Where]:
        thought, close, after = self._held.partition(_CLOSE_THINK)
        if close:
            self._held = after
            return thought, _Where.CLOSED
        keep = _overlap(self._held, (_CLOSE_THINK,))
        thought, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return thought, _Where.WITHIN

    def _past_blanks(self, then: _Where) -> _Where:
        self._held = self._held.lstrip()
        return then if self._held else self._where

    def _take(self) -> str:
        text, self._held = self._held, ""
        return text


class ToolFilter:
    """Takes `<tool_call>` blocks out of the text. Once one has begun, nothing else is text."""

    def __init__(self) -> None:
        self._held = ""
        self._calling = False

    def feed(self, text: str) -> Delta:
        """What this text adds."""
        self._held += text
        content = ""
        if not self._calling:
            content, tag, after = self._held.partition(_OPEN_TOOL)
            if not tag:
                keep = _overlap(self._held, (_OPEN_TOOL,))
                content, self._held = (
                    self._held[: len(self._held) - keep],
                    self._held[len(self._held) - keep :],
                )
                return Delta(content=content)
            self._calling, self._held = True, after
        return Delta(content=content, tool_uses=tuple(self._finished()))

    @property
    def half_call(self) -> str | None:
        """The function of a call that was begun and not closed."""
        name = _NAME.search(self._held) if self._calling else None
        return name[1] if name else None

    def rest(self) -> Delta:
        """What was held back at the end: text, but never half a call."""
        text, self._held = self._held, ""
        return Delta() if self._calling else Delta(content=text)

    def _finished(self) -> list[ToolUse]:
        uses: list[ToolUse] = []
        while True:
            text = self._held.lstrip().removeprefix(_CLOSE_TOOL).lstrip().removeprefix(_OPEN_TOOL)
            block, _, after = text.partition(_CLOSE_TOOL)
            use = _tool_use(block)
            if use is None:
                return uses
            uses.append(use)
            self._held = after


def _tool_use(block: str) -> ToolUse | None:
    try:
        call = orjson.loads(block)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(call, dict):
        return None
    name, arguments = call.get("name"), call.get("arguments")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON
    if isinstance(name, str) and isinstance(arguments, dict):
        return ToolUse(name, arguments)  # pyright: ignore[reportUnknownArgumentType] - JSON
    return None


def _overlap(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of the text that some word begins with."""
    longest = max((len(word) for word in words), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        end = text[-length:]
        if any(word.startswith(end) for word in words):
            return length
    return 0
