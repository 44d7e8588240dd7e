"""Edits whose search differs from the file in what does not matter.

Owns what does not matter: blanks between words, kinds of quotes, comments, commas and semicolons at line ends, blank
lines, and slips inside the text of a string. Names, numbers and signs always do. Two promises hold whatever is matched:
a line that the edit keeps stays as the file has it, and nothing is removed that the search did not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from agents.answers.lines import occurrences
from agents.answers.places import MAX_PLACES, Place, shift_of, shifted
from agents.answers.readings import LOOK_ALIKES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIN_LINES = 3
"""Lines of code of the shortest search that is matched loosely."""
ALIKE = 0.9
"""How alike two strings' lines have to be, as `difflib` counts; 1 is equal."""
_AHEAD = 0.1  # how much the best place has to be ahead of the next
_MAX_LINES = 2_000  # of an edit; difflib takes time for more
_MAX_LINE = 2_000
_MAX_FILE = 256 << 10  # characters; taking lines apart is slow

_HASH = frozenset({"py", "pyi", "sh", "bash", "rb", "yaml", "yml", "toml", "r", "pl", "makefile", "dockerfile"})
_SLASHES = frozenset(
    {"js", "jsx", "mjs", "ts", "tsx", "java", "kt", "go", "rs", "c", "h", "cc", "cpp", "hpp", "cs", "swift", "scala"}
    | {"php", "dart"}
)
_DASHES = frozenset({"sql", "lua", "hs"})


@dataclass(frozen=True, slots=True)
class _Line:
    """A line in three keys.

    Attributes:
        strict: Blanks between words and kinds of quotes apart.
        code: Comment and closing comma apart too; empty for a blank line and for one that is nothing but a comment.
        frame: The text of strings apart too.
    """

    strict: str
    code: str
    frame: str


def loose_places(
    search: Sequence[str], new: Sequence[str], hay: Sequence[str], path: str
) -> Sequence[tuple[Place, ...]]:
    """Return each way to put an edit into a file that differs in what does not matter; more than one is ambiguous."""
    if len(search) + len(new) > _MAX_LINES or sum(map(len, hay)) > _MAX_FILE:
        return ()
    sign = _comment_sign(path)
    searched, real = [_line(line, sign) for line in search], [_line(line, sign) for line in hay]
    ours = [number for number, line in enumerate(searched) if line.code]
    theirs = [number for number, line in enumerate(real) if line.code]
    if len(ours) < MIN_LINES:
        return ()
    keys, places = [searched[number].code for number in ours], [real[number].code for number in theirs]
    starts = list(islice(occurrences(keys, places), MAX_PLACES))
    if not starts:
        starts = _alike([searched[number] for number in ours], [real[number] for number in theirs])
    found: list[tuple[Place, ...]] = []
    for start in starts:
        pairs = dict(zip(ours, theirs[start : start + len(ours)], strict=True))
        merged = _Merge(search, new, hay, searched, real, pairs).places()
        if merged is not None:
            found.append(merged)
    return found


def folded_places(search: Sequence[str], new: Sequence[str], hay: Sequence[str]) -> Sequence[tuple[Place, ...]]:
    """Return each way to put an edit into a file that differs in characters that look alike, such as hard blanks."""

    def key(line: str) -> str:
        return line.translate(LOOK_ALIKES).rstrip()

    folded, real = [key(line) for line in search], [key(line) for line in hay]
    if folded == list(search) and real == [line.rstrip() for line in hay]:
        return ()
    runs = SequenceMatcher(None, list(search), list(new), autojunk=False).get_opcodes()
    changed = [line for kind, _, _, first, last in runs if kind != "equal" for line in new[first:last]]
    return [
        tuple(Place(start + i, start + j, tuple(new[m:n])) for kind, i, j, m, n in runs if kind != "equal")
        for start in islice(occurrences(folded, real), MAX_PLACES)
        if not _brings_in(changed, search, hay[start : start + len(search)])
    ]


def _brings_in(new: Sequence[str], search: Sequence[str], real: Sequence[str]) -> bool:
    """Whether new lines have a look-alike that the model took for a sign of the file: curved quotes around code."""
    mistaken = {chr(code) for code in LOOK_ALIKES} & set("".join(search)) - set("".join(real))
    return bool(mistaken & set("".join(new)))


