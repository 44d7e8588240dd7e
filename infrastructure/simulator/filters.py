"""Owns what happens to a model's text before it is sent: stop words, the repeat guard, thinking, tool calls."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infrastructure.simulator.golang import JsonObject
from infrastructure.simulator.templates import ToolUse

REPEAT_LIMIT = 30
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_OPEN_THINK, _CLOSE_THINK = "<think>", "</think>"
_OPEN_TOOL = "<tool_call>"
_DECODER = json.JSONDecoder()


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
    """Takes calls out of the text. Once one has begun, nothing else is text.

    As the server does where a Modelfile's template shows how calls look: of what stands behind the first tag only calls
    of offered tools come out, each with the arguments of the first whole object behind the call before it, even where
    that object belongs to another name. The rest is dropped.

    Args:
        names: Of the tools offered.
        native: Whether llama-server reads the calls, for which the tag has a line break behind it. A grammar holds its
            models to the names offered; here any name passes.
    """

    def __init__(self, names: Collection[str] = (), *, native: bool = False) -> None:
        self._names = tuple(names)
        self._native = native
        self._opening = f"{_OPEN_TOOL}\n" if native else _OPEN_TOOL
        self._held = ""
        self._calling = False

    def feed(self, text: str) -> Delta:
        """What this text adds."""
        self._held += text
        content = ""
        if not self._calling:
            content, tag, after = self._held.partition(self._opening)
            if not tag:
                keep = _overlap(self._held, (self._opening,))
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
        while (use := self._next()) is not None:
            uses.append(use)
        return uses

    def _next(self) -> ToolUse | None:
        said, end = _first_object(self._held)
        name, arguments = said.get("name"), said.get("arguments")
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        if not self._native:
            found = self._first_name()
            if found is None:
                return None
            name, end = found, max(end, self._held.index(found) + len(found))
        self._held = self._held[end:]
        return ToolUse(name, arguments)

    def _first_name(self) -> str | None:
        """The offered name that stands first, the longest of those; none while the text may end within one."""
        if any(self._held.endswith(name[:end]) for name in self._names for end in range(1, len(name))):
            return None
        found = [(self._held.index(name), -len(name), name) for name in self._names if name in self._held]
        return min(found)[2] if found else None


def _first_object(text: str) -> tuple[JsonObject, int]:
    """The first JSON object of a text, and where it ends; an empty one where none is whole."""
    start = text.find("{")
    if start < 0:
        return {}, 0
    try:
        return _DECODER.raw_decode(text, start)
    except ValueError:
        return {}, 0


def _overlap(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of the text that some word begins with."""
    longest = max((len(word) for word in words), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        end = text[-length:]
        if any(word.startswith(end) for word in words):
            return length
    return 0
