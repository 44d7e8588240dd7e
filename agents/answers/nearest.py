"""The lines of a file that a failed search came nearest to.

Owns the 'did you mean' of an edit that does not fit: what the model is shown so that it can search again.
"""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SHOWN = 12
"""Lines of the longest hint."""

_MAX_LINE = 160  # characters compared and shown of a line
_MAX_VOTES = 20  # places of one line that count
_MAX_COMPARED = 2_000  # different lines of a file that one line is compared with


def nearest_lines(search: Sequence[str], hay: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of `hay` that resemble `search` most, or nothing if none does.

    The stretch as long as the search that shares most lines with it, blanks at their ends apart; where no line is
    shared, the stretch from the line most like one of the first lines searched for.
    """
    start = _most_shared(search, hay)
    if start is None:
        start = _most_alike(search, hay)
    if start is None:
        return ()
    stop = min(len(hay), start + min(len(search), MAX_SHOWN))
    return tuple(line[:_MAX_LINE] for line in hay[start:stop])


def part_of_line(search: Sequence[str], hay: Sequence[str]) -> int | None:
    """Return the first line, counted from 0, that holds the one line searched for and more; None if none does."""
    if len(search) != 1 or len(search[0].strip()) < 3:
        return None
    return next((number for number, line in enumerate(hay) if search[0].strip() in line), None)


def _most_shared(search: Sequence[str], hay: Sequence[str]) -> int | None:
    """Let every line that is in both vote for where the search would begin."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(hay):
        known = places.setdefault(line.strip(), [])
        if len(known) < _MAX_VOTES:
            known.append(number)
    votes = Counter(
        max(0, place - number)
        for number, line in enumerate(search)
        if len(line.strip()) > 2  # brackets alone resemble everything
        for place in places.get(line.strip(), ())
    )
    return max(votes, key=lambda start: (votes[start], -start)) if votes else None


def _most_alike(search: Sequence[str], hay: Sequence[str]) -> int | None:
    known: dict[str, int] = {}
    for number, line in enumerate(hay):
        bare = line.strip()[:_MAX_LINE]
        if len(bare) > 2 and len(known) < _MAX_COMPARED:
            known.setdefault(bare, number)
    for line in [each.strip()[:_MAX_LINE] for each in search if each.strip()][:3]:
        close = get_close_matches(line, known, n=1, cutoff=0.6)
        if close:
            return known[close[0]]
    return None
