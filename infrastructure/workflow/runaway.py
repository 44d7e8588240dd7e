"""Answers that will come to no end: a text that repeats itself, thinking without an answer.

Owns when a stream is given up before its length limit. Pure but for what it remembers of one stream.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Runaway: TypeAlias = Literal["repeated", "thinking"]

REPEATED_CHARS = 1_600
"""So much text at the end of an answer that is one piece over and over is a loop."""
REPEATS = 6
"""And so often at least, so that two long functions that are alike are no loop."""
THINKING_CHARS = 24_000
"""Thinking of about 6,000 tokens without a word of the answer."""

_WORDS: dict[Runaway, str] = {"repeated": "since it repeats itself", "thinking": "since it only thinks"}
_LOOKED_AT = 4_000
_EVERY = 400
_AGAIN = 40


class AnswerStopped(Exception):
    """The answer was given up, with what had come of it."""

    def __init__(self, reason: Runaway, text: str, thinking: str) -> None:
        super().__init__(_WORDS[reason])
        self.reason: Runaway = reason
        self.text = text
        self.thinking = thinking

    def told(self, role: str) -> str:
        """What a person is told."""
        return stop_told(role, self.reason)


class StreamGuard:
    """Watches one stream. Feed it what comes; it says when to stop.

    Args:
        thinking_chars: How much may be thought before the first word of the answer.
    """

    def __init__(self, thinking_chars: int = THINKING_CHARS) -> None:
        self._thinking_chars = thinking_chars
        self._tail = ""
        self._since = 0
        self._thought = 0
        self._answers = False

    def feed(self, text: str, *, thinking: bool) -> Runaway | None:
        """Take the next piece; why the stream should be given up, or None."""
        if thinking and not self._answers:
            self._thought += len(text)
            if self._thought > self._thinking_chars:
                return "thinking"
        elif not self._answers and text.strip():
            self._answers = True
            self._tail, self._since = "", 0
        self._tail = (self._tail + text)[-_LOOKED_AT:]
        self._since += len(text)
        if self._since < _EVERY:
            return None
        self._since = 0
        return "repeated" if is_loop(self._tail) else None


def stop_told(role: str, finish: str) -> str:
    """What a person is told of an answer that ended so; empty where it was not stopped."""
    why = next((words for reason, words in _WORDS.items() if reason == finish), "")
    return why and f"{role}: an answer was stopped, {why}"


def is_loop(text: str) -> bool:
    """Whether a text ends in one piece over and over: `REPEATED_CHARS` of it or more, `REPEATS` times or more.

    The shortest period of each stretch at the end comes from the failure function of Knuth, Morris and Pratt over the
    reversed text: linear in its length.
    """
    if text.find(text[-_AGAIN:]) >= len(text) - _AGAIN:
        return False  # its last characters stand nowhere else, as in nearly every text
    backwards = text[::-1]
    longest = _borders(backwards)
    for length in range(REPEATED_CHARS, len(backwards) + 1):
        period = length - longest[length - 1]
        if period * REPEATS <= length:
            return True
    return False


def _borders(text: str) -> list[int]:
    """For each prefix the length of its longest proper border."""
    borders = [0] * len(text)
    matched = 0
    for at in range(1, len(text)):
        while matched and text[at] != text[matched]:
            matched = borders[matched - 1]
        if text[at] == text[matched]:
            matched += 1
        borders[at] = matched
    return borders
