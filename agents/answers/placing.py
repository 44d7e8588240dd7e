"""The place of an edit in a file.

Owns the order of the ways, from the strictest to the loosest, that at each of them the place has to be the only one,
and what the model is told where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.answers.elided import elided_places
from agents.answers.loose import folded_places, loose_places
from agents.answers.nearest import nearest_lines, part_of_line
from agents.answers.omissions import omission_in
from agents.answers.places import Misfit, Place, places, same_places, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agents.answers.readings import Reading


def find_places(wanted: Iterable[Reading], hay: Sequence[str], path: str) -> Sequence[Place] | Misfit:
    """Return the lines of a file that an edit changes, and what they become.

    Args:
        wanted: The edit as it is written, then other readings of it.
        hay: The lines of the file.
        path: Its path; it decides what is a comment.
    """
    tried = tuple(wanted)
    written = tried[0][0]
    if not trimmed(written):
        lacking = "a search of blank lines fits anywhere" if written else "it only adds lines, and says not where"
        return Misfit(lacking, "Search for lines with text.")
    for way in (same_places, places):  # a hunk read wrongly can fit but for its indentation
        for search, new in tried:
            if found := way(search, new, hay):
                return _only([[place] for place in found], hay)
    for search, new in tried:
        for loose in _loosely(search, new, hay, path):
            if isinstance(loose, str):
                return Misfit(loose, _did_you_mean(search, hay))
            if loose:
                return _only(loose, hay)
    return Misfit("the searched lines are not in the file", _did_you_mean(trimmed(written), hay))


def _loosely(
    search: Sequence[str], new: Sequence[str], hay: Sequence[str], path: str
) -> Iterator[Sequence[Sequence[Place]] | str]:
    elided = elided_places(search, new, hay)
    if elided is not None:
        yield elided if isinstance(elided, str) else [elided]
        return
    bare, new_bare = trimmed(search), trimmed(new)
    yield folded_places(bare, new_bare, hay)
    yield loose_places(bare, new_bare, hay, path)


def _only(found: Sequence[Sequence[Place]], hay: Sequence[str]) -> Sequence[Place] | Misfit:
    if len(found) > 1:
        numbers = ", ".join(str(each[0].start + 1) for each in found[:5] if each)
        return Misfit(
            f"the searched lines stand in {len(found)} places (lines {numbers})",
            "Search for more lines around the place, so that only one fits.",
        )
    omission = omission_in("\n".join(line for place in found[0] for line in place.new), "\n".join(hay))
    if omission:
        return Misfit(f"the new lines are not whole: they say {omission!r}", "Give every new line.")
    return found[0]


def _did_you_mean(search: Sequence[str], hay: Sequence[str]) -> str:
    number = part_of_line(search, hay)
    if number is not None:
        return f"Line {number + 1} holds more than what was searched for. Search for whole lines:\n{hay[number][:160]}"
    near = nearest_lines(search, hay)
    if not near:
        return "Copy the lines to search for exactly from the file."
    return "Did you mean these lines of the file?\n" + "\n".join(near)
