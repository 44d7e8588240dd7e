"""Other readings of an edit, tried where it does not fit as it is written.

Owns what models put into lines that is none of the file's: line numbers, signs of a diff, escapes of HTML and JSON,
curved quotes. A reading is offered only where the whole edit is written so; half of it would be a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Reading: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Lines that are searched for, and the lines that replace them."""

_NUMBERED = re.compile(r"[ \t]*(\d{1,6})(?: ?[|│:→]|\t) ?")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&apos;": "'", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))
_CURVED = {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"}
LOOK_ALIKES = str.maketrans(
    {**_CURVED, "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": "", "\ufeff": "", "–": "-", "‑": "-", "…": "..."}
)
"""Characters that a model does not tell from others, and those."""


def readings(search: Sequence[str], new: Sequence[str]) -> Iterator[Reading]:
    """Yield the edit as it is written, then each other way in which all of it can be read."""
    yield tuple(search), tuple(new)
    numbered = without_numbers(search)
    if numbered is not None:
        replaced = without_numbers(new, consecutive=False)
        if replaced is not None or not any(_NUMBERED.match(line) for line in new):
            yield numbered, tuple(new) if replaced is None else replaced
    signed = _unsigned(search, "-"), _unsigned(new, "+")
    if signed[0] is not None and signed[1] is not None:
        yield signed[0], signed[1]
    for whole in (unescaped, _unquoted, straightened):
        both = whole("\n".join((*search, "\0", *new)))
        if both is not None:
            before, _, after = both.partition("\n\0" if search else "\0")
            yield tuple(before.split("\n")), tuple(after.removeprefix("\n").split("\n")) if new else ()


def hunk_readings(lines: Sequence[str]) -> Iterator[Reading]:
    """Yield what a hunk of a diff searches for and what it puts there.

    A model often leaves out the blank that stands before a line that stays: where one has none, or where that blank
    is one too few for the indentation, the lines that stay are taken as they are written.
    """
    for cut in (True, False):
        search: list[str] = []
        new: list[str] = []
        for line in lines:
            sign, rest = line[:1], line[1:]
            if sign == "-":
                search.append(rest)
            elif sign == "+":
                new.append(rest)
            else:
                kept = rest if cut and sign == " " else line
                search.append(kept)
                new.append(kept)
        yield tuple(search), tuple(new)


def without_numbers(lines: Sequence[str], *, consecutive: bool = True) -> tuple[str, ...] | None:
    """Return the lines without the numbers before them, or None if not every line with text has one."""
    bare: list[str] = []
    last: int | None = None
    for line in lines:
        if not line.strip():
            bare.append(line)
            continue
        found = _NUMBERED.match(line)
        if found is None or (consecutive and last is not None and int(found[1]) <= last):
            return None
        last = int(found[1])
        bare.append(line[found.end() :])
    return None if last is None else tuple(bare)


def unescaped(text: str) -> str | None:
    """Return the text without HTML's escapes, or None if it is not written in them throughout."""
    if "<" in text or ">" in text or "&" not in text or text.count("&") != len(_ENTITY.findall(text)):
        return None
    return _ENTITY.sub(lambda found: _ENTITIES[found[0]], text)


def straightened(text: str) -> str | None:
    """Return the text with straight quotes, or None if it has none that are curved or has both kinds."""
    curved = {straight for sign, straight in _CURVED.items() if sign in text}
    if not curved or any(straight in text for straight in curved):
        return None
    return text.translate(str.maketrans(_CURVED))


def _unquoted(text: str) -> str | None:
    r"""Return the text without backslashes before its quotes, or None if not every double quote has one."""
    if '\\"' not in text or text.count('\\"') != text.count('"'):
        return None
    return text.replace('\\"', '"')


def _unsigned(lines: Sequence[str], sign: str) -> tuple[str, ...] | None:
    filled = [line for line in lines if line.strip()]
    if not all(line.startswith((sign, " ")) for line in filled) or not (
        not filled or any(line.startswith(sign) for line in filled)
    ):
        return None
    return tuple(line[1:] for line in lines)
