"""What every reader of model text does first.

Owns the bound on an answer's size, the removal of what is no content (byte order mark, carriage returns before a
line feed, thinking that leaked into the text), and how a piece of the answer is quoted in an error.
"""

from __future__ import annotations

from agents.answers.fences import blocks
from agents.errors import UnusableAnswer

MAX_ANSWER = 1 << 20
"""Characters of the longest answer that is read; a longer one is a runaway."""

_THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))
_SHOWN = 80


def clean_text(text: str) -> str:
    r"""Return the answer without byte order mark and leaked thinking, its lines ended by `\\n`.

    Raises:
        UnusableAnswer: Too long, empty, no valid Unicode, or nothing but thinking.
    """
    if len(text) > MAX_ANSWER:
        raise UnusableAnswer(f"the answer has {len(text)} characters, more than {MAX_ANSWER}", "Answer shorter.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnusableAnswer("the answer holds half a character (a lone surrogate)") from error
    text = without_thinking(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    if not text.strip():
        raise UnusableAnswer("the answer is empty", "Answer in the form that was asked for.")
    return text


def without_thinking(text: str) -> str:
    """Return the text after the thinking it opens with.

    Two shapes leak: `<think>…</think>` at the very start, and `…</think>` alone, because some templates put the
    opening tag into the prompt. The second counts only on a line of its own and outside every fence, so code that
    speaks of the tag stays whole. Thinking that never ends leaves nothing.
    """
    start = text.lstrip()
    for opening, closing in _THINKING:
        if start.startswith(opening):
            return start.partition(closing)[2].lstrip("\n")
    return _after_orphan_closing(text)


def shown(text: str, limit: int = _SHOWN) -> str:
    """Return a piece of an answer as an error quotes it: escaped, on one line, bounded."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def _after_orphan_closing(text: str) -> str:
    if not any(closing in text for _, closing in _THINKING):
        return text
    inside = {number for block in blocks(text) if block.closed for number in block.span}
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if number not in inside and any(line.strip() == closing for _, closing in _THINKING):
            return "\n".join(lines[number + 1 :])
    return text
