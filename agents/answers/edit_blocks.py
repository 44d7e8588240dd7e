"""Search/replace edits out of a block.

Owns where an edit begins and ends, where its searched lines end, and which file it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.answers.changes import EditAnswer
from agents.answers.marks import DIVIDER, behind_search_mark, is_divider, is_replace_mark, is_search_mark
from agents.answers.naming import path_in_comment, path_in_line
from agents.answers.text import shown
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents.answers.fences import Block

NAME_HINT = "Put the path on the line before each block, such as: File: `src/app.py`"
_EDIT_HINT = (
    "An edit is a line <<<<<<< SEARCH, lines copied exactly from the file, a line =======, the new lines, "
    "and a line >>>>>>> REPLACE."
)
_NUMBER_MARKS = (":start_line", ":end_line", ":line")


def has_edit(block: Block) -> bool:
    """Return whether a block holds a search/replace edit."""
    return any(is_search_mark(line) for line in block.lines)


def read_edits(block: Block, path: str | None, cleaned: Callable[[str], str]) -> Iterator[EditAnswer]:
    """Read the edits of one block. A line before a mark, inside the block, may name the file of the next ones.

    Args:
        block: The block.
        path: The file the block is of, as written; None: it names none.
        cleaned: Makes a path as written one that may be used.

    Raises:
        UnusableAnswer: A mark is missing, or the file is.
    """
    lines = block.lines
    above = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        if is_search_mark(line):
            path = path_in_line(above) or path_in_comment(above) or path_in_line(behind_search_mark(line)) or path
            if path is None:
                raise UnusableAnswer("an edit does not name its file", NAME_HINT)
            end = _end(block, number)
            yield _edit(cleaned(path), lines[number + 1 : end])
            above, number = "", end
        elif line.strip():
            above = line
        number += 1


def _end(block: Block, start: int) -> int:
    """Return the line that closes an edit; the end of its fence does where the closing mark was forgotten."""
    lines = block.lines
    for number in range(start + 1, len(lines)):
        if is_replace_mark(lines[number]):
            return number
        if is_search_mark(lines[number]):
            break
    else:
        if block.fenced and sum(is_divider(line) for line in lines[start:]) == 1:
            return len(lines)
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
    search, new = lines[: usable[0]], lines[usable[0] + 1 :]
    if "\0" in "".join(new):
        raise UnusableAnswer(f"an edit of {shown(path)} holds a NUL character")
    return EditAnswer(path, _text(_without_numbers(search)), _text(new))


def _without_numbers(search: Sequence[str]) -> Sequence[str]:
    """Some models were trained to say first at which line the search begins. It is wrong too often to be used."""
    start = 0
    while start < len(search) and search[start].startswith(_NUMBER_MARKS):
        start += 1
    if start and start < len(search) and search[start] and not search[start].strip("-"):
        start += 1
    return search[start:]


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
