"""Edits whose search leaves its middle out.

Owns putting the parts before and after the dots in their places. What the dots stand for is kept, so the replacement
has to have dots in the same places; whatever else it may mean is refused.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from agents.answers.omissions import is_elision
from agents.answers.places import Place, lead, places, trimmed

if TYPE_CHECKING:
    from collections.abc import Sequence


def elided_places(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> tuple[Place, ...] | str | None:
    """Return the places of all parts, why they are none, or None where the search leaves nothing out.

    Each part stands once in the file, one after the other, and what is between them is of the block that the later part
    is in: a line with less indentation would mean that the later part was found in another function.
    """
    if not any(is_elision(line) for line in search):
        return None
    searched, replaced = _parts(search), _parts(new)
    if len(searched) != len(replaced):
        return "the search leaves lines out where its replacement does not"
    found: list[Place] = []
    for part, wanted in zip(searched, replaced, strict=True):
        if not part:
            if wanted:
                return "the replacement has lines beside dots where the search has none"
            continue
        where = places(part, wanted, hay)
        if len(where) != 1:
            return (
                f"a part of the search before or after its dots stands in {len(where)} places: {part[0].strip()[:80]!r}"
            )
        found.append(where[0])
    for one, other in pairwise(found):
        if one.stop > other.start:
            return "the parts of the search before and after its dots stand in another order in the file"
        if _leaves_block(hay, one.stop, other.start):
            return "between the parts of the search another block begins, so what its dots stand for is unclear"
    return tuple(found) or "the search is nothing but dots"


def _parts(lines: Sequence[str]) -> list[tuple[str, ...]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if is_elision(line):
            parts.append([])
        else:
            parts[-1].append(line)
    return [trimmed(part) for part in parts]


def _leaves_block(hay: Sequence[str], start: int, stop: int) -> bool:
    depth = len(lead(hay[stop]).expandtabs())
    return any(len(lead(line).expandtabs()) < depth for line in hay[start:stop] if line.strip())
