"""Applying a model's changes to the texts of files.

Owns the decision whether an answer fits the files: all of it or nothing. Pure: texts in, new texts out; nothing is
written here. Line ends, byte order marks and the missing end of a last line stay as the file has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from unicodedata import normalize

from agents.answers.changes import Change, EditAnswer, FileAnswer
from agents.answers.lines import Lines, occurrences
from agents.answers.nearest import nearest_lines
from agents.answers.omissions import omission_in
from agents.answers.paths import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MAX_PLACES = 50  # places looked at for one edit; more of them is ambiguous anyway


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer fits.

    Attributes:
        contents: New text of each file that differs from before; a new file too. Empty: the answer changes nothing.
    """

    contents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer does not fit; no file is changed.

    Attributes:
        path: The file of the first change that does not fit.
        reason: What does not fit, in one sentence without a full stop.
        hint: What the model should look at: the nearest real lines, or what to do instead.
    """

    path: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    stop: int
    new: tuple[str, ...]


def apply_edits(files: Mapping[str, str], answers: Iterable[Change]) -> Applied | Rejected:
    """Apply files and edits in their order; later ones see what earlier ones did.

    An edit is placed where its lines stand exactly; else where they stand but for blanks at line ends; else but for
    one and the same indentation, which its new lines are given too; else but for blank lines at its two ends. At
    each step it has to be the only place. An empty search makes a file, if there is none or an empty one.

    Args:
        files: Texts of the files that there are, by path; those that no change names may be left out, but then a
            change of one makes a new file.
        answers: What `read_files` returned.
    """
    texts = dict(files)
    spellings = {folded(path): path for path in files}
    for change in answers:
        path = _spelled(change.path, files, spellings)
        if isinstance(path, Rejected):
            return path
        result = _changed(path, texts.get(path), change, texts)
        if isinstance(result, Rejected):
            return result
        texts[path] = result
    return Applied({path: text for path, text in texts.items() if files.get(path) != text})


def _spelled(path: str, files: Mapping[str, str], spellings: dict[str, str]) -> str | Rejected:
    """Return the path as the tree spells it. Another composition of accents is the same file, another case is not."""
    known = spellings.setdefault(folded(path), path)
    if path in files or known == path:
        return path
    if normalize("NFC", known) == normalize("NFC", path):
        return known
    return Rejected(path, "differs only in case from another file", f"Did you mean {known}?")


def _changed(path: str, text: str | None, change: Change, texts: Mapping[str, str]) -> str | Rejected:
    """Return the new text of the file of one change."""
    in_the_way = _in_the_way(path, texts) if text is None else None
    if in_the_way is not None:
        return Rejected(path, f"cannot be a file, since {in_the_way} is one", "Choose another path.")
    if isinstance(change, FileAnswer):
        return _rewritten(text, change)
    if not change.search:
        if text:
            return Rejected(
                change.path, "exists, and an empty search only makes new files", "Search for lines of the file."
            )
        return change.replace
    if text is None:
        return Rejected(change.path, "is not there, so there is nothing to search in", _like(change.path, texts))
    return _edited(text, change)


def _rewritten(text: str | None, change: FileAnswer) -> str | Rejected:
    omission = omission_in(change.content, text or "")
    if omission:
        return Rejected(
            change.path, f"is not whole: it says {omission!r}", "Give every line of the file, or give edits."
        )
    return change.content if text is None else str(Lines.of(text).rewritten(change.content))


def _edited(text: str, edit: EditAnswer) -> str | Rejected:
    lines = Lines.of(text)
    search, new = Lines.of(edit.search).texts, Lines.of(edit.replace).texts
    trimmed = _trimmed(search)
    if not trimmed:
        return Rejected(edit.path, "a search of blank lines fits anywhere", "Search for lines with text.")
    ways = (
        lambda: _exact(search, new, lines.texts),
        lambda: _but_for_line_ends(search, new, lines.texts),
        lambda: _but_for_indentation(search, new, lines.texts),
        lambda: _but_for_indentation(trimmed, _trimmed(new), lines.texts),
    )
    for way in ways:
        places = way()
        if len(places) == 1:
            place = places[0]
            return str(lines.replaced(place.start, place.stop, place.new))
        if places:
            numbers = ", ".join(str(place.start + 1) for place in places[:5])
            return Rejected(
                edit.path,
                f"the searched lines stand in {len(places)} places (lines {numbers})",
                "Search for more lines around the place, so that only one fits.",
            )
    return Rejected(edit.path, "the searched lines are not in the file", _did_you_mean(trimmed, lines.texts))


def _exact(search: Sequence[str], new: tuple[str, ...], hay: Sequence[str]) -> Sequence[_Place]:
    found = islice(occurrences(search, hay), _MAX_PLACES)
    return [_Place(start, start + len(search), new) for start in found]


def _but_for_line_ends(search: Sequence[str], new: tuple[str, ...], hay: Sequence[str]) -> Sequence[_Place]:
    found = islice(occurrences(search, hay, str.rstrip), _MAX_PLACES)
    return [_Place(start, start + len(search), new) for start in found]


def _but_for_indentation(search: Sequence[str], new: tuple[str, ...], hay: Sequence[str]) -> Sequence[_Place]:
    places: list[_Place] = []
    for start in islice(occurrences(search, hay, str.strip), _MAX_PLACES):
        shift = _shift(search, hay[start : start + len(search)])
        shifted = None if shift is None else _shifted(new, shift)
        if shifted is not None:
            places.append(_Place(start, start + len(search), shifted))
    return places


def _shift(search: Sequence[str], there: Sequence[str]) -> tuple[str, str] | None:
    """Return what every line loses and gains at its start to stand as in the file, or None if they differ."""
    shifts: set[tuple[str, str]] = set()
    for written, real in zip(search, there, strict=True):
        if not written.strip():
            continue
        before, after = _lead(written), _lead(real)
        if after.endswith(before):
            shifts.add(("", after.removesuffix(before)))
        elif before.endswith(after):
            shifts.add((before.removesuffix(after), ""))
        else:
            return None
    return shifts.pop() if len(shifts) == 1 else None


def _shifted(new: Sequence[str], shift: tuple[str, str]) -> tuple[str, ...] | None:
    lost, gained = shift
    if any(line.strip() and not line.startswith(lost) for line in new):
        return None
    return tuple(gained + line.removeprefix(lost) if line.strip() else line.strip() for line in new)


def _trimmed(lines: Sequence[str]) -> tuple[str, ...]:
    start, stop = 0, len(lines)
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return tuple(lines[start:stop])


def _lead(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _in_the_way(path: str, texts: Mapping[str, str]) -> str | None:
    """Return a file where the path has a folder, or a file below the path."""
    above = next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in texts), None)
    return above or next((each for each in texts if each.startswith(f"{path}/")), None)


def _like(path: str, texts: Mapping[str, str]) -> str:
    name = path.rpartition("/")[2]
    same = sorted(each for each in texts if each.rpartition("/")[2] == name)[:3]
    return f"Did you mean {' or '.join(same)}?" if same else "Give a new file whole."


def _did_you_mean(search: Sequence[str], hay: Sequence[str]) -> str:
    near = nearest_lines(search, hay)
    if not near:
        return "Copy the lines to search for exactly from the file."
    return "Did you mean these lines of the file?\n" + "\n".join(near)
