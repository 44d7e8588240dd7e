"""How much of what a tool says a model is shown.

Owns the bound on every result, and the removal of what is no text: terminal escapes and control characters. Pure,
linear.
"""

from __future__ import annotations

import re

RESULT_CHARACTERS = 16_000
"""Of one result: about 4,000 tokens, which a window of 16,384 bears more than once."""
_HEAD_SHARE = 0.6
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = {code: None for code in (*range(32), 127, *range(0xD800, 0xE000)) if code not in (9, 10)}


def bounded(text: str, limit: int = RESULT_CHARACTERS) -> str:
    """The text, or its beginning and its end with a line that says how much was left out between them.

    Cut at line ends where there are any near. Never longer than `limit` and that line.
    """
    if len(text) <= limit:
        return text
    head = text[: int(limit * _HEAD_SHARE)]
    tail = text[len(text) - (limit - len(head)) :]
    cut = head.rfind("\n")
    head = head[: cut + 1] if cut > len(head) // 2 else head
    cut = tail.find("\n")
    tail = tail[cut + 1 :] if 0 <= cut < len(tail) // 2 else tail
    gone = text[len(head) : len(text) - len(tail)]
    lines = gone.count("\n")
    what = f"{len(gone):,} characters" + (f" in {lines:,} lines" if lines > 1 else "")
    return f"{head}{'' if head.endswith(chr(10)) else chr(10)}[… {what} left out …]\n{tail}"


def plain(text: str) -> str:
    """The text without terminal escapes, control characters and half characters; carriage returns end lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ESCAPES.sub("", text).translate(_CONTROLS)


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 file`, `2,000 files`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