class _Merge:
    """One place of an edit: which line of the file each searched line is, and what follows from that."""

    def __init__(
        self,
        search: Sequence[str],
        new: Sequence[str],
        hay: Sequence[str],
        searched: Sequence[_Line],
        real: Sequence[_Line],
        pairs: Mapping[int, int],
    ) -> None:
        self._search, self._new, self._hay = search, new, hay
        self._searched, self._real = searched, real
        self._code = dict(pairs)
        self._pairs = dict(pairs)
        self._pair_soft_lines()

    def places(self) -> tuple[Place, ...] | None:
        """Return the lines of the file that change, or None where something would be lost that the search lacks."""
        order = sorted(self._code)
        shift = shift_of([self._search[i] for i in order], [self._hay[self._code[i]] for i in order])
        if shift is None:
            return None
        found: list[Place] = []
        runs = SequenceMatcher(None, list(self._search), list(self._new), autojunk=False).get_opcodes()
        for kind, first, last, begin, end in runs:
            if kind == "equal":
                continue  # stays as the file has it
            moved = shifted(self._new[begin:end], shift)
            span = self._span(first, last)
            if moved is None or span is None or _brings_in(moved, self._search, self._hay):
                return None
            found.append(Place(*span, moved))
        return tuple(found)

    def _span(self, first: int, last: int) -> tuple[int, int] | None:
        """Return the lines of the file that a changed run is, or None if it is not shown as it is there."""
        known = [number for number in range(first, last) if number in self._pairs]
        if not known:
            return self._gap(first)
        if any(self._searched[number].strict != self._real[self._pairs[number]].strict for number in known):
            return None
        there = {self._pairs[number] for number in known}
        start, stop = min(there), max(there) + 1
        unseen = [number for number in range(start, stop) if number not in there and self._hay[number].strip()]
        return None if unseen else (start, stop)

    def _gap(self, first: int) -> tuple[int, int]:
        """Return where lines go that are only added: behind the line before, else before the line that follows."""
        before = [number for number in self._pairs if number < first]
        place = self._pairs[max(before)] + 1 if before else self._pairs[min(self._pairs)]
        return place, place

    def _pair_soft_lines(self) -> None:
        """Pair blank lines and comments with those of the file that say the same, between the same lines of code."""
        order = sorted(self._code)
        edges = [(-1, self._code[order[0]] - order[0] - 1)]
        edges += [(number, self._code[number]) for number in order]
        edges.append((len(self._search), self._code[order[-1]] + len(self._search) - order[-1]))
        for (i, m), (j, n) in pairwise(edges):
            ours = range(i + 1, j)
            theirs = [k for k in range(max(m + 1, 0), min(n, len(self._hay))) if not self._real[k].code]
            matcher = SequenceMatcher(
                None, [self._searched[k].strict for k in ours], [self._real[k].strict for k in theirs], autojunk=False
            )
            for block in matcher.get_matching_blocks():
                for step in range(block.size):
                    self._pairs[ours[block.a + step]] = theirs[block.b + step]


def _alike(searched: Sequence[_Line], real: Sequence[_Line]) -> list[int]:
    """Return the place where the code is the same but for slips in strings, if it is clearly ahead of all others."""
    frames = islice(occurrences([line.frame for line in searched], [line.frame for line in real]), MAX_PLACES)
    scored: list[tuple[float, float, int]] = []
    for start in frames:
        ratios = [_ratio(one.code, other.code) for one, other in zip(searched, real[start:], strict=False)]
        scored.append((min(ratios), sum(ratios) / len(ratios), start))
    scored.sort(reverse=True)
    if not scored or scored[0][0] < ALIKE:
        return []
    clear = len(scored) == 1 or scored[0][0] - scored[1][0] >= _AHEAD
    return [scored[0][2]] if clear else []


def _ratio(one: str, other: str) -> float:
    if one == other:
        return 1.0
    if _digits(one) != _digits(other):
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _digits(text: str) -> str:
    return "".join(character if character.isdigit() else " " for character in text).strip()


def _comment_sign(path: str) -> str:
    suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
    if suffix in _HASH:
        return "#"
    if suffix in _SLASHES:
        return "//"
    return "--" if suffix in _DASHES else ""


@lru_cache(maxsize=1 << 14)
def _line(line: str, sign: str) -> _Line:
    """Take a line apart in one pass; strings are seen where they begin and end on the line."""
    line = line.translate(LOOK_ALIKES).strip()
    if len(line) > _MAX_LINE:
        return _Line(line, line, line)
    code: list[str] = []
    frame: list[str] = []
    position = 0
    while position < len(line):
        character = line[position]
        if sign and line.startswith(sign, position):
            break
        if character in "\"'`":
            end = _end_of_string(line, position)
            text = line[position:end]
            closed = end - position > 1 and text[-1] == character
            code.append(_uniform(text) if closed else text)
            frame.append('""' if closed else text)
            position = end
            continue
        if character.isspace():
            following = line[position + 1 : position + 2]
            if code and _is_word(code[-1][-1]) and _is_word(following):
                code.append(" ")
                frame.append(" ")
        else:
            code.append(character)
            frame.append(character)
        position += 1
    comment = " ".join(line[position:].removeprefix(sign).split())
    written = "".join(code)
    strict = f"{written}{sign}{comment}" if position < len(line) else written
    return _Line(strict, written.rstrip(",;"), "".join(frame).rstrip(",;"))


def _end_of_string(line: str, start: int) -> int:
    position = start + 1
    while position < len(line):
        if line[position] == "\\":
            position += 1
        elif line[position] == line[start]:
            return position + 1
        position += 1
    return len(line)


def _uniform(text: str) -> str:
    inside = text[1:-1]
    return text if text[0] == "`" or '"' in inside or "'" in inside else f'"{inside}"'


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_\"'"
