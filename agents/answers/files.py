"""Files and edits out of a model's text.

Owns what counts as an answer: every block that names a file, and every search/replace edit. Blocks that name none
are illustrations and are passed over. All or nothing: one unusable block makes the answer unusable, since half a
change is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from agents.answers.changes import Change, EditAnswer, FileAnswer
from agents.answers.fences import Block, blocks
from agents.answers.marks import DIVIDER, is_divider, is_replace_mark, is_search_mark
from agents.answers.naming import is_transcript, path_in_comment, path_in_line, path_of
from agents.answers.paths import folded, safe_path
from agents.answers.text import clean_text, shown
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import PurePosixPath

MAX_CHANGES = 200
"""Files and edits of the largest answer."""

_NAME_HINT = "Put the path on the line before each block, such as: File: `src/app.py`"
_EDIT_HINT = (
    "An edit is a line <<<<<<< SEARCH, lines copied exactly from the file, a line =======, the new lines, "
    "and a line >>>>>>> REPLACE."
)


@dataclass(frozen=True, slots=True)
class _Named:
    block: Block
    path: str | None


def read_files(text: str, default_path: str | None = None) -> tuple[Change, ...]:
    """Return the files and edits of an answer, in its order.

    An edit without a path belongs to the file of the edit before it. Where a file is given twice both are
    returned: applied in order, the last one counts.

    Args:
        text: The model's text.
        default_path: The file that a sole block without a path is; None: such a block names nothing.

    Raises:
        UnusableAnswer: Nothing names a file, a path may not be used, the last block is not closed, an edit lacks
            a mark, or two paths differ only in case.
    """
    named = [_Named(block, path_of(block)) for block in blocks(clean_text(text))]
    for each in named:
        if not each.block.closed:
            raise UnusableAnswer("the last block is not closed: the answer was cut off", "Close every block.")
    changes = tuple(islice(_changes(_with_default(named, default_path)), MAX_CHANGES + 1))
    if not changes:
        found = "no block of the answer names its file" if named else "there is no fenced block in the answer"
        raise UnusableAnswer(found, _NAME_HINT)
    if len(changes) > MAX_CHANGES:
        raise UnusableAnswer(f"the answer changes more than {MAX_CHANGES} places")
    _refuse_twins(changes)
    return changes


def _with_default(named: Sequence[_Named], default_path: str | None) -> Sequence[_Named]:
    if default_path is None or any(each.path for each in named):
        return named
    edits = [each for each in named if _has_edit(each.block)]
    nameless = edits or [each for each in named if not is_transcript(each.block, default_path)]
    if not edits and len(nameless) != 1:
        return named  # several whole blocks: which one is the file is a guess
    return [replace(each, path=default_path) for each in nameless]


def _changes(named: Sequence[_Named]) -> Iterator[Change]:
    current: str | None = None
    for each in named:
        if _has_edit(each.block):
            for edit in _edits(each, current):
                current = edit.path
                yield edit
        elif each.path is not None:
            content = "".join(f"{line}\n" for line in each.block.lines)
            if "\0" in content:
                raise UnusableAnswer(f"the file {shown(each.path)} holds a NUL character")
            yield FileAnswer(str(_path(each.path)), content)


def _has_edit(block: Block) -> bool:
    return any(is_search_mark(line) for line in block.lines)


def _edits(named: _Named, current: str | None) -> Iterator[EditAnswer]:
    """Read the edits of one block. A line before a mark, inside the block, may name the file of the next ones."""
    lines = named.block.lines
    path = named.path or current
    above = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        if is_search_mark(line):
            path = path_in_line(above) or path_in_comment(above) or path
            if path is None:
                raise UnusableAnswer("an edit does not name its file", _NAME_HINT)
            end = _edit_end(lines, number)
            yield _edit(str(_path(path)), lines[number + 1 : end])
            above, number = "", end
        elif line.strip():
            above = line
        number += 1


def _edit_end(lines: Sequence[str], start: int) -> int:
    for number in range(start + 1, len(lines)):
        if is_replace_mark(lines[number]):
            return number
        if is_search_mark(lines[number]):
            break
    raise UnusableAnswer("an edit has no line >>>>>>> REPLACE", _EDIT_HINT)


def _edit(path: str, lines: Sequence[str]) -> EditAnswer:
    """Part an edit at its divider. A file may hold such lines itself: then only one of exactly seven signs counts."""
    dividers = [number for number, line in enumerate(lines) if is_divider(line)]
    exact = [number for number in dividers if lines[number].rstrip() == DIVIDER]
    usable = exact if len(exact) == 1 else dividers
    if not usable:
        raise UnusableAnswer(f"an edit of {shown(path)} has no line =======", _EDIT_HINT)
    if len(usable) > 1:
        raise UnusableAnswer(
            f"an edit of {shown(path)} has {len(usable)} lines =======: where the search ends is unclear",
            "Choose other lines to search for, or give the whole file in a fenced block.",
        )
    search, new = ("".join(f"{line}\n" for line in part) for part in (lines[: usable[0]], lines[usable[0] + 1 :]))
    if "\0" in new:
        raise UnusableAnswer(f"an edit of {shown(path)} holds a NUL character")
    return EditAnswer(path, search, new)


def _path(text: str) -> PurePosixPath:
    """`./a.py` is how many models write `a.py`; everything else has to be right as it is."""
    return safe_path(text.removeprefix("./"))


def _refuse_twins(changes: Sequence[Change]) -> None:
    spellings: dict[str, str] = {}
    for change in changes:
        known = spellings.setdefault(folded(change.path), change.path)
        if known != change.path:
            raise UnusableAnswer(
                f"{shown(known)} and {shown(change.path)} are one file on many systems", "Use one spelling."
            )
