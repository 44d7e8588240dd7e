"""Where the lines of an edit stand in a file, blanks apart.

Owns the ways that change nothing but blanks: exactly, but for blanks at line ends, but for one and the same
indentation, but for blank lines at the two ends, but for tabs. Looser ways are `elided`'s and `loose`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import gcd
from typing import TYPE_CHECKING

from agents.answers.lines import occurrences

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PLACES = 50
"""Places looked at for one edit; more of them is ambiguous anyway."""

_TAB_WIDTHS = (2, 3, 4, 8)


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a file, counted from 0, `stop` excluded, and the lines that are to stand there."""

    start: int
    stop: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a change does not fit a file, in one sentence without a full stop, and what to do about it."""

    reason: str
    hint: str


def same_places(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> Sequence[Place]:
    """Return where an edit fits exactly, else but for blanks at line ends; more than one place is ambiguous."""
    if not trimmed(search):
        return ()
    return _where(search, tuple(new), hay, exact=True) or _where(search, tuple(new), hay, exact=False)


def places(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> Sequence[Place]:
    """Return where an edit fits by the strictest way by which it fits at all; more than one place is ambiguous."""
    bare, new_bare = trimmed(search), trimmed(new)
    if not bare:
        return ()
    return (
        same_places(search, new, hay)
        or _but_for_indentation(search, new, hay)
        or _but_for_indentation(bare, new_bare, hay)
        or _but_for_tabs(bare, new_bare, hay)
    )


def trimmed(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines without blank ones at the two ends."""
    start, stop = 0, len(lines)
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return tuple(lines[start:stop])


def lead(line: str) -> str:
    """Return the blanks that a line begins with."""
    return line[: len(line) - len(line.lstrip())]


def shift_of(written: Sequence[str], real: Sequence[str]) -> tuple[str, str] | None:
    """Return what every line loses and gains at its start to stand as in the file, or None if they differ."""
    shifts: set[tuple[str, str]] = set()
    for one, other in zip(written, real, strict=True):
        if not one.strip():
            continue
        before, after = lead(one), lead(other)
        if after.endswith(before):
            shifts.add(("", after.removesuffix(before)))
        elif before.endswith(after):
            shifts.add((before.removesuffix(after), ""))
        else:
            return None
    return shifts.pop() if len(shifts) == 1 else None


def shifted(new: Sequence[str], shift: tuple[str, str]) -> tuple[str, ...] | None:
    """Return the lines with their indentation shifted, or None where one cannot lose what it has to."""
    lost, gained = shift
    if any(line.strip() and not line.startswith(lost) for line in new):
        return None
    return tuple(gained + line.removeprefix(lost) if line.strip() else line.strip() for line in new)


def narrowed(place: Place, hay: Sequence[str]) -> Place:
    """Return the place without the lines at its ends that stay as they are; a last line of the file is kept in it."""
    start, stop, new = place.start, place.stop, place.new
    while stop > start and stop < len(hay) and new and hay[stop - 1] == new[-1]:
        stop, new = stop - 1, new[:-1]
    skipped = 0
    while start + skipped < stop - (stop == len(hay)) and skipped < len(new) and hay[start + skipped] == new[skipped]:
        skipped += 1
    return Place(start + skipped, stop, new[skipped:])


def _where(search: Sequence[str], new: tuple[str, ...], hay: Sequence[str], *, exact: bool) -> Sequence[Place]:
    found = islice(occurrences(search, hay, str if exact else str.rstrip), MAX_PLACES)
    return [Place(start, start + len(search), new) for start in found]


def _but_for_indentation(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> Sequence[Place]:
    found: list[Place] = []
    for start in islice(occurrences(search, hay, str.strip), MAX_PLACES):
        shift = shift_of(search, hay[start : start + len(search)])
        moved = None if shift is None else shifted(new, shift)
        if moved is not None:
            found.append(Place(start, start + len(search), moved))
    return found


def _but_for_tabs(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> Sequence[Place]:
    """The file is indented by tabs and the edit by blanks, or the other way round, a tab as wide everywhere."""
    found: list[Place] = []
    for start in islice(occurrences(search, hay, str.strip), MAX_PLACES):
        real = hay[start : start + len(search)]
        moved = _retabbed(search, new, real)
        if moved is not None:
            found.append(Place(start, start + len(search), moved))
    return found


def _retabbed(search: Sequence[str], new: Sequence[str], real: Sequence[str]) -> tuple[str, ...] | None:
    pairs = [(lead(one), lead(other)) for one, other in zip(search, real, strict=True) if one.strip()]
    of_search, of_file = "".join(one for one, _ in pairs), "".join(other for _, other in pairs)
    to_tabs = bool(of_file) and bool(of_search) and not of_file.strip("\t") and not of_search.strip(" ")
    to_blanks = bool(of_file) and bool(of_search) and not of_file.strip(" ") and not of_search.strip("\t")
    if not (to_tabs or to_blanks) or not all(bool(one) == bool(other) for one, other in pairs):
        return None
    widths = {len(blanks) / len(tabs) for one, other in pairs if one for blanks, tabs in [_sorted(one, other)]}
    width = widths.pop() if len(widths) == 1 else 0
    if width not in _TAB_WIDTHS:
        return None
    return _converted(new, int(width), "\t" if to_tabs else " ")


def _sorted(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one[0] == " " else (other, one)


def _converted(new: Sequence[str], width: int, sign: str) -> tuple[str, ...] | None:
    """Return lines with their indentation in tabs or in blanks; None where one does not come out even."""
    converted: list[str] = []
    for line in new:
        before = lead(line)
        other = " " if sign == "\t" else "\t"
        if before.strip(other) or (sign == "\t" and gcd(len(before), width) != width and before):
            return None
        depth = len(before) // width * sign if sign == "\t" else len(before) * width * sign
        converted.append(depth + line.lstrip() if line.strip() else "")
    return tuple(converted)
